// SPDX-License-Identifier: Apache-2.0
// Against the real kernel: two network namespaces, joined by veth pairs.
//
//   balancer  "lan" 10.77.0.1/24 ---- "be"  10.77.0.31/24, 10.77.0.32/24   backends
//             "alt" 10.78.0.1/24 ---- "gw"  10.78.0.2/24                   another gateway
#include "controlplane/nexthop/resolver.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <optional>

#include "controlplane/config/address.hpp"
#include "tests/unit/nexthop/network_namespace.hpp"

namespace fairlead::nexthop {
namespace {

using namespace std::chrono_literals;
using test::NetworkNamespace;

constexpr auto kLimit = 10s;

wire::Be32 ip(const char *text) { return config::parse_ipv4(text).value(); }
MacAddress mac(const char *text) { return config::parse_mac(text).value(); }

const MacAddress kBackendMac = mac("02:00:00:00:00:31");
const MacAddress kGatewayMac = mac("02:00:00:00:00:fe");

/// A command that ends when the kernel has the neighbour's address, or fails when it never has.
std::string wait_for_neighbour(const std::string &address) {
    return "for i in $(seq 200); do ip neigh show " + address + " dev lan | grep -q lladdr && exit 0; sleep 0.05; done;"
           " exit 1";
}

class ResolverTest : public ::testing::Test {
  protected:
    void SetUp() override {
        for (const NetworkNamespace *space : {&balancer_, &peers_})
            if (!space->why_not().empty())
                GTEST_SKIP() << "needs to make network namespaces (root): " << space->why_not();
        balancer_.shell("ip link set lo up"
                        " && ip link add lan type veth peer name be address 02:00:00:00:00:31 netns " + peers_.path() +
                        " && ip addr add 10.77.0.1/24 dev lan && ip link set lan up"
                        " && ip link add alt type veth peer name gw address 02:00:00:00:00:fe netns " + peers_.path() +
                        " && ip addr add 10.78.0.1/24 dev alt && ip link set alt up");
        peers_.shell("ip addr add 10.77.0.31/24 dev be && ip addr add 10.77.0.32/24 dev be && ip link set be up"
                     " && ip addr add 10.78.0.2/24 dev gw && ip link set gw up");
        // A neighbour is given up within a second instead of ten.
        balancer_.shell("for dev in lan alt; do cd /proc/sys/net/ipv4/neigh/$dev && echo 50 >retrans_time_ms"
                        " && echo 1 >delay_first_probe_time && echo 2 >ucast_solicit && echo 2 >mcast_solicit || exit;"
                        " done");
    }
    void TearDown() override { resolver_.reset(); }

    void open(std::vector<wire::Be32> targets) {
        ResolverOptions options;
        options.retry_first = 100ms;
        options.retry_max = 400ms;
        balancer_.inside([&] {
            auto resolver = NextHopResolver::open([this] { on_change(); }, options);
            ASSERT_TRUE(resolver) << resolver.error().format();
            resolver_ = *std::move(resolver);
        });
        resolver_->set_targets(std::move(targets));
        ASSERT_TRUE(resolver_->settle(kLimit)) << resolver_->trouble();
    }
    void on_change() {
        const std::lock_guard lock(mutex_);
        ++changes_;
        changed_.notify_all();
    }
    [[nodiscard]] bool tells_changes(int count, std::chrono::milliseconds limit = kLimit) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, limit, [&] { return changes_ >= count; });
    }
    /// Waits for the resolver to call back with `holds` true of the address's hop.
    [[nodiscard]] bool becomes(wire::Be32 address, const std::function<bool(const NextHop &)> &holds) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, kLimit, [&] { return holds(resolver_->find(address)); });
    }

    NetworkNamespace balancer_;
    NetworkNamespace peers_;
    std::unique_ptr<NextHopResolver> resolver_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int changes_ = 0;
};

