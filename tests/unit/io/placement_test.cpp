// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/placement.hpp"

#include <gtest/gtest.h>

namespace fairlead::io {
namespace {

using Cpus = std::vector<unsigned>;

TEST(CpuList, IsReadAndWritten) {
    EXPECT_EQ(parse_cpu_list("3").value(), Cpus{3});
    EXPECT_EQ(parse_cpu_list("4-6,2,5").value(), (Cpus{2, 4, 5, 6}));
    EXPECT_EQ(format_cpu_list(Cpus{2, 4, 5}), "2,4,5");
    for (const char *text : {"", ",", "a", "1-", "-1", "3-2", "1,,2", "1;2", "99999", "1-2-3"})
        EXPECT_FALSE(parse_cpu_list(text)) << text;
}

TEST(Placement, PinsPollingWorkersAndLeavesTheRestToTheMainThread) {
    const auto placement = place(Cpus{0, 1, 2, 3}, {}, 2, true);
    ASSERT_TRUE(placement) << placement.error();
    EXPECT_EQ(placement->worker_cpus, (std::vector<Cpus>{{2}, {3}}));
    EXPECT_EQ(placement->main_cpus, (Cpus{0, 1}));
    EXPECT_EQ(placement->lcores(), "0@(0,1),1@(2),2@(3)");
}

TEST(Placement, SleepingWorkersShareWhatThereIs) {
    const auto placement = place(Cpus{0, 1}, {}, 4, false);
    ASSERT_TRUE(placement) << placement.error();
    EXPECT_EQ(placement->worker_cpus, (std::vector<Cpus>{{0, 1}, {0, 1}, {0, 1}, {0, 1}}));
    EXPECT_EQ(placement->main_cpus, (Cpus{0, 1}));
}

TEST(Placement, FollowsTheRequestedCpus) {
    const auto one_each = place(Cpus{0, 1, 2, 3}, Cpus{1, 3}, 0, false);
    ASSERT_TRUE(one_each) << one_each.error();
    EXPECT_EQ(one_each->worker_cpus, (std::vector<Cpus>{{1}, {3}}));
    EXPECT_EQ(one_each->main_cpus, (Cpus{0, 2}));
    const auto shared = place(Cpus{0, 1, 2, 3}, Cpus{1, 3}, 3, false);
    ASSERT_TRUE(shared) << shared.error();
    EXPECT_EQ(shared->worker_cpus, (std::vector<Cpus>{{1, 3}, {1, 3}, {1, 3}}));
}

TEST(Placement, OneCpuIsEnough) {
    const auto placement = place(Cpus{5}, {}, 1, true);
    ASSERT_TRUE(placement) << placement.error();
    EXPECT_EQ(placement->lcores(), "0@(5),1@(5)");
}

TEST(Placement, NamesTheCpuThatIsNotThere) {
    const auto missing = place(Cpus{0, 1}, Cpus{1, 7}, 0, true);
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error(), "--lcores: no CPU 7 here; this process may use 0,1");
    EXPECT_FALSE(place(Cpus{0, 1}, Cpus{0, 1}, 1, true));
}

TEST(Placement, SeesTheCpusOfThisProcess) { EXPECT_FALSE(allowed_cpus().empty()); }

} // namespace
} // namespace fairlead::io
