// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/latency_histogram.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace fairlead::pktgen {
namespace {

/// Nearest rank in a sorted list.
wire::u64 percentile_of(const std::vector<wire::u64> &sorted, double percent) {
    const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
    return sorted[std::max<std::size_t>(rank, 1) - 1];
}

TEST(LatencyHistogram, PercentilesAreThoseOfASortedListWithin1Point6Percent) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 50; ++round) {
        LatencyHistogram histogram;
        std::vector<wire::u64> values(1 + random() % 3000);
        for (auto &value : values) {
            value = random() >> (random() % 64); // every order of magnitude alike
            histogram.add(value);
        }
        std::ranges::sort(values);
        ASSERT_EQ(histogram.count(), values.size());
        ASSERT_EQ(histogram.min(), values.front());
        ASSERT_EQ(histogram.max(), values.back());
        for (const double percent : {0.0, 0.1, 25.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
            const auto exact = percentile_of(values, percent);
            const auto found = histogram.percentile(percent);
            ASSERT_GE(found, exact) << percent;
            ASSERT_LE(static_cast<double>(found - exact), static_cast<double>(exact) * 0.016) << percent;
        }
    }
}

TEST(LatencyHistogram, IsExactForSmallValuesAndHoldsTheLargest) {
    LatencyHistogram histogram;
    for (wire::u64 value = 0; value < 128; ++value) histogram.add(value);
    for (unsigned rank = 1; rank <= 128; ++rank) EXPECT_EQ(histogram.percentile(100.0 * rank / 128), rank - 1);
    histogram.add(~wire::u64{0});
    EXPECT_EQ(histogram.max(), ~wire::u64{0});
    EXPECT_EQ(histogram.percentile(100), ~wire::u64{0});
}

TEST(LatencyHistogram, WithoutValuesSaysZero) {
    LatencyHistogram histogram;
    histogram.add(7);
    histogram.clear();
    EXPECT_EQ(histogram.count(), 0U);
    EXPECT_EQ(histogram.min(), 0U);
    EXPECT_EQ(histogram.max(), 0U);
    EXPECT_EQ(histogram.percentile(50), 0U);
}

} // namespace
} // namespace fairlead::pktgen
