// SPDX-License-Identifier: Apache-2.0
/// Asks the kernel where it would send a packet for an address: policy rules, routes and multipath
/// choice included, as its own traffic has them. Without a source address: rules that look at the
/// source are not followed.
#pragma once

#include <expected>

#include "controlplane/nexthop/netlink_socket.hpp"
#include "controlplane/nexthop/next_hop.hpp"

namespace fairlead::nexthop {

struct Route {
    HopState state = HopState::kNoRoute; ///< kResolving: there is a neighbour to resolve
    unsigned ifindex = 0;
    wire::Be32 via{};                    ///< the neighbour: the gateway, or the address itself

    [[nodiscard]] bool operator==(const Route &) const = default;
};

/// Errors: errno, for trouble with the socket. That there is no way to the address is an answer.
[[nodiscard]] std::expected<Route, int> look_up_route(NetlinkSocket &socket, wire::Be32 address);

} // namespace fairlead::nexthop
