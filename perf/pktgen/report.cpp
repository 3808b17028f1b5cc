// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>

namespace fairlead::pktgen {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<const char *, double>, 4> kPercentiles{{{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}}};
constexpr std::size_t kBackendsShownMax = 16;
constexpr std::size_t kFlowBlockSize = 1U << 16; // of a flow file, at once

std::string format_address(wire::u32 address) {
    return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

std::string format_mac(const core::MacAddress &mac) { return fmt::format("{:02x}", fmt::join(mac, ":")); }

std::string format_backend(wire::u64 backend) {
    if (backend == 0) return "unknown";
    if ((backend & kIsMac) == 0) return format_address(static_cast<wire::u32>(backend));
    core::MacAddress mac{};
    for (std::size_t i = 0; i < mac.size(); ++i) mac[i] = static_cast<wire::u8>(backend >> (40 - 8 * i));
    return format_mac(mac);
}

std::string format_rate(double pps) {
    if (pps >= 1e6) return fmt::format("{:.3f} Mpps", pps / 1e6);
    if (pps >= 1e3) return fmt::format("{:.2f} kpps", pps / 1e3);
    return fmt::format("{:.0f} pps", pps);
}

std::string format_asked(double pps) { return pps == 0 ? "as fast as it goes" : "asked " + format_rate(pps); }

double gigabits(const Trial &trial) {
    // On the wire a frame takes preamble, start delimiter and gap as well: 20 bytes.
    constexpr double kGapSize = 20;
    return trial.seconds > 0 ? 8e-9 * (static_cast<double>(trial.sent_bytes) + kGapSize * static_cast<double>(trial.sent)) / trial.seconds : 0;
}

using Text = std::back_insert_iterator<std::string>;

void add_opening(Text out, const Report &report) {
    const auto &opening = report.opening;
    fmt::format_to(out, "opened     {} flows at {}: {} first packets returned\n", opening.flows.flows,
                   format_rate(opening.achieved_pps()), opening.returned);
}

void add_search(Text out, const Report &report) {
    if (!report.steps_are_shown)
        for (const auto &step : report.steps) fmt::format_to(out, "{}\n", format_step(step));
    const auto &search = *report.search;
    std::string note;
    if (search.is_at_rate_max()) note = "; it is the highest rate that was to be tried";
    if (search.is_generator_limited()) note = "; it is this or more, the generator fell behind above it";
    if (search.failed_pps() > 0) note += fmt::format("; the device lost more at {}", format_rate(search.failed_pps()));
    fmt::format_to(out, "throughput {} with at most {} % lost, {} trials of {} s{}\n", format_rate(search.throughput_pps()),
                   report.options.loss_percent, report.steps.size(), report.options.trial_seconds, note);
    if (search.throughput_pps() > 0) fmt::format_to(out, "the trial at that rate:\n");
}

void add_latency(Text out, const LatencyHistogram &latency) {
    if (latency.count() == 0) return;
    const auto us = [](wire::u64 ns) { return static_cast<double>(ns) / 1000; };
    fmt::format_to(out, "latency    us: min {:.1f}", us(latency.min()));
    for (const auto &[name, percent] : kPercentiles) fmt::format_to(out, "  {} {:.1f}", name, us(latency.percentile(percent)));
    fmt::format_to(out, "  max {:.1f}\n", us(latency.max()));
}

void add_backends(Text out, const Report &report) {
    if (report.backends.empty() && report.unknown_flows == 0) return;
    wire::u64 known = report.unknown_flows;
    for (const auto &[backend, flows] : report.backends) known += flows;
    fmt::format_to(out, "backends   {}", report.backends.size());
    if (known != report.trial.flows.flows) fmt::format_to(out, ", of the {} flows that returned something and are still on record", known);
    fmt::format_to(out, ":");
    std::size_t shown = 0;
    for (const auto &[backend, flows] : report.backends) {
        if (shown++ == kBackendsShownMax) {
            fmt::format_to(out, " ...");
            break;
        }
        fmt::format_to(out, " {} ({} flows)", format_backend(backend), flows);
    }
    if (report.unknown_flows != 0) fmt::format_to(out, " unknown ({} flows)", report.unknown_flows);
    fmt::format_to(out, "\n");
}

Json json_of(const Trial &trial) {
    Json latency{{"min", trial.latency_ns.min()}};
    for (const auto &[name, percent] : kPercentiles) latency[name] = trial.latency_ns.percentile(percent);
    latency["max"] = trial.latency_ns.max();
    return {{"asked_pps", trial.asked_pps},
            {"achieved_pps", trial.achieved_pps()},
            {"returned_pps", trial.returned_pps()},
            {"generator_limited", has_fallen_behind(trial)},
            {"seconds", trial.seconds},
            {"sent", trial.sent},
            {"sent_gbit_s", gigabits(trial)},
            {"returned", trial.returned},
            {"lost", trial.sent - std::min(trial.sent, trial.returned)},
            {"loss_percent", trial.outcome().loss_percent()},
            {"duplicates", trial.flows.duplicates},
            {"reordered", trial.flows.reordered},
            {"unrecognised", trial.unrecognised},
            {"stale", trial.stale},
            {"receive_missed", trial.receive_missed},
            {"flows", {{"sent", trial.flows.flows}, {"with_loss", trial.flows.with_loss}, {"moved", trial.flows.moved}}},
            {"latency_ns", latency}};
}

} // namespace

bool has_fallen_behind(const Trial &trial) noexcept {
    return trial.asked_pps != 0 && trial.achieved_pps() < trial.asked_pps * RateSearch::kReachedShare;
}

bool is_silent(const Report &report) noexcept {
    return report.expects_return && report.came_back == 0 && report.opening.sent + report.trial.sent != 0;
}

std::string explain_silence(const Report &report) {
    const auto &options = report.options;
    const auto others = report.opening.unrecognised;
    return fmt::format("nothing came back of {} packets{}: is {} the balancer's address on this link (--gateway-mac), does it have a service "
                       "{}:{}/{} with a backend that is up, and is the backends' next hop {}, which is {}?",
                       report.opening.sent, others != 0 ? fmt::format(" ({} came that are not ours)", others) : "",
                       format_mac(options.gateway_mac), format_address(options.vip), options.vip_port,
                       options.protocol == Protocol::kTcp ? "tcp" : "udp", format_mac(report.return_mac),
                       options.return_port ? options.return_port->text : options.port.text);
}

std::string format_step(const SearchStep &step) {
    const auto missed = step.receive_missed != 0 ? fmt::format("; {} of them by the meter itself", step.receive_missed) : "";
    return fmt::format("trial      {} ({}): {} of {} returned, {:.4f} % lost{}: {}", format_rate(step.outcome.achieved_pps),
                       format_asked(step.asked_pps), step.outcome.returned, step.outcome.sent, step.outcome.loss_percent(), missed,
                       step.passed ? "passed" : "failed");
}

std::string format_text(const Report &report) {
    std::string text;
    const Text out(text);
    const auto &trial = report.trial;
    add_opening(out, report);
    if (report.search) add_search(out, report);
    fmt::format_to(out, "sent       {} in {:.2f} s: {} ({}), {:.3f} Gbit/s{}\n", trial.sent, trial.seconds,
                   format_rate(trial.achieved_pps()), format_asked(trial.asked_pps), gigabits(trial),
                   has_fallen_behind(trial) ? "; the generator was the limit" : "");
    fmt::format_to(out, "returned   {}: {}; {} twice, {} out of order\n", trial.returned, format_rate(trial.returned_pps()),
                   trial.flows.duplicates, trial.flows.reordered);
    fmt::format_to(out, "lost       {} ({:.4f} %)\n", trial.sent - std::min(trial.sent, trial.returned), trial.outcome().loss_percent());
    if (trial.receive_missed != 0)
        fmt::format_to(out, "           {} came back and were lost here: the meter's receive queue was full\n", trial.receive_missed);
    if (trial.unrecognised + trial.stale != 0)
        fmt::format_to(out, "other      {} without a stamp of ours, {} too late for their trial\n", trial.unrecognised, trial.stale);
    fmt::format_to(out, "flows      {}: {} lost something, {} moved to another backend\n", trial.flows.flows,
                   trial.flows.with_loss, trial.flows.moved);
    add_backends(out, report);
    add_latency(out, trial.latency_ns);
    if (report.was_interrupted) fmt::format_to(out, "interrupted: the figures are of what was done until then\n");
    return text;
}

std::string format_json(const Report &report) {
    Json backends = Json::array();
    for (const auto &[backend, flows] : report.backends) backends.push_back({{"backend", format_backend(backend)}, {"flows", flows}});
    Json json{{"version", FAIRLEAD_VERSION},
              {"port", report.options.port.text},
              {"return_port", report.options.return_port ? report.options.return_port->text : report.options.port.text},
              {"protocol", report.options.protocol == Protocol::kTcp ? "tcp" : "udp"},
              {"frame_sizes", report.options.frame_sizes},
              {"syn_percent", report.options.syn_percent},
              {"interrupted", report.was_interrupted},
              {"opening", json_of(report.opening)},
              {"trial", json_of(report.trial)},
              {"backends", backends},
              {"flows_of_unknown_backend", report.unknown_flows}};
    if (!report.search) return json.dump(2) + "\n";
    Json trials = Json::array();
    for (const auto &step : report.steps)
        trials.push_back({{"asked_pps", step.asked_pps}, {"achieved_pps", step.outcome.achieved_pps}, {"sent", step.outcome.sent},
                          {"returned", step.outcome.returned}, {"receive_missed", step.receive_missed}, {"passed", step.passed}});
    json["search"] = {{"throughput_pps", report.search->throughput_pps()},
                      {"failed_pps", report.search->failed_pps()},
                      {"loss_percent", report.options.loss_percent},
                      {"resolution_percent", report.options.resolution_percent},
                      {"trial_seconds", report.options.trial_seconds},
                      {"generator_limited", report.search->is_generator_limited()},
                      {"at_rate_max", report.search->is_at_rate_max()},
                      {"trials", trials}};
    return json.dump(2) + "\n";
}

io::Result<void> write_flows(const std::string &path, const FlowTable &flows) {
    const auto fail = [&] { return std::unexpected(fmt::format("--flow-file {}: {}", path, std::strerror(errno))); };
    std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "w"), std::fclose);
    if (!file) return fail();
    std::string lines = "flow,client,port,sent,returned,duplicates,reordered,backend,moved\n";
    for (const auto &record : flows.records()) {
        if (record.next_sequence == 0) continue;
        const auto client = flows.client(record.id);
        fmt::format_to(std::back_inserter(lines), "{},{},{},{},{},{},{},{},{}\n", record.id, format_address(client.address), client.port,
                       record.sent, record.returned, record.duplicates, record.reordered, format_backend(record.backend),
                       record.has_moved ? 1 : 0);
        if (lines.size() < kFlowBlockSize) continue;
        if (std::fwrite(lines.data(), 1, lines.size(), file.get()) != lines.size()) return fail();
        lines.clear();
    }
    if (std::fwrite(lines.data(), 1, lines.size(), file.get()) != lines.size() || std::fclose(file.release()) != 0) return fail();
    return {};
}

} // namespace fairlead::pktgen
