// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/tsc_clock.hpp"

#include <gtest/gtest.h>

namespace fairlead::io {
namespace {

wire::u64 monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<wire::u64>(now.tv_sec) * 1'000'000'000 + static_cast<wire::u64>(now.tv_nsec);
}

TEST(TscClock, ReadsTheMonotonicClockWhateverItThinksOfTheCountersFrequency) {
    for (const wire::u64 ticks_per_s : {1'000'000'000ULL, 2'600'000'000ULL, 5'000'000'000ULL}) {
        TscClock clock(ticks_per_s);
        const auto start_ns = monotonic_ns();
        while (monotonic_ns() < start_ns + 20'000'000) {}
        clock.set_right();
        const auto before_ns = monotonic_ns();
        clock.set_right();
        const auto read_ns = clock.now_ns();
        EXPECT_GE(read_ns, before_ns);
        EXPECT_LT(read_ns, before_ns + 1'000'000'000) << "seconds are what ages are counted in";
    }
}

TEST(TscClock, GoesOnBetweenSettings) {
    const TscClock clock(1'000'000'000);
    auto last_ns = clock.now_ns();
    for (int i = 0; i < 1000; ++i) {
        const auto now_ns = clock.now_ns();
        ASSERT_GE(now_ns, last_ns);
        last_ns = now_ns;
    }
    EXPECT_GT(last_ns, clock.now_ns() - 1'000'000'000);
}

} // namespace
} // namespace fairlead::io
