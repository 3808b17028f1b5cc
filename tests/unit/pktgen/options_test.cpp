// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/options.hpp"

#include <gtest/gtest.h>
#include <sysexits.h>

#include <algorithm>

namespace fairlead::pktgen {
namespace {

struct Parsed {
    std::variant<Options, io::Exit> result;
    std::string said; ///< on stderr
};

Parsed parse(std::vector<const char *> arguments) {
    arguments.insert(arguments.begin(), "fairlead-pktgen");
    testing::internal::CaptureStderr();
    auto result = parse_options(static_cast<int>(arguments.size()), arguments.data());
    return {std::move(result), testing::internal::GetCapturedStderr()};
}

/// With what is always needed.
Parsed parse_more(std::vector<const char *> arguments) {
    arguments.insert(arguments.begin(), {"--port", "null", "--gateway-mac", "02:00:00:00:00:0a", "--vip", "198.51.100.10"});
    return parse(std::move(arguments));
}

TEST(PktgenOptions, AreReadIntoValues) {
    const auto parsed = parse_more({"--return-port", "ring:back", "--vip-port", "443", "--protocol", "udp", "--source-network", "10.0.0.0/8",
                                    "--flows", "1000000", "--size", "128", "--syn", "2.5", "--rate", "1.5M", "--open-rate", "20k",
                                    "--search", "--loss", "0.1", "--trial-seconds", "2", "--resolution", "0.5", "--json", "--lcores", "3",
                                    "--idle", "backoff", "--hugepages", "off", "--flow-file", "flows.csv"});
    ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.said;
    const auto &options = std::get<Options>(parsed.result);
    EXPECT_EQ(options.port.kind, io::PortKind::kNull);
    ASSERT_TRUE(options.return_port);
    EXPECT_EQ(options.return_port->name, "back");
    EXPECT_EQ(options.gateway_mac, (core::MacAddress{2, 0, 0, 0, 0, 10}));
    EXPECT_EQ(options.vip, 0xc633640aU);
    EXPECT_EQ(options.vip_port, 443);
    EXPECT_EQ(options.protocol, Protocol::kUdp);
    EXPECT_EQ(options.source_network.address, 0x0a000000U);
    EXPECT_EQ(options.source_network.prefix_length, 8U);
    EXPECT_EQ(options.flow_count, 1'000'000U);
    EXPECT_EQ(options.frame_sizes, std::vector{128U});
    EXPECT_EQ(options.syn_percent, 2.5);
    EXPECT_EQ(options.rate_pps, 1.5e6);
    EXPECT_EQ(options.open_rate_pps, 20e3);
    EXPECT_TRUE(options.searches);
    EXPECT_EQ(options.loss_percent, 0.1);
    EXPECT_EQ(options.trial_seconds, 2);
    EXPECT_EQ(options.resolution_percent, 0.5);
    EXPECT_TRUE(options.prints_json);
    EXPECT_EQ(options.lcores, std::vector{3U});
    EXPECT_EQ(options.idle, io::Idle::kBackoff);
    EXPECT_EQ(options.hugepages, io::HugepageUse::kOff);
    EXPECT_EQ(options.flow_file, "flows.csv");
}

TEST(PktgenOptions, HaveDefaults) {
    const auto parsed = parse_more({});
    ASSERT_TRUE(std::holds_alternative<Options>(parsed.result)) << parsed.said;
    const auto &options = std::get<Options>(parsed.result);
    EXPECT_FALSE(options.return_port);
    EXPECT_EQ(options.protocol, Protocol::kTcp);
    EXPECT_EQ(options.source_network.address, 0xc6120000U);
    EXPECT_EQ(options.frame_sizes, std::vector{64U});
    EXPECT_EQ(options.rate_pps, 0);
    EXPECT_EQ(options.open_rate_pps, 1e5);
    EXPECT_FALSE(options.searches);
}

TEST(PktgenOptions, FlowsOpenNoFasterThanTheRate) {
    EXPECT_EQ(std::get<Options>(parse_more({"--rate", "5k"}).result).open_rate_pps, 5e3);
    EXPECT_EQ(std::get<Options>(parse_more({"--rate", "5M"}).result).open_rate_pps, 1e5);
    EXPECT_EQ(std::get<Options>(parse_more({"--rate", "5k", "--open-rate", "max"}).result).open_rate_pps, 0);
}

TEST(PktgenOptions, ImixIsTwelveFramesOf7To4To1) {
    const auto parsed = parse_more({"--imix"});
    const auto &sizes = std::get<Options>(parsed.result).frame_sizes;
    EXPECT_EQ(sizes.size(), 12U);
    EXPECT_EQ(std::ranges::count(sizes, 64U), 7);
    EXPECT_EQ(std::ranges::count(sizes, 594U), 4);
    EXPECT_EQ(std::ranges::count(sizes, 1518U), 1);
}

void expect_one_line(const Parsed &parsed, const std::string &what) {
    ASSERT_TRUE(std::holds_alternative<io::Exit>(parsed.result)) << what;
    EXPECT_EQ(std::get<io::Exit>(parsed.result).code, EX_USAGE);
    EXPECT_EQ(std::ranges::count(parsed.said, '\n'), 1) << parsed.said;
    EXPECT_TRUE(parsed.said.starts_with("fairlead-pktgen: ")) << parsed.said;
}

TEST(PktgenOptions, BadOnesAreOneLineThatNamesThemAndAUsageError) {
    const std::vector<std::vector<const char *>> cases{
        {"--return-port", "eth0"},    {"--vip-port", "0"},          {"--vip-port", "65536"},       {"--protocol", "sctp"},
        {"--source-network", "10.0.0.0"}, {"--source-network", "10.0.0.1/24"}, {"--source-network", "10.0.0.0/33"},
        {"--source-network", "10.0.0.0/0"}, {"--flows", "0"},       {"--flows", "-1"},             {"--size", "63"},
        {"--size", "70"},             {"--size", "9019"},           {"--syn", "101"},              {"--rate", "0"},
        {"--rate", "fast"},           {"--rate", "5G"},             {"--rate", "nan"},             {"--open-rate", "-1k"},
        {"--seconds", "0"},           {"--loss", "1"},              {"--resolution", "1"},         {"--trial-seconds", "1"},
        {"--lcores", "0,1"},          {"--lcores", "x"},            {"--idle", "sleep"},           {"--hugepages", "2M"},
        {"--seconds", "nan"},         {"--seconds", "inf"},         {"--seconds", "5s"},           {"--seconds", ""},
        {"--syn", "nan"},             {"--rate", "inf"},            {"--protocol", "0"},           {"--unknown", "1"},
    };
    for (const auto &arguments : cases) {
        const auto parsed = parse_more(arguments);
        expect_one_line(parsed, arguments[1]);
        EXPECT_NE(parsed.said.find(arguments[0]), std::string::npos) << parsed.said;
    }
    for (const char *name : {"--loss", "--trial-seconds", "--resolution"})
        for (const char *number : {"nan", "-nan", "inf", "-inf", "-1", "1e9"}) {
            const auto parsed = parse_more({"--search", name, number});
            expect_one_line(parsed, name);
            EXPECT_NE(parsed.said.find(std::string(name) + ": '" + number + "' is no number from "), std::string::npos) << parsed.said;
        }
    EXPECT_EQ(parse_more({"--protocol", "sctp"}).said, "fairlead-pktgen: --protocol: 'sctp' is not one of tcp, udp\n");
    expect_one_line(parse_more({"--size", "64", "--imix"}), "two sizes");
    expect_one_line(parse_more({"--search", "--seconds", "5"}), "two durations");
    expect_one_line(parse_more({"--flows", "100000", "--source-network", "10.0.0.1/32"}), "more flows than clients");
}

TEST(PktgenOptions, WhatIsNeededIsAskedFor) {
    expect_one_line(parse({}), "nothing");
    expect_one_line(parse({"--port", "null", "--vip", "198.51.100.10"}), "no gateway");
    for (const char *mac : {"02:00:00:00:00", "02:00:00:00:00:0g", "02-00-00-00-00-01", "03:00:00:00:00:01", "00:00:00:00:00:00", ""})
        expect_one_line(parse({"--port", "null", "--vip", "198.51.100.10", "--gateway-mac", mac}), mac);
    for (const char *vip : {"198.51.100", "::1", "web", ""})
        expect_one_line(parse({"--port", "null", "--gateway-mac", "02:00:00:00:00:01", "--vip", vip}), vip);
}

} // namespace
} // namespace fairlead::pktgen
