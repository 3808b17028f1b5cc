// SPDX-License-Identifier: Apache-2.0
#include "perf/mpps/options.hpp"

#include "dataplane/wire/snapshot.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sysexits.h>

#include <cstdio>
#include <map>

namespace fairlead::mpps {

namespace {

constexpr unsigned kBackendsMax = 50'000; // some slots are left for backends that come

io::Exit refuse(const std::string &why) {
    fmt::print(stderr, "mpps: {}\n", why);
    return {EX_USAGE};
}

template <class T> CLI::CheckedTransformer words(const std::map<std::string, T> &meanings) { return CLI::CheckedTransformer(meanings); }

/// What single values cannot say.
std::string contradiction(const Options &options) {
    if (options.services > options.backends)
        return fmt::format("--services {}: more than the {} backends of --backends", options.services, options.backends);
    if (options.flows > options.table_entries / 20 * 17)
        return fmt::format("--flows {}: a table of {} entries holds {} for certain; raise --table", options.flows, options.table_entries,
                           options.table_entries / 20 * 17);
    if (options.updates_per_second != 0 && options.pipelines != Pipelines::kAll && options.pipelines != Pipelines::kFull)
        return "--updates-per-second: only the pipeline `full` knows generations";
    return {};
}

} // namespace

std::variant<Options, io::Exit> parse_options(int argc, const char *const *argv) {
    Options options;
    options.forwarding = wire::kForwardingGue;
    CLI::App app{"Measures the dataplane's packet path on memory-backed ports: real loop, real pipeline, no NIC.", "mpps"};
    app.add_option("--pipeline", options.pipelines, "all: each in turn, round by round; full, macswap (addresses swapped), io (nothing done)")
        ->transform(words<Pipelines>({{"all", Pipelines::kAll}, {"full", Pipelines::kFull}, {"macswap", Pipelines::kMacswap}, {"io", Pipelines::kIo}}))
        ->default_str("all");
    app.add_option("--flows", options.flows, "established TCP flows of each worker; each packet's is drawn at random")
        ->check(CLI::Range(1U, 1U << 30))->capture_default_str();
    app.add_option("--new-flows", options.new_flows_percent, "percent of the packets that are SYNs of unknown flows")->check(CLI::Range(0U, 100U));
    auto *size = app.add_option("--size", options.size_bytes, "bytes of a frame, CRC included")->check(CLI::Range(64U, 1518U))->capture_default_str();
    app.add_flag("--imix", options.imix, "frames of 64, 594 and 1518 bytes, 7:4:1")->excludes(size);
    app.add_option("--services", options.services, "services, among which the backends are dealt")->check(CLI::Range(1U, unsigned{wire::kServiceCapacity}))->capture_default_str();
    app.add_option("--backends", options.backends, "backends of all services")->check(CLI::Range(1U, kBackendsMax))->capture_default_str();
    app.add_option("--forwarding", options.forwarding, "gue or ipip")
        ->transform(words<std::uint8_t>({{"gue", wire::kForwardingGue}, {"ipip", wire::kForwardingIpip}}))->default_str("gue");
    app.add_option("--headers", options.headers, "warm: written just before they are offered; cold: so long before that they left L1 and L2")
        ->transform(words<Headers>({{"warm", Headers::kWarm}, {"cold", Headers::kCold}}))->default_str("warm");
    app.add_option("--workers", options.workers, "cores, each with a port and tables of its own")->check(CLI::Range(1U, 16U))->capture_default_str();
    app.add_option("--lcores", options.lcores, "CPUs of the workers, such as 2,4-6");
    app.add_option("--seconds", options.seconds, "measured for each pipeline")->check(CLI::Range(0.1, 3600.0))->capture_default_str();
    app.add_option("--rounds", options.rounds, "that these seconds are cut into; medians are of rounds")->check(CLI::Range(1U, 1000U))->capture_default_str();
    app.add_option("--updates-per-second", options.updates_per_second, "generations published under load, each a backend more or less")->check(CLI::Range(0U, 1000U));
    app.add_option("--table", options.table_entries, "entries of each worker's connection table")->check(CLI::Range(1024U, 1U << 31))->capture_default_str();
    app.add_flag("--json", options.json, "one JSON object instead of lines");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        if (error.get_exit_code() == 0) return io::Exit{app.exit(error)};
        return refuse(error.what());
    }
    if (const auto why = contradiction(options); !why.empty()) return refuse(why);
    return options;
}

} // namespace fairlead::mpps
