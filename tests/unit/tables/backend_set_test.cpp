// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/backend_set.hpp"

#include <gtest/gtest.h>

#include "tests/unit/tables/member_lists.hpp"

namespace fairlead::tables {
namespace {

BackendSet set_of(std::uint16_t count, std::uint32_t weight = 100) {
    return backend_set(Algorithm::kRendezvous, 101, members(count, weight));
}

SetHistory list_of(std::initializer_list<std::uint16_t> counts) { // the last one is the most recent
    SetHistory list;
    for (const std::uint16_t count : counts) list = list.with(set_of(count));
    return list;
}

TEST(BackendSet, IsWhatOwnsRowsInWhateverOrderAndSlots) {
    std::vector<Member> some = {member(5, 7), member(2, 0), member(1, 9)};
    const BackendSet set = backend_set(Algorithm::kMaglev, 101, some);
    EXPECT_EQ(set.members, (std::vector<WeightedAddress>{{member(1).address, 9}, {member(5).address, 7}}));
    std::ranges::reverse(some);
    for (Member &one : some) one.slot = static_cast<std::uint16_t>(one.slot + 100);
    EXPECT_EQ(backend_set(Algorithm::kMaglev, 101, some), set);
}

TEST(BackendSet, AlgorithmRowCountAddressAndWeightTellSetsApart) {
    const BackendSet set = set_of(3);
    EXPECT_NE(backend_set(Algorithm::kMaglev, 101, members(3)), set);
    EXPECT_NE(backend_set(Algorithm::kRendezvous, 103, members(3)), set);
    EXPECT_NE(set_of(4), set);
    EXPECT_NE(set_of(3, 99), set);
    EXPECT_NE(set_of(3, 99).digest, set.digest);
    EXPECT_NE(set_of(4).digest, set.digest);
}

TEST(SetHistory, TheSetUsedLastIsFirst) {
    const SetHistory list = list_of({1, 2, 3});
    ASSERT_EQ(list.sets().size(), 3u);
    EXPECT_EQ(*list.sets()[0], set_of(3));
    EXPECT_EQ(*list.sets()[2], set_of(1));
}

TEST(SetHistory, ASetThatReturnsMovesToTheFrontAndPushesOutNothing) {
    EXPECT_EQ(list_of({1, 2, 3, 2}), list_of({1, 3, 2}));
    SetHistory flapping = list_of({5, 6, 7, 8});
    for (int i = 0; i < 1000; ++i) flapping = flapping.with(set_of(7)).with(set_of(8));
    EXPECT_EQ(flapping, list_of({5, 6, 7, 8}));
}

TEST(SetHistory, AnEmptySetIsNotRecorded) {
    EXPECT_EQ(list_of({1, 0, 2, 0}), list_of({1, 2}));
    EXPECT_EQ(list_of({1}).with(set_of(4, 0)), list_of({1}));
}

TEST(SetHistory, KeepsTheLastSixtyFour) {
    SetHistory list;
    for (std::uint16_t count = 1; count <= 70; ++count) list = list.with(set_of(count));
    ASSERT_EQ(list.sets().size(), kSetCountMax);
    EXPECT_EQ(*list.sets().front(), set_of(70));
    EXPECT_EQ(*list.sets().back(), set_of(7));
}

TEST(SetHistory, DigestsDifferByContentAndOrder) {
    EXPECT_EQ(list_of({1, 2, 1}).digest(), list_of({2, 1}).digest());
    EXPECT_NE(list_of({1, 2}).digest(), list_of({2, 1}).digest());
    EXPECT_NE(list_of({1, 2}).digest(), list_of({2}).digest());
}

} // namespace
} // namespace fairlead::tables
