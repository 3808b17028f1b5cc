// SPDX-License-Identifier: Apache-2.0
// Reset: the balancer answers a client in the place of a dead backend, so that the client learns at once that its
// connection is gone (`on_dead: reset`). The numbers are those with which RFC 9293, 3.10.7.1, answers a segment for a
// connection that does not exist: the sequence number is the one the client acknowledges, which is the very one it
// expects next, so that a kernel that follows RFC 5961 accepts the reset.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/core/parse.hpp"

namespace fairlead::core {

/// Turns a TCP segment into the RST that answers it, in place: from the VIP to the client, over the link it came from.
/// @param packet of this frame, as parse() filled it; without the RST flag.
/// @param frame from its Ethernet header on.
/// @param source_mac the port's own.
/// @return the frame's new length.
wire::u32 answer_with_reset(wire::u8 *frame, const Packet &packet, const MacAddress &source_mac) noexcept;

} // namespace fairlead::core
