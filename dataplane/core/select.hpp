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
[[nodiscard]] inline ConnectionState next_state(ConnectionState state, const Packet &packet) noexcept {
    using enum ConnectionState;
    if (packet.flow.protocol == wire::kIpProtocolUdp) return kUdp;
    if (packet.tcp_flags & (wire::kTcpFin | wire::kTcpRst)) return kClosing;
    if (packet.tcp_flags & wire::kTcpSyn) return state == kClosing ? kHalfOpen : state;
    if (state == kClosing) return packet.has_payload ? kEstablished : kClosing;
    return kEstablished;
}

/// The state that a packet without an entry gives its flow; none: it is not worth an entry. A first packet alone proves
/// nothing, SYN, ACK or datagram, so every flow starts half-open, and a flood of single packets pushes out nobody.
[[nodiscard]] inline std::optional<ConnectionState> first_state(const Packet &packet) noexcept {
    if (packet.tcp_flags & (wire::kTcpFin | wire::kTcpRst)) return std::nullopt;
    return ConnectionState::kHalfOpen;
}

} // namespace fairlead::core
