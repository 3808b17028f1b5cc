// SPDX-License-Identifier: Apache-2.0
#include "controlplane/nexthop/vip_routes.hpp"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <set>

#include "controlplane/config/address.hpp"
#include "controlplane/nexthop/netlink_socket.hpp"

namespace fairlead::nexthop {
namespace {

Error trouble(std::string_view action, int number) {
    return error_of(fmt::format("cannot {}: {}", action, std::strerror(number)),
                    number == EPERM ? "run with CAP_NET_ADMIN" : "");
}

/// The IPv4 routes that matter here, each to one address.
struct HostRoutes {
    std::set<std::uint32_t> ours;       ///< blackholes under kRouteProtocol in the main table
    std::set<std::uint32_t> blackholed; ///< by anybody, in the main table, at the highest preference
    std::set<std::uint32_t> local;      ///< addresses of this host
};

void read_host_route(const nlmsghdr &message, HostRoutes &routes) {
    const auto *route = static_cast<const rtmsg *>(mnl_nlmsg_get_payload(&message));
    if (message.nlmsg_type != RTM_NEWROUTE || route->rtm_family != AF_INET || route->rtm_dst_len != 32) return;
    std::uint32_t address = 0;
    std::uint32_t table = route->rtm_table;
    std::uint32_t priority = 0;
    for_each_attribute(message, sizeof(rtmsg), [&](NetlinkAttribute attribute) {
        if (!attribute.has_size(sizeof(std::uint32_t))) return;
        if (attribute.type() == RTA_DST) address = attribute.u32();
        if (attribute.type() == RTA_TABLE) table = attribute.u32();
        if (attribute.type() == RTA_PRIORITY) priority = attribute.u32();
    });
    if (table == RT_TABLE_LOCAL && route->rtm_type == RTN_LOCAL) routes.local.insert(address);
    if (table != RT_TABLE_MAIN || route->rtm_type != RTN_BLACKHOLE || priority != 0 || route->rtm_tos != 0) return;
    routes.blackholed.insert(address);
    if (route->rtm_protocol == kRouteProtocol) routes.ours.insert(address);
}

std::expected<HostRoutes, Error> list_host_routes(NetlinkSocket &socket) {
    HostRoutes routes;
    NetlinkRequest request(RTM_GETROUTE, NLM_F_DUMP);
    request.body<rtmsg>().rtm_family = AF_INET;
    const auto done =
        socket.request(request, [&routes](const nlmsghdr &message) { read_host_route(message, routes); });
    if (!done) return std::unexpected(trouble("list the routes", done.error()));
    return routes;
}

/// Adds or removes. The protocol is part of what a removal must match, so it cannot hit another's route.
std::expected<void, int> change_blackhole(NetlinkSocket &socket, std::uint16_t type, std::uint16_t flags,
                                          std::uint32_t address) {
    NetlinkRequest request(type, static_cast<std::uint16_t>(NLM_F_ACK | flags));
    auto &body = request.body<rtmsg>();
    body.rtm_family = AF_INET;
    body.rtm_dst_len = 32;
    body.rtm_table = RT_TABLE_MAIN;
    body.rtm_protocol = kRouteProtocol;
    body.rtm_scope = RT_SCOPE_UNIVERSE;
    body.rtm_type = RTN_BLACKHOLE;
    request.put_u32(RTA_DST, address);
    return socket.request(request);
}

} // namespace

std::expected<VipRouteChange, Error> set_vip_blackholes(std::span<const wire::Be32> vips) {
    auto socket = NetlinkSocket::open();
    if (!socket) return std::unexpected(trouble("open a netlink socket", socket.error()));
    const auto routes = list_host_routes(*socket);
    if (!routes) return std::unexpected(routes.error());

    std::set<std::uint32_t> wanted;
    for (const wire::Be32 vip : vips) wanted.insert(vip.raw);
    VipRouteChange change;
    for (const std::uint32_t vip : wanted) {
        const std::string name = config::format_ipv4({vip});
        if (routes->local.contains(vip))
            change.conflicts.push_back(error_of(fmt::format("VIP {} is an address of this host, whose kernel answers "
                                                            "for it", name),
                                                fmt::format("remove it: ip address del {}/32 dev ...", name)));
        if (routes->blackholed.contains(vip)) continue;
        const auto added = change_blackhole(*socket, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, vip);
        if (added) ++change.added;
        else if (added.error() == EEXIST)
            change.conflicts.push_back(error_of(fmt::format("there is another route to VIP {} in the main table", name),
                                                fmt::format("remove it: ip route del {}", name)));
        else return std::unexpected(trouble(fmt::format("add a blackhole route for VIP {}", name), added.error()));
    }
    for (const std::uint32_t stale : routes->ours) {
        if (wanted.contains(stale)) continue;
        const auto removed = change_blackhole(*socket, RTM_DELROUTE, 0, stale);
        if (removed) ++change.removed;
        else if (removed.error() != ESRCH) // gone meanwhile
            return std::unexpected(trouble(fmt::format("remove the blackhole route for {}",
                                                       config::format_ipv4({stale})), removed.error()));
    }
    return change;
}

} // namespace fairlead::nexthop
