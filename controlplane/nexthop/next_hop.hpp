// SPDX-License-Identifier: Apache-2.0
/// Where packets for an address go on the link: what the resolver answers.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/wire/wire.h"

namespace fairlead::nexthop {

using MacAddress = std::array<std::uint8_t, 6>;

enum class HopState : std::uint8_t {
    kResolving,     ///< the kernel has been asked and has not yet answered
    kResolved,      ///< `mac` is known; it stays so while the kernel only doubts it
    kFailed,        ///< nobody answers for `via`; asked again, less and less often
    kNoRoute,       ///< the kernel has no route, or one that refuses (blackhole, unreachable)
    kNotUnicast,    ///< an address of this host, a broadcast or a multicast address
    kNoLinkLayer,   ///< the route leaves by a device without Ethernet addresses
    kGatewayFamily, ///< the route's gateway is no IPv4 address
};

/// A few words for an operator.
[[nodiscard]] std::string_view describe(HopState state);

struct NextHop {
    bool resolved = false;
    MacAddress mac{};     ///< zero unless resolved
    unsigned ifindex = 0; ///< the kernel's number of the output device; 0: no route
    wire::Be32 via{};     ///< whose MAC address it is: the gateway, or the address itself
    HopState state = HopState::kResolving;

    [[nodiscard]] bool operator==(const NextHop &) const = default;
};

} // namespace fairlead::nexthop
