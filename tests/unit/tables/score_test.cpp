// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/score.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <unordered_set>

#include "tests/unit/tables/member_lists.hpp"

namespace fairlead::tables {
namespace {

/// Draws across all magnitudes, both ends, and both sides of every halving of 1 - u.
std::vector<std::uint32_t> sample_draws() {
    std::vector<std::uint32_t> draws;
    for (std::uint64_t d = 0; d <= 0xffffffff; d += 1 + d / 20000) draws.push_back(static_cast<std::uint32_t>(d));
    for (int bit = 0; bit < 32; ++bit) {
        const std::uint32_t edge = std::uint32_t{1} << bit;
        for (const std::uint32_t near : {edge - 1, edge, edge + 1}) {
            draws.push_back(near);
            draws.push_back(~near);
        }
    }
    draws.push_back(0xffffffff);
    std::ranges::sort(draws);
    draws.erase(std::unique(draws.begin(), draws.end()), draws.end());
    return draws;
}

TEST(Score, LogarithmIsWithinTwoMillionths) {
    for (const std::uint32_t d : sample_draws()) {
        const long double u = (2.0L * d + 1) / 0x1p33L;
        const long double expected = -log1pl(-u);
        const long double actual = static_cast<long double>(negative_log(d)) / 0x1p58L;
        ASSERT_LT(fabsl(actual / expected - 1), 2e-6L) << "draw " << d;
    }
}

TEST(Score, LogarithmRisesStrictly) {
    const std::vector<std::uint32_t> draws = sample_draws();
    for (std::size_t i = 1; i < draws.size(); ++i) {
        ASSERT_LT(negative_log(draws[i - 1]), negative_log(draws[i])) << "draw " << draws[i];
    }
    for (const std::uint32_t d : draws) {
        if (d < 0xffffffff) {
            ASSERT_LT(negative_log(d), negative_log(d + 1)) << "draw " << d;
        }
    }
}

TEST(Score, DrawLimitIsTheLastDrawWithinTheScore) {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20000; ++i) {
        const std::uint32_t weight = static_cast<std::uint32_t>(random() % kWeightMax + 1);
        const std::uint64_t score_max = (kScoreMax >> random() % 60) - random() % 2;
        const std::uint32_t limit = draw_limit(score_max, weight);
        if (limit > 0) {
            EXPECT_LE(score(limit, weight), score_max);
        }
        if (limit < 0xffffffff) {
            EXPECT_GT(score(limit + 1, weight), score_max);
        }
    }
    EXPECT_EQ(draw_limit(kScoreMax, 1), 0xffffffff);
    EXPECT_EQ(draw_limit(0, 1), 0u);
}

// What makes ties within one backend impossible.
TEST(Score, DrawsOfOneBackendAreAllDifferent) {
    for (std::uint16_t number = 0; number < 5; ++number) {
        const BackendKey key = backend_key(kSeed, member(number).address);
        std::unordered_set<std::uint32_t> seen;
        for (std::uint32_t row = 0; row < 250007; ++row) ASSERT_TRUE(seen.insert(draw(row_key(row), key)).second);
    }
}

TEST(Score, KeyDependsOnSeedAndAddress) {
    const BackendKey key = backend_key(kSeed, member(1).address);
    Seed other_seed = kSeed;
    other_seed[15] ^= 1;
    for (const BackendKey other : {backend_key(kSeed, member(2).address), backend_key(other_seed, member(1).address)}) {
        EXPECT_NE(key.low, other.low);
        EXPECT_NE(key.high, other.high);
    }
}

} // namespace
} // namespace fairlead::tables
