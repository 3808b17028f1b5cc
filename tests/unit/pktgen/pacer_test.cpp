// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/pacer.hpp"

#include <gtest/gtest.h>

namespace fairlead::pktgen {
namespace {

constexpr wire::u64 kStart_ns = 1'000'000'000'000;
constexpr wire::u64 kDepth_ns = 1'000'000;

TEST(Pacer, SendsAtItsRateWhateverThePollsAre) {
    for (const double rate : {1000.0, 333'333.0, 14'880'952.0})
        for (const wire::u64 poll_ns : {100U, 1700U, 50'000U}) {
            Pacer pacer(rate, kStart_ns, kDepth_ns);
            wire::u64 sent = 0;
            for (wire::u64 now = kStart_ns; now < kStart_ns + 100'000'000; now += poll_ns)
                while (const auto count = pacer.due(now, 32)) pacer.take(count), sent += count;
            EXPECT_NEAR(static_cast<double>(sent), rate / 10, 2 + rate * static_cast<double>(poll_ns) / 1e9) << rate << " " << poll_ns;
        }
}

TEST(Pacer, ALongPauseDoesNotBecomeALongBurst) {
    Pacer pacer(1e6, kStart_ns, kDepth_ns);
    unsigned burst = 0;
    while (const auto count = pacer.due(kStart_ns + 1'000'000'000, 32)) pacer.take(count), burst += count;
    EXPECT_EQ(burst, 1001U); // what a millisecond holds, and the one that is due
}

TEST(Pacer, SaysHowLongNothingIsDue) {
    Pacer pacer(1e6, kStart_ns, kDepth_ns);
    EXPECT_EQ(pacer.wait_ns(kStart_ns), 0U);
    EXPECT_EQ(pacer.due(kStart_ns, 32), 1U);
    pacer.take(1);
    EXPECT_EQ(pacer.due(kStart_ns + 400, 32), 0U);
    EXPECT_EQ(pacer.wait_ns(kStart_ns + 400), 600U);
}

TEST(Pacer, WithoutARateAllIsDue) {
    Pacer pacer(0, kStart_ns, kDepth_ns);
    EXPECT_EQ(pacer.due(kStart_ns, 32), 32U);
    pacer.take(32);
    EXPECT_EQ(pacer.due(kStart_ns, 32), 32U);
    EXPECT_EQ(pacer.wait_ns(kStart_ns), 0U);
}

} // namespace
} // namespace fairlead::pktgen
