// SPDX-License-Identifier: Apache-2.0
// How a packet of the client's changes the state of its connection, as data: a packet's transition says for each state
// which one follows, two bits a state. next_state() in select.hpp is the same in words, and the tests compare the two.
#pragma once

#include "dataplane/wire/packet.h"

#include <array>

namespace fairlead::core {

/// TCP as seen from the client's side alone, and UDP; a UDP flow is half-open until its second datagram. The order is
/// that of Service::timeout_s.
enum class ConnectionState : wire::u8 { kHalfOpen, kEstablished, kClosing, kUdp, kCount };

using Transition = wire::u8; ///< bits 2s and 2s+1: the state that follows state s

[[nodiscard]] constexpr ConnectionState follow_transition(Transition transition, ConnectionState state) noexcept {
    return static_cast<ConnectionState>(transition >> 2 * static_cast<unsigned>(state) & 3);
}

inline constexpr Transition kUdpTransition = 0b11'11'11'11; ///< a second datagram makes it UDP

namespace detail {
inline constexpr Transition kEnding = 0b10'10'10'10;  // FIN, RST: closing
inline constexpr Transition kOpening = 0b11'00'01'00; // SYN: revives what was closing, changes nothing else
inline constexpr Transition kSilent = 0b01'10'01'01;  // no data: established, but for what is closing
inline constexpr Transition kData = 0b01'01'01'01;    // data: established
/// By FIN, SYN and RST (bits 0 to 2) and data (bit 3).
inline constexpr std::array<Transition, 16> kTcpTransitions = {
    kSilent, kEnding, kOpening, kEnding, kEnding, kEnding, kEnding, kEnding,
    kData, kEnding, kOpening, kEnding, kEnding, kEnding, kEnding, kEnding,
};
static_assert(wire::kTcpFin == 1 && wire::kTcpSyn == 2 && wire::kTcpRst == 4);
} // namespace detail

/// The transition of a TCP segment with these flags.
[[nodiscard]] constexpr Transition tcp_transition(wire::u8 flags, bool has_payload) noexcept {
    return detail::kTcpTransitions[(flags & 7u) | (has_payload ? 8u : 0u)];
}

} // namespace fairlead::core
