// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/row_table.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/unit/tables/member_lists.hpp"

namespace fairlead::tables {
namespace {

bool is_prime(std::uint32_t number) {
    for (std::uint32_t factor = 2; factor * factor <= number; ++factor) {
        if (number % factor == 0) return false;
    }
    return number >= 2;
}

TEST(RowCount, IsAPrimeThatIsLargeEnoughAndGrowsSeldom) {
    std::set<std::uint32_t> counts;
    for (std::size_t backends = 0; backends <= wire::kSlotCapacity; ++backends) {
        const std::uint32_t rows = row_count(backends);
        ASSERT_GE(rows, std::max<std::size_t>(65537, 100 * backends));
        ASSERT_LE(rows, std::max<std::size_t>(65537, 170 * backends));
        ASSERT_LE(rows, std::uint32_t{wire::kRowCountMax});
        ASSERT_TRUE(counts.empty() || rows >= *counts.rbegin());
        counts.insert(rows);
    }
    EXPECT_TRUE(std::ranges::all_of(counts, is_prime));
    EXPECT_LE(counts.size(), 12u);
    EXPECT_EQ(row_count(100), 65537u);
    EXPECT_EQ(row_count(1000), 100003u);
    EXPECT_EQ(row_count(10000), 1000003u);
}

TEST(Algorithm, NamesReadBackAsThemselves) {
    for (const Algorithm algorithm : {Algorithm::kRendezvous, Algorithm::kMaglev}) {
        EXPECT_EQ(algorithm_from_string(to_string(algorithm)), algorithm);
        EXPECT_NE(kAlgorithmNames.find(to_string(algorithm)), std::string_view::npos);
    }
    EXPECT_EQ(algorithm_from_string("ketama"), std::nullopt);
    EXPECT_EQ(algorithm_from_string("Maglev"), std::nullopt);
    EXPECT_EQ(algorithm_from_string(""), std::nullopt);
}

TEST(Address, HoldsAnIpv4InItsFirstFourBytesInNetworkOrder) {
    const Address address = address_of(wire::Be32::from_host(0x0a14001f));
    EXPECT_EQ(address, (Address{10, 20, 0, 31}));
}

/// What holds for every algorithm.
class RowTable : public testing::TestWithParam<Algorithm> {
  protected:
    static Rows table(std::span<const Member> members, const Seed &seed = kSeed) {
        return build(GetParam(), members, kRows, seed);
    }
};

TEST_P(RowTable, DoesNotDependOnTheOrderOfMembers) {
    std::mt19937_64 random(8);
    std::vector<Member> set = random_members(random, 80, 100);
    const Rows expected = table(set);
    for (int i = 0; i < 4; ++i) {
        std::ranges::shuffle(set, random);
        EXPECT_EQ(table(set), expected);
    }
}

TEST_P(RowTable, OwnersStayTheSameWhenSlotsAreRenumbered) {
    const std::vector<Member> before = members(60);
    std::vector<Member> after = before;
    for (Member &one : after) one.slot = static_cast<std::uint16_t>(40000 - 7 * one.slot);
    const Rows rows_before = table(before);
    const Rows rows_after = table(after);
    for (std::size_t row = 0; row < kRows; ++row) ASSERT_EQ(rows_after[row], 40000 - 7 * rows_before[row]);
    EXPECT_EQ(digest_rows(rows_before, before), digest_rows(rows_after, after));
}

TEST_P(RowTable, AnotherSeedGivesAnUnrelatedTable) {
    Seed other = kSeed;
    other[0] ^= 1;
    const std::size_t moved = moved_rows(table(members(100)), table(members(100), other));
    EXPECT_NEAR(static_cast<double>(moved), kRows * 0.99, kRows * 0.003);
}

TEST_P(RowTable, MembersOfWeightZeroOwnNothingAndChangeNothing) {
    std::vector<Member> set = members(20);
    set[3].weight = set[7].weight = 0;
    const Rows rows = table(set);
    const auto held = rows_by_slot(rows);
    EXPECT_EQ(held[3] + held[7], 0u);
    std::erase_if(set, [](const Member &one) { return one.weight == 0; });
    EXPECT_EQ(table(set), rows);
}

TEST_P(RowTable, OneMemberOwnsAll) {
    EXPECT_EQ(table(std::vector{member(5, 1), member(6, 0)}), Rows(kRows, 5));
    EXPECT_EQ(table(std::vector{member(5, kWeightMax)}), Rows(kRows, 5));
}

TEST_P(RowTable, NobodyOwnsTheRowsOfAnEmptySet) {
    EXPECT_EQ(table({}), Rows(kRows, wire::kNoSlot));
    EXPECT_EQ(table(members(3, 0)), Rows(kRows, wire::kNoSlot));
}

TEST_P(RowTable, EqualWeightsAreEqualWhateverTheyAre) {
    const std::vector<Member> light = members(50, 1);
    const std::vector<Member> heavy = members(50, kWeightMax);
    EXPECT_LE(moved_rows(table(light), table(heavy)), kRows / 1000); // scores tie more often when divided by more
}

TEST_P(RowTable, WeightsAboveTheLargestCountAsTheLargest) {
    EXPECT_EQ(table(std::vector{member(0, 4'000'000'000), member(1, 1000)}),
              table(std::vector{member(0, kWeightMax), member(1, 1000)}));
}

TEST_P(RowTable, OfTwoMembersWithOneAddressTheSmallerSlotCounts) {
    std::vector<Member> set = members(5);
    const Rows expected = table(set);
    Member twin = set[2];
    twin.slot = 77;
    twin.weight = 900;
    set.insert(set.begin(), twin);
    EXPECT_EQ(table(set), expected);
}

TEST_P(RowTable, BuilderFollowsTheSetThroughEverythingAndChangesRowCount) {
    TableBuilder builder(GetParam(), kSeed);
    EXPECT_EQ(builder.algorithm(), GetParam());
    for (const std::uint16_t count : std::initializer_list<std::uint16_t>{0, 1, 2, 3, 9, 10, 655, 656, 654, 0, 40}) {
        const std::vector<Member> set = members(count);
        const Rows rows = builder.build(set);
        EXPECT_EQ(rows.size(), row_count(count));
        EXPECT_EQ(rows, build(GetParam(), set, row_count(count), kSeed)) << count << " members";
    }
}

TEST_P(RowTable, BuilderKeepsTheRowCountThroughADrain) {
    std::vector<Member> set = members(656);
    TableBuilder builder(GetParam(), kSeed);
    const std::size_t before = builder.build(set).size();
    set.front().weight = 0;
    EXPECT_EQ(builder.build(set).size(), before);
}

INSTANTIATE_TEST_SUITE_P(Algorithms, RowTable, testing::Values(Algorithm::kRendezvous, Algorithm::kMaglev),
                         [](const auto &param) {
                             return param.param == Algorithm::kRendezvous ? "Rendezvous" : "Maglev";
                         });

TEST(DigestRows, ChangesWithEveryRow) {
    const std::vector<Member> set = members(4);
    const Rows rows = {0, 1, 2, 3, 0, 1, 2, 3};
    std::set<std::uint64_t> digests = {digest_rows(rows, set), digest_rows(Rows(), set)};
    for (std::size_t row = 0; row < rows.size(); ++row) {
        Rows other = rows;
        other[row] = static_cast<std::uint16_t>((rows[row] + 1) % 4);
        digests.insert(digest_rows(other, set));
        other[row] = wire::kNoSlot;
        digests.insert(digest_rows(other, set));
        digests.insert(digest_rows(std::span(rows).first(row + 1), set));
    }
    EXPECT_EQ(digests.size(), 2 + 3 * rows.size() - 1); // the first 8 of 8 rows are the rows
}

} // namespace
} // namespace fairlead::tables
