// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/options.hpp"

#include <gtest/gtest.h>
#include <sysexits.h>

#include <algorithm>

namespace fairlead::io {
namespace {

struct Parsed {
    std::variant<Options, Exit> result;
    std::string said; ///< on stderr
};

Parsed parse(std::vector<const char *> arguments) {
    arguments.insert(arguments.begin(), "fairlead-dataplane");
    testing::internal::CaptureStderr();
    auto result = parse_options(static_cast<int>(arguments.size()), arguments.data());
    return {std::move(result), testing::internal::GetCapturedStderr()};
}

TEST(Options, AreReadIntoValues) {
    const auto parsed = parse({"--port", "null", "--port", "ring:a", "--workers", "2", "--lcores", "0-1", "--runtime-dir", "/tmp/x",
                               "--idle", "backoff", "--connections", "2048", "--memory", "64", "--hugepages", "off", "--mtu", "1400",
                               "--log-level", "debug", "--table-directory", "/dev/shm/x", "--state-directory", "/tmp/y", "--forget",
                               "--wide-connections", "1024"});
    ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.said;
    const auto &options = std::get<Options>(parsed.result);
    ASSERT_EQ(options.ports.size(), 2U);
    EXPECT_EQ(options.ports[1].name, "a");
    EXPECT_EQ(options.worker_count, 2U);
    EXPECT_EQ(options.lcores, (std::vector<unsigned>{0, 1}));
    EXPECT_EQ(options.runtime_directory, "/tmp/x");
    EXPECT_EQ(options.idle, Idle::kBackoff);
    EXPECT_EQ(options.connections, 2048U);
    EXPECT_EQ(options.memory_mb, 64U);
    EXPECT_EQ(options.hugepages, HugepageUse::kOff);
    EXPECT_EQ(options.mtu, 1400U);
    EXPECT_EQ(options.log_level, "debug");
    EXPECT_EQ(options.table_directory, "/dev/shm/x");
    EXPECT_EQ(options.state_directory, "/tmp/y");
    EXPECT_TRUE(options.forgets);
    EXPECT_EQ(options.wide_connections, 1024U);
}

TEST(Options, HaveDefaults) {
    const auto parsed = parse({"--port", "null"});
    ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.said;
    const auto &options = std::get<Options>(parsed.result);
    EXPECT_EQ(options.runtime_directory, "/run/fairlead");
    EXPECT_EQ(options.idle, Idle::kPoll);
    EXPECT_EQ(options.connections, 1U << 20);
    EXPECT_EQ(options.wide_connections, 1U << 20);
    EXPECT_EQ(options.table_directory, "");
    EXPECT_EQ(options.state_directory, "/run/fairlead");
    EXPECT_FALSE(options.forgets);
    EXPECT_EQ(options.hugepages, HugepageUse::kAuto);
    EXPECT_EQ(options.mtu, 0U);
}

TEST(Options, BadOnesAreOneLineAndAUsageError) {
    const std::vector<std::vector<const char *>> cases{
        {},
        {"--port"},
        {"--port", "eth0"},
        {"--port", "ring:a", "--port", "ring:a"},
        {"--port", "null", "--workers", "0"},
        {"--port", "null", "--lcores", "x"},
        {"--port", "null", "--idle", "sleep"},
        {"--port", "null", "--hugepages", "2M"},
        {"--port", "null", "--distribute", "1"},
        {"--port", "null", "--numa", "near"},
        {"--port", "null", "--mtu", "10"},
        {"--port", "null", "--connections", "many"},
        {"--port", "null", "--log-level", "loud"},
        {"--port", "null", "--unknown"},
        {"--port", "null", "extra"},
    };
    for (const auto &arguments : cases) {
        const auto parsed = parse(arguments);
        ASSERT_TRUE(std::holds_alternative<Exit>(parsed.result)) << arguments.back();
        EXPECT_EQ(std::get<Exit>(parsed.result).code, EX_USAGE);
        EXPECT_EQ(std::ranges::count(parsed.said, '\n'), 1) << parsed.said;
        EXPECT_TRUE(parsed.said.starts_with("fairlead-dataplane: ")) << parsed.said;
    }
}

TEST(Options, AWrongChoiceIsAnsweredWithItsNames) {
    EXPECT_EQ(parse({"--port", "null", "--idle", "sleep"}).said, "fairlead-dataplane: --idle: 'sleep' is not one of poll, backoff\n");
    EXPECT_EQ(parse({"--port", "null", "--distribute", "1"}).said, "fairlead-dataplane: --distribute: '1' is not one of auto, on, off\n");
}

TEST(Options, ChoicesAreReadByTheirNames) {
    const auto parsed = parse({"--port", "null", "--idle", "poll", "--hugepages", "on", "--distribute", "on", "--numa", "any"});
    ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.said;
    const auto &options = std::get<Options>(parsed.result);
    EXPECT_EQ(options.idle, Idle::kPoll);
    EXPECT_EQ(options.hugepages, HugepageUse::kOn);
    EXPECT_EQ(options.distribute, Distribute::kOn);
    EXPECT_EQ(options.numa, NumaUse::kAny);
}

} // namespace
} // namespace fairlead::io
