// SPDX-License-Identifier: Apache-2.0
#include "controlplane/nexthop/hop_table.hpp"

#include <gtest/gtest.h>
#include <linux/neighbour.h>

namespace fairlead::nexthop {
namespace {

using namespace std::chrono_literals;

constexpr MacAddress kFirst{2, 0, 0, 0, 0, 1};
constexpr MacAddress kSecond{2, 0, 0, 0, 0, 2};
constexpr wire::Be32 kBackend = wire::Be32::from_host(0x0a14001f);
constexpr wire::Be32 kOther = wire::Be32::from_host(0x0a140020);
constexpr wire::Be32 kGateway = wire::Be32::from_host(0x0a140001);

Route on_link(wire::Be32 address, unsigned ifindex = 2) { return {HopState::kResolving, ifindex, address}; }
NeighbourKey key(wire::Be32 address, unsigned ifindex = 2) { return {ifindex, address.raw}; }

class HopTableTest : public ::testing::Test {
  protected:
    HopTableTest() {
        (void)table_.set_targets({kBackend});
        table_.on_route(kBackend, on_link(kBackend), now_);
    }
    void say(std::uint16_t nud, std::optional<MacAddress> mac = {}, wire::Be32 address = kBackend) {
        table_.on_neighbour({key(address), nud, mac}, now_);
    }
    std::size_t asked() { return table_.take_due(now_).size(); }
    [[nodiscard]] NextHop hop() const { return table_.find(kBackend); }

