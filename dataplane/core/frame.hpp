// SPDX-License-Identifier: Apache-2.0
// What core/ knows of a packet: bytes, a length, room in front; and what it decides about it.
//
// The packet path is written over whatever holds packets: FrameAccess is the seam. io/ has its mbufs decided where they
// are; everyone else describes bytes by a Frame, borrowed from whoever received them (a capture in `fairlead replay`) for
// the length of one call of Pipeline::process(). core/ may rewrite `headroom` bytes before `data`; it never reads or
// writes outside [data - headroom, data + length).
#pragma once

#include "dataplane/wire/drop_reasons.h"
#include "dataplane/wire/wire.h"

#include <array>

namespace fairlead::core {

using MacAddress = std::array<wire::u8, 6>;

/// What is to happen to a packet.
enum class Verdict : wire::u8 {
    kForward, ///< send it as it stands now, encapsulated
    kReply,   ///< send it as it stands now: our own answer, back to where it came from
    kDrop,    ///< free it; it is counted under its reason
    kKernel,  ///< not ours: the balancer's own kernel may have it, untouched
};

/// What chose the backend of a forwarded packet.
enum class Source : wire::u8 {
    kNone,
    kConnection, ///< an entry of the connection table
    kRow,        ///< the service's row table
    kHops,       ///< the same or an entry, but not for sure: the row's alternates go along as hops
};

struct Frame {
    wire::u8 *data;     ///< in: the Ethernet header; out: where the frame to send starts
    wire::u32 length;   ///< bytes from data; in and out
    wire::u32 headroom; ///< bytes before data that may be written; in and out
};

/// How the packet path reaches a packet. A specialisation for a type has these functions, by value of what names a packet.
template <class F> struct FrameAccess;

template <> struct FrameAccess<Frame> {
    [[nodiscard]] static wire::u8 *data(const Frame &frame) noexcept { return frame.data; }
    [[nodiscard]] static wire::u32 length(const Frame &frame) noexcept { return frame.length; }
    [[nodiscard]] static wire::u32 headroom(const Frame &frame) noexcept { return frame.headroom; }
    /// Whether all of its bytes follow data().
    [[nodiscard]] static constexpr bool is_whole(const Frame &) noexcept { return true; }
    /// Moves its start `bytes` to the front, and its end so that it has this length.
    static void extend(Frame &frame, wire::u32 bytes, wire::u32 length) noexcept {
        frame = {frame.data - bytes, length, frame.headroom - bytes};
    }
};

/// How a packet was decided; parallel to the burst's frames.
struct Decision {
    Verdict verdict;
    wire::DropReason reason; ///< with kDrop
    wire::u16 service; ///< index, or kServiceCapacity: none
    wire::u16 slot;    ///< backend, or kNoSlot
    Source source;
};

inline constexpr unsigned kBurstSizeMax = 64;

/// Headroom that always suffices, in bytes: the outer headers less the Ethernet header that moves.
inline constexpr unsigned kHeadroomNeeded = 64;

} // namespace fairlead::core
