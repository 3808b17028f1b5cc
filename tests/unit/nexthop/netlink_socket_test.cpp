// SPDX-License-Identifier: Apache-2.0
#include "controlplane/nexthop/netlink_socket.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>

#include "tests/unit/nexthop/network_namespace.hpp"

namespace fairlead::nexthop {
namespace {

class NetlinkSocketTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!space_.why_not().empty())
            GTEST_SKIP() << "needs to make network namespaces (root): " << space_.why_not();
        space_.inside([this] {
            auto socket = NetlinkSocket::open();
            ASSERT_TRUE(socket);
            socket_.emplace(*std::move(socket));
        });
        space_.shell("ip link add lan type veth peer name far && ip addr add 10.79.0.1/16 dev lan && ip link set lan up");
    }
    test::NetworkNamespace space_;
    std::optional<NetlinkSocket> socket_;
};

TEST_F(NetlinkSocketTest, SaysWhenEventsWereLostAndGoesOn) {
    ASSERT_TRUE(socket_->join(RTNLGRP_NEIGH));
    // More than the socket's buffer holds, while nobody reads.
    space_.shell("sysctl -qw net.ipv4.neigh.default.gc_thresh3=20000 net.ipv4.neigh.default.gc_thresh2=20000 2>/dev/null;"
                 "for i in $(seq 0 63); do for j in $(seq 1 250); do"
                 " echo neigh add 10.79.$i.$j lladdr 02:00:00:00:00:01 nud permanent dev lan; done; done"
                 " | grep -v 'add 10.79.0.1 ' | ip -batch - >/dev/null 2>&1 || true");
    std::size_t events = 0;
    const auto count = [&events](const nlmsghdr &message) { events += message.nlmsg_type == RTM_NEWNEIGH; };
    EXPECT_EQ(socket_->receive_events(count), NetlinkSocket::Events::kOverrun);
    EXPECT_EQ(socket_->receive_events(count), NetlinkSocket::Events::kDrained) << "what still fit";
    const std::size_t before = events;
    EXPECT_GT(before, 100u);
    space_.shell("ip neigh replace 10.79.200.1 lladdr 02:00:00:00:00:02 nud permanent dev lan");
    EXPECT_EQ(socket_->receive_events(count), NetlinkSocket::Events::kDrained);
    EXPECT_EQ(events, before + 1);
}

TEST_F(NetlinkSocketTest, GivesTheKernelsErrorAndTheNextAnswerIsItsOwn) {
    NetlinkRequest missing(RTM_GETLINK, 0);
    missing.body<ifinfomsg>().ifi_index = 999;
    const auto refused = socket_->request(missing);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), ENODEV);
    NetlinkRequest links(RTM_GETLINK, NLM_F_DUMP);
    links.body<ifinfomsg>().ifi_family = AF_UNSPEC;
    int count = 0;
    EXPECT_TRUE(socket_->request(links, [&count](const nlmsghdr &) { ++count; }));
    EXPECT_GE(count, 2);
}

} // namespace
} // namespace fairlead::nexthop