TEST_F(ResolverTest, ResolvesABackendThatNobodyHasTalkedTo) {
    open({ip("10.77.0.31"), ip("10.77.0.32")});
    for (const char *backend : {"10.77.0.31", "10.77.0.32"}) {
        const NextHop hop = resolver_->find(ip(backend));
        EXPECT_TRUE(hop.resolved);
        EXPECT_EQ(hop.mac, kBackendMac);
        EXPECT_EQ(hop.via, ip(backend));
        EXPECT_NE(hop.ifindex, 0u);
    }
    EXPECT_TRUE(tells_changes(1));
    EXPECT_EQ(resolver_->trouble(), "");
}

TEST_F(ResolverTest, ARemoteBackendGetsItsGatewaysAddress) {
    balancer_.shell("ip route add default via 10.78.0.2");
    open({ip("192.0.2.9")});
    const NextHop hop = resolver_->find(ip("192.0.2.9"));
    EXPECT_EQ(hop.mac, kGatewayMac);
    EXPECT_EQ(hop.via, ip("10.78.0.2"));
}

TEST_F(ResolverTest, FollowsARouteToAnotherGatewayAndItsLoss) {
    balancer_.shell("ip route add 192.0.2.0/24 via 10.77.0.31");
    open({ip("192.0.2.9")});
    EXPECT_EQ(resolver_->find(ip("192.0.2.9")).mac, kBackendMac);
    balancer_.shell("ip route replace 192.0.2.0/24 via 10.78.0.2");
    EXPECT_TRUE(becomes(ip("192.0.2.9"), [](const NextHop &hop) { return hop.mac == kGatewayMac; }));
    balancer_.shell("ip route del 192.0.2.0/24");
    EXPECT_TRUE(becomes(ip("192.0.2.9"), [](const NextHop &hop) { return hop.state == HopState::kNoRoute; }));
    balancer_.shell("ip route add blackhole 192.0.2.0/24");
    balancer_.shell("ip rule add to 192.0.2.9 lookup 100 && ip route add default via 10.77.0.32 table 100");
    EXPECT_TRUE(becomes(ip("192.0.2.9"), [](const NextHop &hop) { return hop.via == ip("10.77.0.32"); }));
    balancer_.shell("ip rule del to 192.0.2.9 lookup 100");
    EXPECT_TRUE(becomes(ip("192.0.2.9"), [](const NextHop &hop) { return hop.state == HopState::kNoRoute; }));
}

TEST_F(ResolverTest, FollowsAnAnnouncedMacAddress) {
    open({ip("10.77.0.31")});
    peers_.shell("ip link set be address 02:00:00:00:00:77 && ip neigh flush dev be"
                 " && ping -q -c 1 -W 5 -I 10.77.0.31 10.77.0.1 >/dev/null");
    EXPECT_TRUE(becomes(ip("10.77.0.31"), [](const NextHop &hop) { return hop.mac == mac("02:00:00:00:00:77"); }));
}

TEST_F(ResolverTest, FindsAMacAddressThatChangedInSilence) {
    balancer_.shell("echo 500 >/proc/sys/net/ipv4/neigh/lan/base_reachable_time_ms");
    open({ip("10.77.0.31")});
    peers_.shell("ip link set be arp off address 02:00:00:00:00:77 && ip link set be arp on");
    EXPECT_TRUE(becomes(ip("10.77.0.31"), [](const NextHop &hop) { return hop.mac == mac("02:00:00:00:00:77"); }));
}

TEST_F(ResolverTest, ABackendThatDoesNotAnswerIsAskedUntilItDoes) {
    open({ip("10.77.0.99"), ip("10.77.0.31")});
    EXPECT_EQ(resolver_->find(ip("10.77.0.99")).state, HopState::kFailed);
    EXPECT_TRUE(resolver_->find(ip("10.77.0.31")).resolved);
    peers_.shell("ip addr add 10.77.0.99/24 dev be");
    EXPECT_TRUE(becomes(ip("10.77.0.99"), [](const NextHop &hop) { return hop.mac == kBackendMac; }));
}

