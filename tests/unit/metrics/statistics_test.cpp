// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/statistics.hpp"

#include <gtest/gtest.h>

#include <future>
#include <optional>

#include "tests/unit/publish/counters_file.hpp"

namespace fairlead::metrics {
namespace {

using publish::test::CountersFile;
using publish::test::DataplaneEnd;
using publish::test::serve_counters;
using namespace std::chrono_literals;

std::shared_ptr<const Directory> directory(std::vector<Directory::Service> services,
                                           std::vector<Directory::Backend> backends) {
    return std::make_shared<const Directory>(Directory{std::move(services), std::move(backends)});
}

class StatisticsTest : public ::testing::Test {
  protected:
    /// Makes `file` what the running dataplane hands out, and lets the statistics find it.
    void run_dataplane(const CountersFile &file) {
        end_.emplace(path_);
        auto reading = std::async(std::launch::async, [this] { return statistics_.sample().up; });
        serve_counters(*end_, file);
        ASSERT_TRUE(reading.get());
    }
    void end_dataplane() {
        end_.reset();
        std::filesystem::remove(path_);
    }

    publish::test::TemporaryDirectory directory_;
    const std::string path_ = directory_.file("dataplane.sock");
    std::optional<DataplaneEnd> end_;
    Statistics statistics_{std::make_shared<publish::CountersReader>(path_, 5s)};
};

TEST_F(StatisticsTest, GivesTheCountersTheirNames) {
    CountersFile file(2);
    file.seal();
    run_dataplane(file);
    statistics_.set_directory(directory({{3, "web"}}, {{9, 1, "web", "10.20.0.31"}}));
    file.header().generation = 12;
    file.block(0).service_traffic[3].packets = 5;
    file.block(1).service_traffic[3].packets = 6;
    file.block(1).slots[9].connections = 4;
    const Sample sample = statistics_.sample();
    ASSERT_TRUE(sample.up);
    EXPECT_EQ(sample.dataplane.generation, 12u);
    EXPECT_EQ(sample.workers.size(), 2u);
    ASSERT_EQ(sample.services.size(), 1u);
    EXPECT_EQ(sample.services[0].name, "web");
    EXPECT_EQ(sample.services[0].counters.packets, 11u);
    ASSERT_EQ(sample.backends.size(), 1u);
    EXPECT_EQ(sample.backends[0].address, "10.20.0.31");
    EXPECT_EQ(sample.backends[0].counters.connections, 4u);
}

TEST_F(StatisticsTest, WithoutADataplaneSaysWhy) {
    const Sample sample = statistics_.sample();
    EXPECT_FALSE(sample.up);
    EXPECT_NE(sample.down_reason.find("dataplane"), std::string::npos);
    EXPECT_TRUE(sample.workers.empty());
}

TEST_F(StatisticsTest, ANewTenantOfAnIndexDoesNotInheritItsCounts) {
    CountersFile file(1);
    file.seal();
    run_dataplane(file);
    file.block(0).slot_traffic[9] = {.packets = 100, .bytes = 1000};
    file.block(0).slots[9] = {.connections_opened = 10, .connections = 2};
    file.block(0).service_traffic[3].packets = 500;
    file.block(0).services[3].drops[1] = 7;
    statistics_.set_directory(directory({{3, "web"}}, {{9, 1, "web", "10.20.0.31"}}));
    EXPECT_EQ(statistics_.sample().backends[0].counters.packets, 100u) << "here since before this process";

    statistics_.set_directory(directory({}, {}));
    statistics_.set_directory(directory({{3, "dns"}}, {{9, 2, "dns", "10.20.0.44"}}));
    file.block(0).slot_traffic[9].packets += 3;
    file.block(0).services[3].drops[1] += 1;
    Sample sample = statistics_.sample();
    EXPECT_EQ(sample.backends[0].counters.packets, 3u);
    EXPECT_EQ(sample.backends[0].counters.bytes, 0u);
    EXPECT_EQ(sample.backends[0].counters.connections, 2u) << "a gauge is what it is";
    EXPECT_EQ(sample.services[0].counters.packets, 0u);
    EXPECT_EQ(sample.services[0].counters.drops[1], 1u);

    // A directory that says the same of the index again changes nothing.
    statistics_.set_directory(directory({{3, "dns"}}, {{9, 2, "dns", "10.20.0.44"}}));
    EXPECT_EQ(statistics_.sample().backends[0].counters.packets, 3u);
}

TEST_F(StatisticsTest, AnIndexThatIsUsedForTheFirstTimeStartsAtNothing) {
    CountersFile file(1);
    file.seal();
    file.block(0).slot_traffic[20].packets = 77; // of a tenant that was removed before this process started
    run_dataplane(file);
    statistics_.set_directory(directory({}, {}));
    statistics_.set_directory(directory({}, {{20, 5, "web", "10.20.0.50"}}));
    EXPECT_EQ(statistics_.sample().backends[0].counters.packets, 0u);
}

TEST_F(StatisticsTest, ANewDataplaneCountsFromNothingAndNothingGoesBelow) {
    CountersFile first(1, 111);
    first.seal();
    run_dataplane(first);
    statistics_.set_directory(directory({}, {}));
    first.block(0).slot_traffic[9].packets = 100;
    statistics_.set_directory(directory({}, {{9, 2, "web", "10.20.0.31"}}));
    first.block(0).slot_traffic[9].packets = 150;
    EXPECT_EQ(statistics_.sample().backends[0].counters.packets, 50u);

    end_dataplane();
    EXPECT_FALSE(statistics_.sample().up);
    CountersFile second(1, 222);
    second.seal();
    second.block(0).slot_traffic[9].packets = 4;
    run_dataplane(second);
    EXPECT_EQ(statistics_.sample().backends[0].counters.packets, 4u);
}

TEST_F(StatisticsTest, AConnectionLostAndFoundIsNoRestart) {
    CountersFile file(1, 111);
    file.seal();
    run_dataplane(file);
    statistics_.set_directory(directory({}, {}));
    file.block(0).slot_traffic[9].packets = 100;
    end_dataplane();
    EXPECT_FALSE(statistics_.sample().up);
    statistics_.set_directory(directory({}, {{9, 2, "web", "10.20.0.31"}})); // while it cannot be asked
    run_dataplane(file);
    file.block(0).slot_traffic[9].packets = 130;
    EXPECT_EQ(statistics_.sample().backends[0].counters.packets, 30u);
}

} // namespace
} // namespace fairlead::metrics
