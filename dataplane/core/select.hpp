// SPDX-License-Identifier: Apache-2.0
// Select: which backend a packet without a connection gets, and how a connection's state follows its packets.
#pragma once

#include "dataplane/core/connection_table.hpp"
#include "dataplane/core/generation.hpp"
#include "dataplane/core/parse.hpp"

#include <optional>

namespace fairlead::core {

/// The service's choice for a flow by its row, or kNoSlot.
[[nodiscard]] inline wire::u16 select_by_row(const Service &service, const wire::FlowHash &hash) noexcept {
    return service.rows[wire::reduce(hash.row, service.row_count)];
}

/// The state after a packet of the client's, of a connection in `state`. TCP is seen from one side only: FIN and RST
/// shorten the timeout, later data restores it, a SYN revives what was closing and changes nothing else.
[[nodiscard]] constexpr ConnectionState next_state(ConnectionState state, wire::u8 protocol, wire::u8 tcp_flags, bool has_payload) noexcept {
    using enum ConnectionState;
    if (protocol == wire::kIpProtocolUdp) return kUdp;
    if (tcp_flags & (wire::kTcpFin | wire::kTcpRst)) return kClosing;
    if (tcp_flags & wire::kTcpSyn) return state == kClosing ? kHalfOpen : state;
    if (state == kClosing) return has_payload ? kEstablished : kClosing;
    return kEstablished;
}

/// The same for an unsure flow: where the row has no owner any more (all backends drain), the one that had it last.
[[nodiscard]] inline wire::u16 select_unsure(const Service &service, const wire::FlowHash &hash) noexcept {
    const wire::u32 row = wire::reduce(hash.row, service.row_count);
    const wire::u16 owner = service.rows[row];
    return owner != wire::kNoSlot ? owner : service.alternates[row * wire::kAlternateCount];
}

/// Whether a packet begins a connection.
[[nodiscard]] inline bool is_opening(const Packet &packet) noexcept {
    return (packet.tcp_flags & (wire::kTcpSyn | wire::kTcpAck)) == wire::kTcpSyn;
}

/// Whether a packet that begins a connection, of a flow with an entry, belongs elsewhere: the entry's connection is ending, and its backend takes no new ones. (Elsewhere a SYN keeps its entry: it may be forged.) Where there is a second
/// chance the new entry is unsure, so a forged RST and SYN move nothing: the new owner hands on what it never saw.
[[nodiscard]] inline bool begins_elsewhere(ConnectionState state, const Forwarding &forwarding) noexcept {
    return state == ConnectionState::kClosing && forwarding.state != wire::kSlotUp;
}

/// The backends that an unsure packet visits after `first`, each if the one before has not the connection: whoever else
/// owns its row now or owned it before.
/// @return how many of `hops` are filled.
[[nodiscard]] inline unsigned select_hops(const Generation &generation, const Service &service, const wire::FlowHash &hash,
                                          wire::u16 first, wire::Be32 (&hops)[wire::kGueHopCountMax]) noexcept {
    if (!service.alternates) return 0; // the flow is older than the service's loss of its second chance
    const wire::u32 row = wire::reduce(hash.row, service.row_count);
    unsigned count = 0;
    const auto take = [&](wire::u16 slot) noexcept {
        if (slot != wire::kNoSlot && slot != first && count < wire::kGueHopCountMax)
            hops[count++] = generation.forwarding(slot).address();
    };
    take(service.rows[row]);
    for (unsigned i = 0; i < wire::kAlternateCount; ++i) take(service.alternates[row * wire::kAlternateCount + i]);
    return count;
}

/// The state that a packet without an entry gives its flow; none: it is not worth an entry. A first packet alone proves
/// nothing, SYN, ACK or datagram, so every flow starts half-open, and a flood of single packets pushes out nobody.
[[nodiscard]] inline std::optional<ConnectionState> first_state(const Packet &packet) noexcept {
    if (packet.tcp_flags & (wire::kTcpFin | wire::kTcpRst)) return std::nullopt;
    return ConnectionState::kHalfOpen;
}

} // namespace fairlead::core