    HopTable table_{500ms, 10s};
    Clock::time_point now_{1000s};
};

TEST_F(HopTableTest, AsksForANeighbourThatTheKernelDoesNotKnow) {
    EXPECT_EQ(hop().state, HopState::kResolving);
    EXPECT_FALSE(table_.all_answered());
    const auto due = table_.take_due(now_);
    ASSERT_EQ(due.size(), 1u);
    EXPECT_EQ(due[0], key(kBackend));
    say(NUD_INCOMPLETE);
    say(NUD_REACHABLE, kFirst);
    EXPECT_TRUE(hop().resolved);
    EXPECT_EQ(hop().mac, kFirst);
    EXPECT_EQ(hop().via, kBackend);
    EXPECT_EQ(hop().ifindex, 2u);
    EXPECT_TRUE(table_.all_answered());
    EXPECT_EQ(table_.next_due(), std::nullopt) << "the kernel says when it doubts it";
}

TEST_F(HopTableTest, KeepsAnAddressWhileItIsOnlyDoubted) {
    say(NUD_REACHABLE, kFirst);
    (void)table_.take_changed();
    for (const int nud : {NUD_STALE, NUD_DELAY, NUD_PROBE}) {
        say(static_cast<std::uint16_t>(nud), kFirst);
        EXPECT_TRUE(hop().resolved) << nud;
    }
    say(NUD_NONE); // collected by the kernel
    EXPECT_TRUE(hop().resolved);
    say(NUD_INCOMPLETE);
    EXPECT_TRUE(hop().resolved);
    EXPECT_FALSE(table_.take_changed());
    say(NUD_FAILED);
    EXPECT_FALSE(hop().resolved);
    EXPECT_EQ(hop().state, HopState::kFailed);
    EXPECT_EQ(hop().mac, MacAddress{});
    EXPECT_TRUE(table_.take_changed());
    say(NUD_INCOMPLETE); // asked again
    EXPECT_EQ(hop().state, HopState::kFailed);
    say(NUD_REACHABLE, kSecond);
    EXPECT_EQ(hop().mac, kSecond);
}

TEST_F(HopTableTest, AnEntryThatSomebodyDeletesIsOnlyDoubted) {
    say(NUD_REACHABLE, kFirst);
    say(NUD_FAILED); // how the kernel announces it
    say(NUD_NONE);
    EXPECT_TRUE(hop().resolved);
    EXPECT_EQ(asked(), 1u);
    EXPECT_TRUE(hop().resolved);
    say(NUD_FAILED);
    EXPECT_EQ(hop().state, HopState::kFailed);
}

TEST_F(HopTableTest, AFailureFromBeforeIsAskedAboutBeforeItCounts) {
    say(NUD_FAILED);
    EXPECT_EQ(hop().state, HopState::kResolving);
    EXPECT_EQ(asked(), 1u);
    say(NUD_FAILED); // the kernel says nothing of the time in between
    EXPECT_EQ(hop().state, HopState::kFailed);
}

TEST_F(HopTableTest, HasAStaleNeighbourConfirmed) {
    say(NUD_REACHABLE, kFirst);
    say(NUD_STALE, kFirst);
    EXPECT_EQ(asked(), 0u);
    now_ += 500ms;
    EXPECT_EQ(asked(), 1u);
    say(NUD_DELAY, kFirst);
    EXPECT_EQ(table_.next_due(), std::nullopt);
}

TEST_F(HopTableTest, FollowsAChangedAddress) {
    say(NUD_REACHABLE, kFirst);
    (void)table_.take_changed();
    say(NUD_STALE, kSecond);
    EXPECT_EQ(hop().mac, kSecond);
    EXPECT_TRUE(table_.take_changed());
}

TEST_F(HopTableTest, AsksAgainAtOnceWhenAKnownNeighbourFailsThenLessAndLessOften) {
    say(NUD_PROBE, kFirst);
    say(NUD_FAILED);
    EXPECT_FALSE(hop().resolved);
    EXPECT_EQ(asked(), 1u) << "its MAC address may be another one";
    std::vector<std::chrono::milliseconds> gaps;
    for (auto last = now_; gaps.size() < 8;) {
        say(NUD_INCOMPLETE);
        say(NUD_FAILED);
        ASSERT_TRUE(table_.next_due());
        gaps.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(*table_.next_due() - last));
        EXPECT_EQ(asked(), 0u) << "not before its time, whatever the kernel says meanwhile";
        last = now_ = *table_.next_due();
        EXPECT_EQ(asked(), 1u);
    }
    EXPECT_EQ(gaps, (std::vector<std::chrono::milliseconds>{500ms, 1s, 2s, 4s, 8s, 10s, 10s, 10s}));
}

TEST_F(HopTableTest, ALinkThatComesUpHasItsFailedNeighboursAskedAtOnce) {
    table_.on_link(2, true, now_);
    (void)asked();
    say(NUD_FAILED);
    EXPECT_EQ(asked(), 0u);
    table_.on_link(2, true, now_);
    EXPECT_EQ(asked(), 0u) << "it was up already";
    table_.on_link(2, false, now_);
    table_.on_link(3, true, now_);
    EXPECT_EQ(asked(), 0u) << "another link";
    table_.on_link(2, true, now_);
    EXPECT_EQ(asked(), 1u);
}

TEST_F(HopTableTest, NeverAsksForAPermanentNeighbour) {
    say(NUD_PERMANENT, kFirst);
    EXPECT_TRUE(hop().resolved);
    EXPECT_EQ(table_.next_due(), std::nullopt);
    table_.on_link(2, true, now_);
    EXPECT_EQ(table_.next_due(), std::nullopt);
}

TEST_F(HopTableTest, ANeighbourMissingFromADumpIsAskedForAgain) {
    say(NUD_REACHABLE, kFirst);
    table_.begin_dump();
    say(NUD_REACHABLE, kFirst);
    table_.end_dump(now_);
    EXPECT_EQ(asked(), 0u);
    table_.begin_dump();
    table_.end_dump(now_);
    EXPECT_EQ(asked(), 1u);
    EXPECT_TRUE(hop().resolved);
}

TEST_F(HopTableTest, ANewGatewayTakesOverWhenItIsResolvedAndNotBefore) {
    say(NUD_REACHABLE, kFirst);
    (void)table_.take_changed();
    table_.on_route(kBackend, {HopState::kResolving, 3, kGateway}, now_);
    EXPECT_EQ(hop().mac, kFirst);
    EXPECT_FALSE(table_.take_changed());
    table_.on_neighbour({key(kGateway, 3), NUD_REACHABLE, kSecond}, now_);
    EXPECT_EQ(hop().mac, kSecond);
    EXPECT_EQ(hop().via, kGateway);
    EXPECT_EQ(hop().ifindex, 3u);
    say(NUD_REACHABLE, kFirst); // the neighbour it had is nobody's now
    EXPECT_EQ(hop().mac, kSecond);
    EXPECT_EQ(table_.next_due(), std::nullopt);
}

TEST_F(HopTableTest, WithoutARouteThereIsNoHop) {
    say(NUD_REACHABLE, kFirst);
    table_.on_route(kBackend, Route{}, now_);
    EXPECT_FALSE(hop().resolved);
    EXPECT_EQ(hop().state, HopState::kNoRoute);
    EXPECT_EQ(hop().ifindex, 0u);
    EXPECT_EQ(table_.next_due(), std::nullopt);
    table_.on_route(kBackend, on_link(kBackend), now_);
    EXPECT_FALSE(hop().resolved) << "what was known before it lost its route is not to be trusted";
}

TEST_F(HopTableTest, BackendsBehindOneGatewayShareItsNeighbour) {
    (void)table_.set_targets({kBackend, kOther});
    table_.on_route(kBackend, {HopState::kResolving, 2, kGateway}, now_);
    table_.on_route(kOther, {HopState::kResolving, 2, kGateway}, now_);
    EXPECT_EQ(asked(), 1u);
    say(NUD_REACHABLE, kFirst, kGateway);
    EXPECT_EQ(table_.find(kBackend).mac, kFirst);
    EXPECT_EQ(table_.find(kOther).mac, kFirst);
    (void)table_.set_targets({kOther});
    say(NUD_STALE, kSecond, kGateway);
    EXPECT_EQ(table_.find(kOther).mac, kSecond);
    EXPECT_EQ(hop().state, HopState::kResolving) << "no longer followed";
}

TEST_F(HopTableTest, TargetsThatStayKeepTheirHops) {
    say(NUD_REACHABLE, kFirst);
    EXPECT_TRUE(table_.set_targets({kOther, kBackend, kOther}));
    EXPECT_TRUE(hop().resolved);
    EXPECT_FALSE(table_.set_targets({kBackend}));
    EXPECT_TRUE(hop().resolved);
    (void)table_.set_targets({});
    EXPECT_EQ(table_.next_due(), std::nullopt);
    EXPECT_TRUE(table_.all_answered());
}

TEST_F(HopTableTest, ADeviceWithoutEthernetAddressesGivesNoHop) {
    say(NUD_NOARP, MacAddress{});
    EXPECT_FALSE(hop().resolved);
    EXPECT_EQ(hop().state, HopState::kNoLinkLayer);
    EXPECT_EQ(table_.next_due(), std::nullopt);
}

} // namespace
} // namespace fairlead::nexthop
