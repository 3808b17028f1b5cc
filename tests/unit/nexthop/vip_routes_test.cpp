// SPDX-License-Identifier: Apache-2.0
#include "controlplane/nexthop/vip_routes.hpp"

#include <gtest/gtest.h>

#include "controlplane/config/address.hpp"
#include "tests/unit/nexthop/network_namespace.hpp"

namespace fairlead::nexthop {
namespace {

class VipRoutesTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!space_.why_not().empty())
            GTEST_SKIP() << "needs to make network namespaces (root): " << space_.why_not();
        space_.shell("ip link set lo up && ip link add lan type veth peer name far && ip addr add 10.80.0.1/24 dev lan"
                     " && ip link set lan up && ip link set far up && ip route add default via 10.80.0.2");
    }
    VipRouteChange set(const std::vector<const char *> &vips) {
        std::vector<wire::Be32> addresses;
        for (const char *vip : vips) addresses.push_back(config::parse_ipv4(vip).value());
        VipRouteChange change;
        space_.inside([&] {
            auto outcome = set_vip_blackholes(addresses);
            ASSERT_TRUE(outcome) << outcome.error().format();
            change = *std::move(outcome);
        });
        return change;
    }
    test::NetworkNamespace space_;
};

TEST_F(VipRoutesTest, TheKernelNoLongerSendsOrAnswersForAVip) {
    space_.shell("ip route get 198.51.100.10 >/dev/null"); // by the default route
    const VipRouteChange change = set({"198.51.100.10", "198.51.100.11", "198.51.100.10"});
    EXPECT_EQ(change.added, 2u);
    EXPECT_EQ(change.removed, 0u);
    EXPECT_TRUE(change.conflicts.empty());
    space_.shell("! ip route get 198.51.100.10 >/dev/null 2>&1");
    space_.shell("! ip route get 198.51.100.11 >/dev/null 2>&1");
    space_.shell("ip route get 198.51.100.12 >/dev/null");
    space_.shell("test \"$(ip route show proto 250 | wc -l)\" = 2");
}

TEST_F(VipRoutesTest, RemovesItsOwnStaleRoutesAndNothingElse) {
    space_.shell("ip route add blackhole 203.0.113.1 proto static && ip route add 203.0.113.2 via 10.80.0.9 proto 250"
                 " && ip route add blackhole 203.0.113.3 proto 250 table 77"
                 " && ip route add blackhole 203.0.113.0/28 proto 250");
    (void)set({"198.51.100.10", "198.51.100.11"});
    const VipRouteChange change = set({"198.51.100.11", "198.51.100.12"});
    EXPECT_EQ(change.added, 1u);
    EXPECT_EQ(change.removed, 1u);
    space_.shell("ip route get 198.51.100.10 >/dev/null");
    EXPECT_EQ(set({}).removed, 2u);
    space_.shell("ip route show 203.0.113.1 | grep -q blackhole && ip route show 203.0.113.2 | grep -q via"
                 " && ip route show 203.0.113.0/28 | grep -q blackhole"
                 " && ip route show table 77 | grep -q 203.0.113.3");
}

TEST_F(VipRoutesTest, DoesNothingTheSecondTime) {
    (void)set({"198.51.100.10"});
    const VipRouteChange change = set({"198.51.100.10"});
    EXPECT_EQ(change.added, 0u);
    EXPECT_EQ(change.removed, 0u);
}

TEST_F(VipRoutesTest, ABlackholeOfARoutingDaemonServesAndStaysIts) {
    space_.shell("ip route add blackhole 198.51.100.10 proto bird");
    const VipRouteChange change = set({"198.51.100.10"});
    EXPECT_EQ(change.added, 0u);
    EXPECT_TRUE(change.conflicts.empty());
    EXPECT_EQ(set({}).removed, 0u);
    space_.shell("ip route show 198.51.100.10 | grep -q 'blackhole.*proto bird'");
}

TEST_F(VipRoutesTest, ReportsARouteInItsPlaceAndTheVipsThatAreFine) {
    space_.shell("ip route add 198.51.100.10 via 10.80.0.9");
    const VipRouteChange change = set({"198.51.100.10", "198.51.100.11"});
    EXPECT_EQ(change.added, 1u);
    ASSERT_EQ(change.conflicts.size(), 1u);
    EXPECT_NE(change.conflicts[0].format().find("another route to VIP 198.51.100.10"), std::string::npos);
    space_.shell("ip route show 198.51.100.10 | grep -q 'via 10.80.0.9'");
}

TEST_F(VipRoutesTest, ReportsAVipThatIsAnAddressOfThisHost) {
    space_.shell("ip addr add 198.51.100.10/32 dev lo");
    const VipRouteChange change = set({"198.51.100.10"});
    ASSERT_EQ(change.conflicts.size(), 1u);
    EXPECT_NE(change.conflicts[0].format().find("address of this host"), std::string::npos);
    EXPECT_EQ(change.added, 1u) << "in force as soon as the address is removed";
}

} // namespace
} // namespace fairlead::nexthop
