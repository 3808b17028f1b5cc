// SPDX-License-Identifier: Apache-2.0
// http_load: HTTP load that is told what to do on standard input, one command a line, in order; each answers with one line
// of JSON when it is done. Held connections carry on meanwhile. The end of the input is the end of the program, also in the
// middle of a command, so that it never outlives the script that speaks to it.
//
//   open COUNT RATE                  opens held connections, RATE a second
//   short COUNT CONCURRENCY [RATE]   short connections, one request each; gives up after 256 failures (kShortFailuresMax)
//   hold SECONDS                     waits
//   report                           what happened so far
//   stop                             closes everything; says the last report
#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <cmath>
#include <csignal>
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lab/http_load/load.hpp"

namespace {

using namespace fairlead::lab;
using Json = nlohmann::ordered_json;

constexpr rlim_t kOtherDescriptors = 16;    // besides connections

// Lines of standard input, read without a buffer that epoll cannot see.
class CommandInput {
public:
    // The next line; nothing if it has not arrived in full, or at the end.
    std::optional<std::string> take() {
        const size_t end = text_.find('\n');
        if (end == std::string::npos) return std::nullopt;
        std::string line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return line;
    }
    bool ended() const { return ended_; }
    void read() {
        std::array<char, 4096> bytes;
        const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (count > 0) text_.append(bytes.data(), static_cast<size_t>(count));
        else ended_ = true;
    }

private:
    std::string text_;
    bool ended_ = false;
};

double milliseconds_of(Clock::duration duration) {
    return std::round(std::chrono::duration<double, std::milli>(duration).count() * 10) / 10;
}

Json describe(const Tally &tally) {
    return {{"attempted", tally.attempted}, {"opened", tally.opened}, {"broken", tally.broken},
            {"requests", tally.requests}, {"answers", tally.answers}, {"failed", tally.failure_count()},
            {"failures", tally.failures}, {"backends", tally.backends}, {"examples", tally.examples},
            {"longest_gap_ms", milliseconds_of(tally.longest_gap)}};
}

Json describe(Load &load) {
    Json report = describe(load.held());
    report["open"] = load.held_open();
    report["recent_gap_ms"] = milliseconds_of(load.take_recent_gap());
    return report;
}

// Runs one command; its answer, or an error in words.
Json execute(Load &load, const std::string &line, const LoadOptions &options) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    const auto started = Clock::now();
    Json answer{{"command", line}};
    if (name == "open") {
        uint64_t count = 0;
        double rate = 0;
        if (!(words >> count >> rate) || rate <= 0) return {{"error", "open takes a count and a rate"}};
        if (!load.has_room(count))
            return {{"error", fmt::format("no room for {} more connections: this process may have {} at once; run another",
                                          count, options.connections_max)}};
        load.open_held(count, rate);
        load.run_until_settled(started + std::chrono::seconds(static_cast<int64_t>(static_cast<double>(count) / rate) + 1) +
                               options.timeout * 2);
        answer["held"] = describe(load);
    } else if (name == "short") {
        uint64_t count = 0;
        unsigned concurrency = 0;
        double rate = 0;
        if (!(words >> count >> concurrency) || concurrency == 0)
            return {{"error", "short takes a count, a concurrency and perhaps a rate"}};
        words >> rate;
        load.reset_brief();
        load.open_short(count, concurrency, rate);
        load.run_until_settled(Clock::time_point::max());
        answer["short"] = describe(load.brief());
    } else if (name == "hold") {
        double seconds = 0;
        if (!(words >> seconds)) return {{"error", "hold takes seconds"}};
        load.run_until(started + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
    } else if (name == "report" || name == "stop") {
        answer["held"] = describe(load);
    } else {
        return {{"error", fmt::format("no command '{}': open, short, hold, report, stop", name)}};
    }
    // The rest was never done; nobody should take this for its result.
    if ((name == "open" || name == "short" || name == "hold") && load.input_ended())
        return {{"error", fmt::format("the input ended during '{}'", line)}};
    answer["seconds"] = std::round(milliseconds_of(Clock::now() - started)) / 1000;
    return answer;
}

int serve(Load &load, const LoadOptions &options) {
    CommandInput input;
    for (;;) {
        const auto line = input.take();
        if (!line && input.ended()) return 0;
        if (!line) {
            load.run_until_readable();
            input.read();
            continue;
        }
        if (line->empty()) continue;
        const Json answer = execute(load, *line, options);
        std::cout << answer.dump() << std::endl;
        if (answer.contains("error")) return 2;
        if (*line == "stop") {
            load.close_held();
            return 0;
        }
    }
}

// As many descriptors as the system lets this process have.
rlim_t raise_descriptor_limit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

}  // namespace

int main(int argc, char **argv) {
    CLI::App app("HTTP load over held and short connections; commands on standard input");
    std::string address;
    uint16_t port = 80;
    std::vector<std::string> sources;
    double interval = 1, timeout = 10;
    app.add_option("address", address, "IPv4 address to connect to")->required();
    app.add_option("port", port, "TCP port (80)");
    app.add_option("--source", sources, "own addresses to connect from, in turn")->allow_extra_args(false);
    app.add_option("--interval", interval, "seconds between requests of a held connection (1)")->check(CLI::PositiveNumber);
    app.add_option("--timeout", timeout, "seconds to wait for a connection or an answer (10)")->check(CLI::PositiveNumber);
    CLI11_PARSE(app, argc, argv);

    LoadOptions options;
    options.interval = milliseconds(static_cast<int64_t>(interval * 1000));
    options.timeout = milliseconds(static_cast<int64_t>(timeout * 1000));
    options.target.sin_family = AF_INET;
    options.target.sin_port = htons(port);
    if (::inet_pton(AF_INET, address.c_str(), &options.target.sin_addr) != 1) {
        std::cerr << "http_load: '" << address << "' is no IPv4 address\n";
        return 2;
    }
    for (const std::string &source : sources) {
        in_addr parsed{};
        if (::inet_pton(AF_INET, source.c_str(), &parsed) != 1) {
            std::cerr << "http_load: '" << source << "' is no IPv4 address\n";
            return 2;
        }
        options.sources.push_back(parsed);
    }
    options.input = STDIN_FILENO;
    options.connections_max = raise_descriptor_limit() - kOtherDescriptors;
    Load load(options);
    return serve(load, options);
}