TEST_F(ResolverTest, ABackendThatDiesBecomesUnresolved) {
    balancer_.shell("echo 500 >/proc/sys/net/ipv4/neigh/lan/base_reachable_time_ms");
    open({ip("10.77.0.32")});
    peers_.shell("ip addr del 10.77.0.32/24 dev be");
    EXPECT_TRUE(becomes(ip("10.77.0.32"), [](const NextHop &hop) { return hop.state == HopState::kFailed; }));
}

TEST_F(ResolverTest, FollowsALinkDownAndUp) {
    open({ip("10.77.0.31")});
    balancer_.shell("ip link set lan down");
    EXPECT_TRUE(becomes(ip("10.77.0.31"), [](const NextHop &hop) { return !hop.resolved; }));
    balancer_.shell("ip link set lan up");
    EXPECT_TRUE(becomes(ip("10.77.0.31"), [](const NextHop &hop) { return hop.mac == kBackendMac; }));
}

TEST_F(ResolverTest, ADeletedNeighbourIsNoChange) {
    open({ip("10.77.0.31")});
    ASSERT_TRUE(tells_changes(1));
    balancer_.shell("ip neigh del 10.77.0.31 dev lan");
    // The kernel has it again soon; until then and after, the hop has not changed.
    balancer_.shell(wait_for_neighbour("10.77.0.31"));
    EXPECT_TRUE(resolver_->find(ip("10.77.0.31")).resolved);
    EXPECT_FALSE(tells_changes(2, 100ms));
}

TEST_F(ResolverTest, APermanentNeighbourIsUsedAndStaysPermanent) {
    balancer_.shell("ip neigh add 10.77.0.50 lladdr 02:00:00:00:00:50 nud permanent dev lan");
    open({ip("10.77.0.50"), ip("10.77.0.31")});
    EXPECT_EQ(resolver_->find(ip("10.77.0.50")).mac, mac("02:00:00:00:00:50"));
    peers_.shell("ip link set be down && ip link set be up"); // makes the resolver ask for all that it may
    balancer_.shell(wait_for_neighbour("10.77.0.31"));
    balancer_.shell("ip neigh show 10.77.0.50 | grep -q PERMANENT");
}

TEST_F(ResolverTest, SaysWhyThereIsNoHop) {
    open({ip("10.77.0.1"), ip("203.0.113.1"), ip("224.0.0.5"), ip("10.77.0.255")});
    EXPECT_EQ(resolver_->find(ip("10.77.0.1")).state, HopState::kNotUnicast);
    EXPECT_EQ(resolver_->find(ip("203.0.113.1")).state, HopState::kNoRoute);
    EXPECT_FALSE(resolver_->find(ip("224.0.0.5")).resolved);
    EXPECT_EQ(resolver_->find(ip("10.77.0.255")).state, HopState::kNotUnicast);
}

TEST_F(ResolverTest, SurvivesAFloodOfEventsAndIsRightAfterIt) {
    open({ip("10.77.0.31"), ip("192.0.2.9")});
    EXPECT_EQ(resolver_->find(ip("192.0.2.9")).state, HopState::kNoRoute);
    balancer_.shell("for i in $(seq 0 19); do for j in $(seq 0 249); do echo route add 172.16.$i.$j via 10.78.0.2; done;"
                    " done | ip -batch - && echo route add 192.0.2.9 via 10.78.0.2 | ip -batch -");
    EXPECT_TRUE(becomes(ip("192.0.2.9"), [](const NextHop &hop) { return hop.mac == kGatewayMac; }));
    EXPECT_TRUE(resolver_->find(ip("10.77.0.31")).resolved);
}

TEST_F(ResolverTest, SleepsWhenNothingHappens) {
    open({ip("10.77.0.31"), ip("10.77.0.99"), ip("203.0.113.1")}); // one of each: resolved, failing, no route
    const std::uint64_t before = resolver_->wakeups();
    std::this_thread::sleep_for(1s);
    // The failing one is asked every 400 ms here, and each time the kernel tells twice what became of it.
    EXPECT_LT(resolver_->wakeups() - before, 30u);
    EXPECT_GT(resolver_->wakeups() - before, 1u) << "it is asked again";
}

} // namespace
} // namespace fairlead::nexthop
