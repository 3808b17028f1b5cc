// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/rate_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace fairlead::pktgen {
namespace {

/// A device that forwards so much and drops the rest, behind a generator that can send so much.
struct Bench {
    double device_pps;
    double generator_pps;
    double broken_share = 0; ///< lost at any rate

    TrialOutcome run(double asked_pps) const {
        const double achieved = asked_pps == 0 ? generator_pps : std::min(asked_pps, generator_pps);
        const double returned = std::min(achieved, device_pps) * (1 - broken_share);
        constexpr double kSeconds = 1e6; // so that packets, which are whole, tell the rates apart
        return {.achieved_pps = achieved, .sent = static_cast<wire::u64>(achieved * kSeconds), .returned = static_cast<wire::u64>(returned * kSeconds)};
    }
};

struct Found {
    RateSearch search;
    std::vector<double> asked;
};

Found search(const Bench &bench, const RateSearch::Terms &terms) {
    Found found{RateSearch(terms), {}};
    while (const auto rate = found.search.next_pps()) {
        found.asked.push_back(*rate);
        found.search.judge(bench.run(*rate));
    }
    return found;
}

TEST(RateSearch, FindsTheRateOfAnyDeviceWithinItsResolution) {
    for (const double device_pps : {150.0, 9'000.0, 123'456.0, 1e6, 9.9e6})
        for (const double resolution : {0.1, 1.0, 10.0}) {
            const auto found = search({device_pps, 1e7}, {.rate_max_pps = 0, .loss_percent = 0, .resolution_percent = resolution});
            EXPECT_LE(found.search.throughput_pps(), device_pps + 1e-6);
            EXPECT_GE(found.search.throughput_pps(), device_pps * (1 - 1.01 * resolution / 100)) << device_pps << " " << resolution;
            EXPECT_GT(found.search.failed_pps(), device_pps);
            EXPECT_LE(found.asked.size(), RateSearch::kTrialCountMax);
            EXPECT_FALSE(found.search.is_generator_limited());
        }
}

TEST(RateSearch, StartsAtTheHighestRateAndEndsThereIfItPasses) {
    const auto found = search({2e6, 1e7}, {.rate_max_pps = 1e6});
    EXPECT_EQ(found.asked, std::vector<double>{1e6});
    EXPECT_EQ(found.search.throughput_pps(), 1e6);
    EXPECT_TRUE(found.search.is_at_rate_max());
    EXPECT_FALSE(found.search.is_generator_limited());
}

TEST(RateSearch, SaysWhenTheGeneratorIsTheLimit) {
    for (const double rate_max : {0.0, 5e6}) {
        const auto found = search({2e6, 1e6}, {.rate_max_pps = rate_max});
        EXPECT_EQ(found.search.throughput_pps(), 1e6);
        EXPECT_TRUE(found.search.is_generator_limited());
        EXPECT_FALSE(found.search.is_at_rate_max());
    }
}

TEST(RateSearch, AGeneratorThatFallsBehindOnceIsAskedAgain) {
    RateSearch search({.rate_max_pps = 1000, .loss_percent = 0, .resolution_percent = 1});
    search.judge({.achieved_pps = 1000, .sent = 1000, .returned = 900});
    ASSERT_EQ(search.next_pps(), 500);
    search.judge({.achieved_pps = 400, .sent = 400, .returned = 400});
    ASSERT_EQ(search.next_pps(), 500);
    EXPECT_EQ(search.throughput_pps(), 400);
    search.judge({.achieved_pps = 500, .sent = 500, .returned = 500});
    EXPECT_EQ(search.next_pps(), 750);
    search.judge({.achieved_pps = 600, .sent = 600, .returned = 600});
    search.judge({.achieved_pps = 600, .sent = 600, .returned = 600});
    EXPECT_EQ(search.next_pps(), std::nullopt);
    EXPECT_EQ(search.throughput_pps(), 600);
    EXPECT_TRUE(search.is_generator_limited());
}

TEST(RateSearch, WhatFailsBelowTheAskedRateHasFailedAtTheRateItReached) {
    RateSearch search({.rate_max_pps = 1000, .loss_percent = 0, .resolution_percent = 1});
    search.judge({.achieved_pps = 1000, .sent = 1000, .returned = 900});
    search.judge({.achieved_pps = 500, .sent = 500, .returned = 500});
    search.judge({.achieved_pps = 600, .sent = 600, .returned = 590});
    EXPECT_EQ(search.failed_pps(), 600);
    ASSERT_EQ(search.next_pps(), 550);
    const TrialOutcome disturbed{.achieved_pps = 400, .sent = 400, .returned = 390};
    search.judge(disturbed);
    EXPECT_EQ(search.next_pps(), 550) << "contradicts what has passed: again";
    search.judge(disturbed);
    EXPECT_EQ(search.next_pps(), 525);
    EXPECT_EQ(search.failed_pps(), 550);
    EXPECT_EQ(search.throughput_pps(), 500);
}

TEST(RateSearch, LossWithinTheAllowancePasses) {
    const Bench bench{.device_pps = 1e6, .generator_pps = 1e7, .broken_share = 0.001};
    EXPECT_EQ(search(bench, {.rate_max_pps = 0, .loss_percent = 0}).search.throughput_pps(), 0);
    const auto tolerant = search(bench, {.rate_max_pps = 0, .loss_percent = 0.2}).search.throughput_pps();
    EXPECT_GT(tolerant, 0.99e6);
    EXPECT_LT(tolerant, 1.002e6);
}

TEST(RateSearch, ADeviceThatForwardsNothingHasNoThroughput) {
    const auto found = search({0, 1e7}, {.rate_max_pps = 0});
    EXPECT_EQ(found.search.throughput_pps(), 0);
    EXPECT_LE(found.asked.size(), 20U);
    EXPECT_GE(found.asked.back(), RateSearch::kRateMin_pps);
}

TEST(RateSearch, APortThatSendsNothingEndsIt) {
    const auto found = search({1e6, 0}, {.rate_max_pps = 0});
    EXPECT_EQ(found.asked.size(), 1U);
    EXPECT_EQ(found.search.throughput_pps(), 0);
}

} // namespace
} // namespace fairlead::pktgen
