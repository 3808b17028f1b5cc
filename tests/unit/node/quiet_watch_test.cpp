// SPDX-License-Identifier: Apache-2.0
#include "controlplane/node/quiet_watch.hpp"

#include <gtest/gtest.h>

namespace fairlead::node {
namespace {

using namespace std::chrono_literals;
using Time = QuietWatch::Clock::time_point;

/// Looks twice a second while a second brings `rate` packets; the time at which it was quiet first.
struct Watching {
    QuietWatch watch{10s};
    Time now{};
    double packets = 1'000'000;

    bool is_quiet_after(std::chrono::milliseconds time, double rate) {
        for (const Time end = now + time; now < end;) {
            now += 500ms;
            packets += rate / 2;
            watch.look(now, static_cast<std::uint64_t>(packets));
        }
        return watch.is_quiet();
    }
};

TEST(QuietWatch, IsQuietWhenNothingCameForLongEnough) {
    Watching watching;
    EXPECT_FALSE(watching.watch.is_quiet()) << "nothing is known yet";
    EXPECT_FALSE(watching.is_quiet_after(10s, 0)) << "the first look begins it";
    EXPECT_TRUE(watching.is_quiet_after(500ms, 0));
}

TEST(QuietWatch, BusyUntilTheLastSecondsTrafficIsOld) {
    Watching watching;
    EXPECT_FALSE(watching.is_quiet_after(60s, 5000));
    EXPECT_NEAR(watching.watch.packets_per_second(), 5000, 1);
    EXPECT_FALSE(watching.is_quiet_after(9500ms, 0));
    EXPECT_TRUE(watching.is_quiet_after(500ms, 0));
    EXPECT_EQ(watching.watch.packets(), 0u);
    EXPECT_FALSE(watching.is_quiet_after(1s, 1000)) << "and busy again";
}

TEST(QuietWatch, APacketASecondIsNoTraffic) {
    Watching strays;
    EXPECT_TRUE(strays.is_quiet_after(30s, 1));
    EXPECT_EQ(strays.watch.packets(), 10u);
    Watching slow;
    EXPECT_FALSE(slow.is_quiet_after(30s, 1.5));
}

TEST(QuietWatch, BeginsAnewWhereAnotherDataplaneCounts) {
    Watching watching;
    EXPECT_FALSE(watching.is_quiet_after(8s, 0));
    watching.packets = 0;
    EXPECT_FALSE(watching.is_quiet_after(1s, 0));
    EXPECT_EQ(watching.watch.packets_per_second(), 0) << "fewer than before is no traffic";
    EXPECT_EQ(watching.watch.packets(), 0u);
    EXPECT_FALSE(watching.is_quiet_after(8s, 0));
    EXPECT_TRUE(watching.is_quiet_after(2s, 0));
}

TEST(QuietWatch, BeginsAnewAfterATimeOfWhichNothingIsKnown) {
    Watching watching;
    EXPECT_FALSE(watching.is_quiet_after(8s, 0));
    watching.watch.forget();
    EXPECT_FALSE(watching.is_quiet_after(9s, 0));
    EXPECT_TRUE(watching.is_quiet_after(2s, 0));
}

TEST(QuietWatch, TheRateIsOfAboutASecond) {
    Watching watching;
    EXPECT_EQ(watching.watch.packets_per_second(), 0);
    (void)watching.is_quiet_after(500ms, 100);
    EXPECT_EQ(watching.watch.packets_per_second(), 0) << "one look is no rate";
    (void)watching.is_quiet_after(500ms, 100);
    EXPECT_NEAR(watching.watch.packets_per_second(), 100, 1);
    (void)watching.is_quiet_after(20s, 0);
    (void)watching.is_quiet_after(1s, 400);
    EXPECT_NEAR(watching.watch.packets_per_second(), 400, 1);
}

} // namespace
} // namespace fairlead::node
