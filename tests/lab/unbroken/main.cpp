// SPDX-License-Identifier: Apache-2.0
// unbroken: real TCP connections through a VIP, and whether they stay unbroken. It is told what to do on standard input, one
// command a line, in order; each answers with one line of JSON when it is done. Held connections carry on meanwhile. The end
// of the input is the end of the program, also in the middle of a command, so that it never outlives the script that speaks
// to it.
//
//   open COUNT RATE                  opens held connections, RATE a second
//   short COUNT CONCURRENCY [RATE]   short connections, one request each; gives up after 256 failures (kShortFailuresMax)
//   trickle RATE                     short connections from now on, while other commands are carried out; ends at 256 failures
//   trickle end                      no more of them; what became of them
//   hold SECONDS                     waits
//   ask RATE                         sends a request on each held connection, silent ones too; waits for the answers
//   excuse BACKEND                   what becomes of that backend's held connections from now on does not count
//   close BACKEND RATE               closes that backend's held connections, and waits until they are closed
//   resume SECONDS                   waits until all that were lost or closed are open again (--reconnect), at most so long
//   report                           what happened so far, and since the last report
//   stop                             closes everything; says the last report
#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <array>
#include <csignal>
#include <fmt/format.h>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/lab/unbroken/commands.hpp"

namespace {

using namespace fairlead::lab;

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
        const auto answer = execute(load, *line, options);
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
    CLI::App app("HTTP over held and short connections that counts which of them break; commands on standard input");
    std::string address;
    uint16_t port = 80;
    std::vector<std::string> sources;
    double interval = 1, timeout = 10;
    LoadOptions options;
    app.add_option("address", address, "IPv4 address to connect to")->required();
    app.add_option("port", port, "TCP port (80)");
    app.add_option("--source", sources, "own addresses to connect from, in turn")->allow_extra_args(false);
    app.add_option("--interval", interval, "seconds between requests of a held connection (1)")->check(CLI::PositiveNumber);
    app.add_option("--timeout", timeout, "seconds to wait for a connection or an answer (10)")->check(CLI::PositiveNumber);
    app.add_option("--silent", options.silent, "share of held connections that stay silent between their first request and `ask` (0)")
        ->check(CLI::Range(0.0, 1.0));
    app.add_flag("--reconnect", options.reconnect, "open held connections again that are lost or closed");
    CLI11_PARSE(app, argc, argv);

    options.interval = milliseconds(static_cast<int64_t>(interval * 1000));
    options.timeout = milliseconds(static_cast<int64_t>(timeout * 1000));
    options.target.sin_family = AF_INET;
    options.target.sin_port = htons(port);
    if (::inet_pton(AF_INET, address.c_str(), &options.target.sin_addr) != 1) {
        std::cerr << "unbroken: '" << address << "' is no IPv4 address\n";
        return 2;
    }
    for (const std::string &source : sources) {
        in_addr parsed{};
        if (::inet_pton(AF_INET, source.c_str(), &parsed) != 1) {
            std::cerr << "unbroken: '" << source << "' is no IPv4 address\n";
            return 2;
        }
        options.sources.push_back(parsed);
    }
    options.input = STDIN_FILENO;
    options.connections_max = raise_descriptor_limit() - kOtherDescriptors;
    Load load(options);
    return serve(load, options);
}
