// SPDX-License-Identifier: Apache-2.0
/// Blackhole routes for the VIPs, so that the balancer's own kernel neither answers nor loops what
/// reaches it for a VIP: on AF_XDP that is a packet from before the steering program was attached, and
/// whatever this host itself sends.
///
/// The routes stand in the main table under a protocol number of our own, which is how they are
/// recognised later, by us and by `ip route show proto 250`. Routes of others are never touched. The
/// local table is asked first by the kernel, so a VIP that is also an address of this host would be
/// answered in spite of the route: that is reported, not repaired.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "controlplane/error.hpp"
#include "dataplane/wire/wire.h"

namespace fairlead::nexthop {

/// rtm_protocol of our routes: free in Linux's rtnetlink.h and in Debian's rt_protos.
inline constexpr std::uint8_t kRouteProtocol = 0xfa;

struct VipRouteChange {
    std::size_t added = 0;
    std::size_t removed = 0;
    std::vector<Error> conflicts; ///< one a VIP that is not blackholed, each with what to do about it
};

/// Makes our blackhole routes exactly those for `vips`, in the caller's network namespace. Works
/// through all of them; what one VIP runs into is in `conflicts`. A blackhole that somebody else (a
/// routing daemon) has for the VIP serves as well and is left to its owner.
/// Errors: no CAP_NET_ADMIN, no netlink.
[[nodiscard]] std::expected<VipRouteChange, Error> set_vip_blackholes(std::span<const wire::Be32> vips);

} // namespace fairlead::nexthop
