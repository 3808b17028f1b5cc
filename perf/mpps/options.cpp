// SPDX-License-Identifier: Apache-2.0
#include "perf/mpps/options.hpp"

#include "dataplane/wire/snapshot.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairlead::mpps {

namespace {

constexpr unsigned kBackendsMax = 50'000; // some slots are left for backends that come

/// A person's words, on a line of their own.
std::string printable(std::string_view text) {
    std::string line;
    for (const char c : text)
        if (const auto byte = static_cast<unsigned char>(c); byte < 0x20 || byte == 0x7f) line += fmt::format("\\x{:02x}", byte);
        else line += c;
    return line;
}

io::Exit refuse(const std::string &why) {
    std::fputs(fmt::format("mpps: {}\n", printable(why)).c_str(), stderr);
    return {EX_USAGE};
}

// Of CLI11's own validators the help and the errors show what words are turned into, and types of C++.

template <class T> using Words = std::vector<std::pair<const char *, T>>;

template <class T> void take_one_of(CLI::Option *option, Words<T> words) {
    std::string names;
    for (const auto &[name, value] : words) names += (names.empty() ? "" : "|") + std::string(name);
    option->default_str(words.front().first)->type_name(names)->transform(CLI::Validator([=](std::string &given) -> std::string {
        for (const auto &[name, value] : words)
            if (given == name) {
                given = std::to_string(static_cast<unsigned>(value));
                return {};
            }
        return fmt::format("takes {}, not '{}'", names, given);
    }, ""));
}

template <class T> void take_number(CLI::Option *option, T low, T high) {
    const auto range = fmt::format("{}..{}", low, high);
    option->type_name(range)->check(CLI::Validator([=](std::string &given) -> std::string {
        T value{};
        const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
        // A number that is none is neither below nor above.
        if (error == std::errc{} && end == given.data() + given.size() && value >= low && value <= high) return {};
        return fmt::format("takes {}, not '{}'", range, given);
    }, ""));
}

/// Rounds that see too few generations tell nothing of their cost. Where nobody said how many, they are made longer as far as `seconds` reach.
std::string settle_rounds(Options &options, bool is_free) {
    const double generations = options.seconds * options.updates_per_second;
    if (is_free)
        options.rounds = std::clamp(static_cast<unsigned>(generations / kGenerationsARoundMin), kRoundsMin, kRoundsMax);
    if (generations >= kGenerationsARoundMin * options.rounds) return {};
    return fmt::format("--updates-per-second {}: each of the {} rounds is to see {} generations or more, in {:g} s there are {:g}; --seconds {:g} or more{}",
                       options.updates_per_second, options.rounds, kGenerationsARoundMin, options.seconds, std::floor(generations),
                       static_cast<double>(kGenerationsARoundMin * options.rounds) / options.updates_per_second,
                       options.rounds > kRoundsMin ? ", or fewer --rounds" : "");
}

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
    take_one_of(app.add_option("--pipeline", options.pipelines, "all: each in turn, round by round; full, macswap (addresses swapped), io (nothing done)"),
                Words<Pipelines>{{"all", Pipelines::kAll}, {"full", Pipelines::kFull}, {"macswap", Pipelines::kMacswap}, {"io", Pipelines::kIo}});
    const auto number = [&](const char *name, auto &value, const char *what, auto low, auto high) {
        auto *option = app.add_option(name, value, what)->capture_default_str();
        take_number(option, low, high);
        return option;
    };
    number("--flows", options.flows, "established TCP flows of each worker; each packet's is drawn at random", 1U, 1U << 30);
    number("--new-flows", options.new_flows_percent, "percent of the packets that are SYNs of unknown flows", 0U, 100U);
    auto *size = number("--size", options.size_bytes, "bytes of a frame, CRC included", 64U, 1518U);
    app.add_flag("--imix", options.imix, "frames of 64, 594 and 1518 bytes, 7:4:1")->excludes(size);
    number("--services", options.services, "services, among which the backends are dealt", 1U, unsigned{wire::kServiceCapacity});
    number("--backends", options.backends, "backends of all services", 1U, kBackendsMax);
    take_one_of(app.add_option("--forwarding", options.forwarding, "how packets go to their backends"),
                Words<std::uint8_t>{{"gue", wire::kForwardingGue}, {"ipip", wire::kForwardingIpip}});
    take_one_of(app.add_option("--headers", options.headers, "warm: written just before they are offered; cold: so long before that they left L1 and L2"),
                Words<Headers>{{"warm", Headers::kWarm}, {"cold", Headers::kCold}});
    number("--workers", options.workers, "cores, each with a port and tables of its own", 1U, 16U);
    app.add_option("--lcores", options.lcores, "CPUs of the workers, such as 2,4-6")->type_name("CPUS");
    number("--seconds", options.seconds, "measured for each pipeline", 0.1, 3600.0);
    auto *rounds = number("--rounds", options.rounds, "that these seconds are cut into; medians are of rounds", 1U, 1000U);
    number("--updates-per-second", options.updates_per_second, "generations published under load, each a backend more or less; two or more in a round, "
           "so rounds are fewer unless --rounds says how many", 0U, 1000U);
    number("--table", options.table_entries, "entries of each worker's connection table", 1024U, 1U << 31);
    app.add_flag("--json", options.json, "one JSON object instead of lines");
    app.add_flag("--hugepages-needed", options.asks_hugepages)->group(""); // for perf/mpps.sh, that lends them
    app.footer("Times are medians over rounds. `net` (ns_per_packet) is the median of the rounds' own differences, full less io of the same\n"
               "round, so not quite the difference of the medians shown; ratios likewise. foreign_percent: CPU time that others took of the\n"
               "machine meanwhile, in percent of one CPU.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        if (error.get_exit_code() == 0) return io::Exit{app.exit(error)};
        const std::string why = error.what();
        if (why.ends_with(" missing")) return refuse(why.substr(0, why.find(':')) + ": takes a value");
        return refuse(why);
    }
    if (const auto why = contradiction(options); !why.empty()) return refuse(why);
    if (options.updates_per_second != 0)
        if (const auto why = settle_rounds(options, rounds->empty()); !why.empty()) return refuse(why);
    return options;
}

} // namespace fairlead::mpps
