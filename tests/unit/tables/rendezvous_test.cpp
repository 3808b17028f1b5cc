// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/rendezvous.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/unit/tables/member_lists.hpp"

namespace fairlead::tables {
namespace {

Rows rendezvous(std::span<const Member> members, const Seed &seed = kSeed) {
    return build(Algorithm::kRendezvous, members, kRows, seed);
}

/// Seeds for what holds on average: the same in each run.
std::vector<Seed> seeds(std::size_t count) {
    std::mt19937_64 random(4);
    std::vector<Seed> result(count);
    for (Seed &seed : result) {
        for (auto &byte : seed) byte = static_cast<std::uint8_t>(random());
    }
    return result;
}

TEST(RendezvousTable, AddingABackendToAHundredMovesAtMost1Point3TimesItsShare) {
    const std::vector<Member> larger = members(101);
    const auto smaller = std::span(larger).first(100);
    for (const Seed &seed : seeds(12)) {
        const std::size_t moved = moved_rows(rendezvous(smaller, seed), rendezvous(larger, seed));
        EXPECT_LE(static_cast<double>(moved), 1.3 * kRows / 101);
        EXPECT_GE(static_cast<double>(moved), 0.9 * kRows / 101); // the newcomer gets its share
    }
}

TEST(RendezvousTable, AddingABackendToAThousandMovesAtMostFourTimesItsShareAnywhere) {
    // 1,000 to 1,010 is where a capacity common to all would step from 102 to 101, then to 100.
    constexpr std::uint16_t kFirst = 990;
    constexpr std::uint32_t kRowsOfAThousand = 100003;
    RendezvousTable table(kRowsOfAThousand, kSeed);
    Rows before = table.build(members(kFirst));
    for (unsigned added = 1; added <= 25; ++added) {
        const auto count = static_cast<std::uint16_t>(kFirst + added);
        const Rows after = table.build(members(count));
        EXPECT_LE(moved_rows(before, after), 4 * kRowsOfAThousand / count) << count << " backends";
        before = after;
    }
}

TEST(RendezvousTable, RemovingABackendMovesAtMost1Point3TimesItsShare) {
    const std::vector<Member> all = members(100);
    const Rows before = rendezvous(all);
    for (const std::size_t gone : {0u, 50u, 99u}) {
        std::vector<Member> rest = all;
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(gone));
        EXPECT_LE(static_cast<double>(moved_rows(before, rendezvous(rest))), 1.3 * kRows / 100);
    }
}

TEST(RendezvousTable, NobodyIsMoreThan1Point5PercentAboveItsShare) {
    for (const std::uint16_t count : std::initializer_list<std::uint16_t>{2, 10, 100, 101, 250}) {
        EXPECT_LE(overload_max(rendezvous(members(count)), members(count)), 0.015) << count << " backends";
    }
    std::vector<Member> weighted = members(100);
    for (Member &one : weighted) one.weight = 50 + one.slot;
    EXPECT_LE(overload_max(rendezvous(weighted), weighted), 0.015);
}

TEST(RendezvousTable, NobodyIsAboveTheRoundedUpShareWithSlack) {
    std::mt19937_64 random(5);
    for (int round = 0; round < 60; ++round) {
        const std::uint32_t rows = round % 2 == 0 ? 1009 : 11;
        const auto set = random_members(random, random() % 40 + 1, round % 3 == 0 ? kWeightMax : 7);
        std::uint64_t weight_sum = 0;
        for (const Member &one : set) weight_sum += one.weight;
        if (weight_sum == 0) continue;
        const auto held = rows_by_slot(build(Algorithm::kRendezvous, set, rows, kSeed));
        for (const Member &one : set) {
            const std::uint64_t most = (1010ull * rows * one.weight + 1000 * weight_sum - 1) / (1000 * weight_sum);
            EXPECT_LE(held[one.slot], most);
        }
    }
}

TEST(RendezvousTable, RowsFollowWeightsOneToThree) {
    const std::vector<Member> set = {member(0, 1), member(1, 3)};
    const auto held = rows_by_slot(rendezvous(set));
    EXPECT_NEAR(held[0], kRows * 0.25, kRows * 0.25 * 0.031); // what the heavier may have above is missing here
    EXPECT_NEAR(held[1], kRows * 0.75, kRows * 0.75 * 0.0101);
}

// With room for everybody's luck this is plain weighted rendezvous: every share is a binomial draw.
TEST(RendezvousTable, FirstChoicesAreDistributedByWeight) {
    constexpr std::uint32_t kRoomForAll = 1000;
    double chi_square = 0;
    double degrees = 0;
    for (const Seed &seed : seeds(10)) {
        std::vector<Member> set = members(100);
        double weight_sum = 0;
        for (Member &one : set) weight_sum += one.weight = one.slot % 3 == 0 ? 40 : 120;
        const auto held = rows_by_slot(RendezvousTable(kRows, seed, kRoomForAll).build(set));
        for (const Member &one : set) {
            const double expected = kRows * one.weight / weight_sum;
            chi_square += (held[one.slot] - expected) * (held[one.slot] - expected) / expected;
        }
        degrees += 99;
    }
    // 990 degrees of freedom: mean 1, standard deviation 0.045.
    EXPECT_NEAR(chi_square / degrees, 1.0, 0.18);
}

// The second choices of one backend's rows spread as evenly: its leaving overloads nobody.
TEST(RendezvousTable, SecondChoicesAreIndependentOfTheFirst) {
    constexpr std::uint32_t kRoomForAll = 1000;
    double chi_square = 0;
    double degrees = 0;
    for (const Seed &seed : seeds(20)) {
        const std::vector<Member> all = members(50);
        RendezvousTable table(kRows, seed, kRoomForAll);
        const Rows before = table.build(all);
        const Rows after = table.build(std::span(all).subspan(1));
        std::vector<std::uint32_t> heirs(50, 0);
        double inherited = 0;
        for (std::size_t row = 0; row < before.size(); ++row) {
            if (before[row] != 0) {
                ASSERT_EQ(before[row], after[row]);
                continue;
            }
            ++heirs[after[row]];
            ++inherited;
        }
        const double expected = inherited / 49;
        for (std::size_t heir = 1; heir < 50; ++heir) {
            chi_square += (heirs[heir] - expected) * (heirs[heir] - expected) / expected;
        }
        degrees += 48;
    }
    EXPECT_NEAR(chi_square / degrees, 1.0, 0.18); // 960 degrees of freedom
}

TEST(RendezvousTable, IncrementalTablesEqualTablesFromScratchAtFullSize) {
    std::mt19937_64 random(6);
    std::vector<Member> pool = members(400);
    for (Member &one : pool) one.weight = static_cast<std::uint32_t>(random() % 200);
    RendezvousTable table(kRows, kSeed);
    std::vector<Member> present(pool.begin(), pool.begin() + 300);
    for (int step = 0; step < 25; ++step) {
        const Rows incremental = table.build(present);
        ASSERT_EQ(incremental, rendezvous(present)) << "step " << step;
        Member &changed = present[random() % present.size()];
        if (step % 5 == 0) changed.weight = static_cast<std::uint32_t>(random() % 300);
        else if (step % 5 == 1) present.erase(present.begin() + static_cast<std::ptrdiff_t>(random() % 200));
        else if (step % 5 == 2) present.push_back(pool[300 + static_cast<std::size_t>(step)]);
        else if (step % 5 == 3) std::swap(changed.slot, present.front().slot);
        else present.erase(present.begin(), present.begin() + 6);
    }
}

} // namespace
} // namespace fairlead::tables
