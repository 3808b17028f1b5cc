// SPDX-License-Identifier: Apache-2.0
#include "controlplane/nexthop/route_lookup.hpp"

#include <libmnl/libmnl.h>
#include <sys/socket.h>

#include <cerrno>

namespace fairlead::nexthop {
namespace {

Route read_route(const nlmsghdr &message, wire::Be32 address) {
    const auto *route = static_cast<const rtmsg *>(mnl_nlmsg_get_payload(&message));
    Route answer{HopState::kResolving, 0, address};
    bool foreign_gateway = false;
    for_each_attribute(message, sizeof(rtmsg), [&](NetlinkAttribute attribute) {
        if (attribute.type() == RTA_OIF && attribute.has_size(sizeof(answer.ifindex))) answer.ifindex = attribute.u32();
        if (attribute.type() == RTA_GATEWAY && attribute.has_size(sizeof(answer.via))) answer.via = {attribute.u32()};
        if (attribute.type() == RTA_VIA) foreign_gateway = true; // an IPv6 gateway (RFC 8950)
    });
    if (route->rtm_type == RTN_BLACKHOLE || route->rtm_type == RTN_UNREACHABLE || route->rtm_type == RTN_PROHIBIT ||
        answer.ifindex == 0)
        return {};
    if (route->rtm_type != RTN_UNICAST) answer.state = HopState::kNotUnicast;
    else if (foreign_gateway) answer.state = HopState::kGatewayFamily;
    return answer;
}

/// The kernel's words for "no": no route at all, or one of type unreachable, prohibit, blackhole, throw.
bool is_no_route(int number) {
    return number == ENETUNREACH || number == EHOSTUNREACH || number == EACCES || number == EINVAL ||
           number == ENETDOWN;
}

} // namespace

std::expected<Route, int> look_up_route(NetlinkSocket &socket, wire::Be32 address) {
    NetlinkRequest request(RTM_GETROUTE, 0);
    auto &body = request.body<rtmsg>();
    body.rtm_family = AF_INET;
    body.rtm_dst_len = 32;
    request.put_u32(RTA_DST, address.raw);

    Route answer;
    const auto done = socket.request(request, [&](const nlmsghdr &message) {
        if (message.nlmsg_type == RTM_NEWROUTE) answer = read_route(message, address);
    });
    if (!done && !is_no_route(done.error())) return std::unexpected(done.error());
    return done ? answer : Route{};
}

} // namespace fairlead::nexthop
