// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/unbroken/commands.hpp"

#include <cmath>
#include <fmt/format.h>
#include <sstream>

namespace fairlead::lab {
namespace {

using Json = nlohmann::ordered_json;
using Words = std::istringstream;

constexpr unsigned kTrickleConcurrency = 1024;     // never the bound, unless most of them hang
constexpr double kRateMin = 0.01;

Json error(const std::string &text) { return {{"error", text}}; }

Clock::time_point after(double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

Json describe_held(const Load &load) {
    Json report = describe(load.held());
    report["open"] = load.held_open();
    report["open_by_backend"] = load.open_by_backend();
    return report;
}

Json open(Load &load, Words &words, const LoadOptions &options) {
    uint64_t count = 0;
    double rate = 0;
    if (!(words >> count >> rate) || rate < kRateMin) return error("open takes a count and a rate");
    if (!load.has_room(count))
        return error(fmt::format("no room for {} more connections: this process may have {} at once; run another", count,
                                 options.connections_max));
    load.open_held(count, rate);
    load.run(after(static_cast<double>(count) / rate + 1) + options.timeout * 2, [&load] { return load.held_settled(); });
    return {{"held", describe_held(load)}};
}

Json open_short(Load &load, Words &words, const LoadOptions &) {
    uint64_t count = 0;
    unsigned concurrency = 0;
    double rate = 0;
    if (!(words >> count >> concurrency) || concurrency == 0) return error("short takes a count, a concurrency and perhaps a rate");
    words >> rate;
    load.reset_brief();
    load.open_short(count, concurrency, rate);
    load.run(Clock::time_point::max(), [&load] { return load.short_settled(); });
    return {{"short", describe(load.brief())}};
}

Json trickle(Load &load, Words &words, const LoadOptions &) {
    std::string word;
    double rate = 0;
    if (words >> word && word == "end") {
        load.end_short();
        load.run(Clock::time_point::max(), [&load] { return load.short_settled(); });
        return {{"short", describe(load.brief())}};
    }
    if (!(Words(word) >> rate) || rate < kRateMin) return error("trickle takes a rate, or the word end");
    load.reset_brief();
    load.open_short(UINT64_MAX, kTrickleConcurrency, rate);
    return Json::object();
}

Json hold(Load &load, Words &words, const LoadOptions &) {
    double seconds = 0;
    if (!(words >> seconds)) return error("hold takes seconds");
    load.run(after(seconds), [] { return false; });
    return Json::object();
}

Json ask(Load &load, Words &words, const LoadOptions &) {
    double rate = 0;
    if (!(words >> rate) || rate < kRateMin) return error("ask takes a rate");
    load.ask(rate);
    load.run(Clock::time_point::max(), [&load] { return load.asked_settled(); });
    return {{"held", describe_held(load)}};
}

Json excuse(Load &load, Words &words, const LoadOptions &) {
    std::string backend;
    if (!(words >> backend)) return error("excuse takes a backend's name");
    return {{"excused", load.excuse(backend)}};
}

Json close(Load &load, Words &words, const LoadOptions &) {
    std::string backend;
    double rate = 0;
    if (!(words >> backend >> rate) || rate < kRateMin) return error("close takes a backend's name and a rate");
    const uint64_t count = load.close_those_of(backend, rate);
    load.run(Clock::time_point::max(), [&load] { return load.close_settled(); });
    return {{"closed", count}};
}

Json resume(Load &load, Words &words, const LoadOptions &) {
    double seconds = 0;
    if (!(words >> seconds)) return error("resume takes seconds");
    load.run(after(seconds), [&load] { return load.resumption().waiting == 0; });
    return {{"resumption", describe(load.resumption())}};
}

Json report(Load &load, Words &, const LoadOptions &) {
    Json answer{{"held", describe_held(load)}, {"resumption", describe(load.resumption())}};
    answer["held"]["recent_gap_ms"] = milliseconds_of(load.take_recent_gap());
    load.reset_resumption();
    return answer;
}

struct Command {
    const char *name;
    Json (*run)(Load &, Words &, const LoadOptions &);
    bool takes_time;
};
constexpr Command kCommands[] = {
    {"open", open, true}, {"short", open_short, true}, {"trickle", trickle, true}, {"hold", hold, true},
    {"ask", ask, true}, {"excuse", excuse, false}, {"close", close, true}, {"resume", resume, true},
    {"report", report, false}, {"stop", report, false},
};

}  // namespace

Json execute(Load &load, const std::string &line, const LoadOptions &options) {
    Words words(line);
    std::string name;
    words >> name;
    for (const Command &command : kCommands) {
        if (name != command.name) continue;
        const auto started = Clock::now();
        const Json result = command.run(load, words, options);
        if (result.contains("error")) return result;
        // The rest was never done; nobody should take this for its result.
        if (command.takes_time && load.input_ended()) return error(fmt::format("the input ended during '{}'", line));
        Json answer{{"command", line}};
        answer.update(result);
        answer["seconds"] = std::round(milliseconds_of(Clock::now() - started)) / 1000;
        return answer;
    }
    std::string names;
    for (const Command &command : kCommands) names += fmt::format("{}{}", names.empty() ? "" : ", ", command.name);
    return error(fmt::format("no command '{}': {}", name, names));
}

}  // namespace fairlead::lab
