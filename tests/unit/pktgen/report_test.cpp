// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/report.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace fairlead::pktgen {
namespace {

bool contains(const std::string &text, const std::string &part) { return text.find(part) != text.npos; }

Report sample() {
    Report report;
    report.options.port.text = "null";
    report.opening = {.asked_pps = 1000, .seconds = 1, .sent = 10, .returned = 10, .flows = {.flows = 10}, .latency_ns = {}};
    report.trial = {.asked_pps = 1000, .seconds = 2, .sent = 2000, .sent_bytes = 128'000, .returned = 1990,
                    .flows = {.flows = 10, .with_loss = 3, .moved = 1, .returned = 1990, .duplicates = 4, .reordered = 5}, .latency_ns = {}};
    for (wire::u64 us = 1; us <= 100; ++us) report.trial.latency_ns.add(us * 1000);
    report.backends = {{0x0a14001f, 6}, {kIsMac | 0x020000000031, 4}};
    return report;
}

TEST(Report, SaysInWordsWhatWasMeasured) {
    const auto text = format_text(sample());
    EXPECT_TRUE(contains(text, "opened     10 flows at 10 pps: 10 first packets returned\n")) << text;
    EXPECT_TRUE(contains(text, "sent       2000 in 2.00 s: 1.00 kpps (asked 1.00 kpps), 0.001 Gbit/s\n")) << text;
    EXPECT_TRUE(contains(text, "returned   1990: 995 pps; 4 twice, 5 out of order\n")) << text;
    EXPECT_TRUE(contains(text, "lost       10 (0.5000 %)\n")) << text;
    EXPECT_TRUE(contains(text, "flows      10: 3 lost something, 1 moved to another backend\n")) << text;
    EXPECT_TRUE(contains(text, "backends   2: 10.20.0.31 (6 flows) 02:00:00:00:00:31 (4 flows)\n")) << text;
    EXPECT_TRUE(contains(text, "latency    us: min 1.0  p50 50.")) << text;
    EXPECT_FALSE(contains(text, "limit")) << text;
    EXPECT_FALSE(contains(text, "throughput")) << text;
}

TEST(Report, SaysWhenTheGeneratorWasTheLimitAndWhenTheMeterWas) {
    auto report = sample();
    report.trial.asked_pps = 1100;
    report.trial.receive_missed = 7;
    const auto text = format_text(report);
    EXPECT_TRUE(contains(text, "; the generator was the limit\n")) << text;
    EXPECT_TRUE(contains(text, "7 came back and were lost here")) << text;
    const auto step = format_step({.asked_pps = 0, .outcome = {.achieved_pps = 2e6, .sent = 100, .returned = 90}, .receive_missed = 7, .passed = false});
    EXPECT_EQ(step, "trial      2.000 Mpps (as fast as it goes): 90 of 100 returned, 10.0000 % lost; 7 of them by the meter itself: failed");
}

TEST(Report, OfASearchSaysBetweenWhichRatesTheThroughputIs) {
    auto report = sample();
    report.search = RateSearch({.rate_max_pps = 2000, .loss_percent = 0, .resolution_percent = 10});
    report.search->judge({.achieved_pps = 2000, .sent = 2000, .returned = 1000});
    for (int i = 0; i < 2; ++i) report.search->judge({.achieved_pps = 900, .sent = 900, .returned = 900});
    const auto text = format_text(report);
    EXPECT_TRUE(contains(text, "throughput 900 pps with at most 0 % lost")) << text;
    EXPECT_TRUE(contains(text, "; it is this or more, the generator fell behind above it; the device lost more at 2.00 kpps\n")) << text;
}

TEST(Report, ShowsTheTrialsOfASearchOnce) {
    auto report = sample();
    report.search = RateSearch({.rate_max_pps = 1000});
    report.search->judge({.achieved_pps = 1000, .sent = 1000, .returned = 1000});
    report.steps.push_back({.asked_pps = 1000, .outcome = {.achieved_pps = 1000, .sent = 1000, .returned = 1000}, .receive_missed = 0, .passed = true});
    EXPECT_TRUE(contains(format_text(report), "\ntrial "));
    report.steps_are_shown = true;
    EXPECT_FALSE(contains(format_text(report), "\ntrial "));
    EXPECT_TRUE(contains(format_text(report), "1 trials of")) << format_text(report);
}

TEST(Report, SaysOfWhichFlowsTheBackendsAreWhereNotOfAll) {
    auto report = sample();
    report.trial.flows.flows = 12;
    EXPECT_TRUE(contains(format_text(report), "backends   2, of the 10 flows that returned something and are still on record: 10.20"));
    report.unknown_flows = 2;
    EXPECT_TRUE(contains(format_text(report), "backends   2: 10.20")) << format_text(report);
}

TEST(Report, IsSilentIfSomethingCouldHaveReturnedAndNothingDid) {
    auto report = sample();
    EXPECT_TRUE(is_silent(report));
    report.expects_return = false;
    EXPECT_FALSE(is_silent(report)) << "no port receives";
    report.expects_return = true;
    report.came_back = 1;
    EXPECT_FALSE(is_silent(report));
    EXPECT_FALSE(is_silent(Report{})) << "nothing was sent";
}

TEST(Report, NamesTheLikelyCausesOfSilence) {
    auto report = sample();
    report.options.gateway_mac = {2, 0, 0, 0, 0, 0x0a};
    report.options.vip = 0xc633640a;
    report.return_mac = {2, 0, 0, 0, 0, 1};
    report.opening.unrecognised = 3;
    const auto text = explain_silence(report);
    for (const char *part : {"nothing came back of 10 packets", "(3 came that are not ours)", "02:00:00:00:00:0a", "198.51.100.10:80/tcp",
                             "02:00:00:00:00:01", "which is null?"})
        EXPECT_TRUE(contains(text, part)) << text;
    EXPECT_FALSE(contains(text, "\n"));
}

TEST(Report, IsTheSameInJson) {
    auto report = sample();
    report.search = RateSearch({.rate_max_pps = 1000});
    report.search->judge({.achieved_pps = 1000, .sent = 1000, .returned = 1000});
    report.steps.push_back({.asked_pps = 1000, .outcome = {.achieved_pps = 1000, .sent = 1000, .returned = 1000}, .receive_missed = 0, .passed = true});
    const auto json = nlohmann::json::parse(format_json(report));
    EXPECT_EQ(json["trial"]["lost"], 10);
    EXPECT_EQ(json["trial"]["flows"]["moved"], 1);
    EXPECT_EQ(json["trial"]["latency_ns"]["max"], 100'000);
    EXPECT_EQ(json["backends"][1]["backend"], "02:00:00:00:00:31");
    EXPECT_EQ(json["search"]["throughput_pps"], 1000);
    EXPECT_EQ(json["search"]["at_rate_max"], true);
    EXPECT_EQ(json["search"]["trials"].size(), 1U);
}

TEST(Report, OfNothingDividesByNothing) {
    const Report report;
    EXPECT_TRUE(contains(format_text(report), "lost       0 (0.0000 %)\n"));
    EXPECT_EQ(nlohmann::json::parse(format_json(report))["trial"]["achieved_pps"], 0);
}

} // namespace
} // namespace fairlead::pktgen
