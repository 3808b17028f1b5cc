// SPDX-License-Identifier: Apache-2.0
#include "perf/mpps/report.hpp"

#include "dataplane/wire/snapshot.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace fairlead::mpps {

namespace {

constexpr double kForeignPercentMax = 20; ///< more of one CPU, and figures are not of the path alone

std::string cpu_model() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
    return "unknown";
}

std::string kernel() {
    utsname names{};
    return ::uname(&names) == 0 ? names.release : "unknown";
}

std::optional<std::string> variable(const char *name) {
    const char *value = std::getenv(name);
    return value ? std::optional<std::string>(value) : std::nullopt;
}

const char *word(Pipelines pipelines) {
    switch (pipelines) {
    case Pipelines::kFull: return "full";
    case Pipelines::kMacswap: return "macswap";
    case Pipelines::kIo: return "io";
    default: return "all";
    }
}

const char *forwarding(const Options &options) { return options.forwarding == wire::kForwardingGue ? "gue" : "ipip"; }
const char *headers(const Options &options) { return options.headers == Headers::kWarm ? "warm" : "cold"; }
std::string size(const Options &options) { return options.imix ? "IMIX" : fmt::format("{} byte", options.size_bytes); }

} // namespace

std::string in_words(const Options &options, const Measurement &m) {
    std::string text = fmt::format("{} established flows, {} % new, {} packets, {} services, {} backends, {}, {} headers, {} worker(s), {}\n", options.flows,
                                   options.new_flows_percent, size(options), options.services, options.backends, forwarding(options), headers(options),
                                   options.workers, m.hugepages ? "hugepages" : "no hugepages");
    const auto line = [&](const char *name, const std::optional<double> &value, const char *unit, const char *what) {
        if (value) text += fmt::format("  {:<22} {:>9.2f} {:<5} {}\n", name, *value, unit, what);
    };
    line("io", m.io_ns, "ns", "gross: a packet from port to port, written by the offer, sent as it came");
    line("macswap", m.macswap_ns, "ns", "gross: the same, addresses swapped");
    line("full", m.full_ns, "ns", "gross: the same, balanced");
    line("net", m.net_ns, "ns", "full less io: the median of the rounds' own differences");
    line("full / macswap", m.full_to_macswap, "", "");
    line("throughput", m.mpps, "Mpps", "gross");
    if (options.new_flows_percent != 0) line("new connections", m.new_flows_per_s / 1e6, "M/s", "recorded");
    line("full, updated", m.updated_ns, "ns", "gross, while generations are published");
    line("cost of updates", m.update_cost_percent, "%", "");
    line("reach, p99", m.reach_p99_us, "us", "from a generation's release until all workers use it");
    line("scaling", m.scaling, "x", "all workers' packets, to those of one alone");
    line("scaling, arithmetic", m.arithmetic_scaling, "x", "the same of a loop of pure arithmetic");
    if (m.packets != 0)
        text += fmt::format("  {} packets, {} lost, {} flows broken, {:.2f} % by an entry\n", m.packets, m.lost, m.broken, 100 * m.by_connection);
    if (m.updated_ns) text += fmt::format("  {} generations published in {} rounds\n", m.generations, options.rounds);
    text += fmt::format("  medians of {} rounds, {:g} s of each pipeline; others took {:.0f} % of one CPU meanwhile{}\n", options.rounds, options.seconds,
                        m.foreign_percent, m.foreign_percent > kForeignPercentMax ? ": the machine was busy, measure again when it is idle" : "");
    text += fmt::format("  {}; {}; commit {}\n", cpu_model(), FAIRLEAD_BUILD, variable("FAIRLEAD_COMMIT").value_or("unknown"));
    return text;
}

std::string in_json(const Options &options, const Measurement &m) {
    using Json = nlohmann::ordered_json;
    const auto number = [](const std::optional<double> &value) { return value ? Json(std::round(*value * 1000) / 1000) : Json(nullptr); };
    const auto commit = variable("FAIRLEAD_COMMIT");
    const Json json = {
        {"pipeline", word(options.pipelines)},
        {"mpps", number(m.mpps)},
        {"ns_per_packet", number(m.net_ns)},
        {"gross_ns_per_packet", number(m.full_ns)},
        {"io_ns_per_packet", number(m.io_ns)},
        {"macswap_ns_per_packet", number(m.macswap_ns)},
        {"full_to_macswap", number(m.full_to_macswap)},
        {"flows", options.flows},
        {"new_flows_percent", options.new_flows_percent},
        {"new_flows_per_second", std::round(m.new_flows_per_s)},
        {"size", options.imix ? Json("imix") : Json(options.size_bytes)},
        {"services", options.services},
        {"backends", options.backends},
        {"forwarding", forwarding(options)},
        {"headers", headers(options)},
        {"table_entries", options.table_entries},
        {"workers", options.workers},
        {"scaling", number(m.scaling)},
        {"arithmetic_scaling", number(m.arithmetic_scaling)},
        {"seconds", options.seconds},
        {"rounds", options.rounds},
        {"updates_per_second", options.updates_per_second},
        {"updated_ns_per_packet", number(m.updated_ns)},
        {"update_cost_percent", number(m.update_cost_percent)},
        {"reach_p99_us", number(m.reach_p99_us)},
        {"generations", m.updated_ns ? Json(m.generations) : Json(nullptr)},
        {"packets", m.packets},
        {"lost", m.lost},
        {"broken", m.broken},
        {"by_connection", number(m.by_connection)},
        {"foreign_percent", number(m.foreign_percent)},
        {"machine", {{"cpu", cpu_model()}, {"cores", std::thread::hardware_concurrency()}, {"kernel", kernel()}, {"hugepages", m.hugepages}}},
        {"commit", commit ? Json(*commit) : Json(nullptr)},
        {"build", FAIRLEAD_BUILD},
    };
    return json.dump();
}

} // namespace fairlead::mpps
