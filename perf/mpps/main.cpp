// SPDX-License-Identifier: Apache-2.0
/// mpps: exit codes 0 measured, 64 usage, 70 the measurement itself is wrong (packets lost or flows broken), 78 cannot start.
#include "dataplane/io/log.hpp"
#include "perf/mpps/report.hpp"

#include <fmt/format.h>
#include <sysexits.h>

#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
    using namespace fairlead;
    const auto parsed = mpps::parse_options(argc, argv);
    if (const auto *exit = std::get_if<io::Exit>(&parsed)) return exit->code;
    const auto &options = std::get<mpps::Options>(parsed);
    io::start_log("warning", "mpps");
    try {
        const auto measured = mpps::measure(options);
        if (!measured) {
            fmt::print(stderr, "mpps: {}\n", measured.error());
            return EX_CONFIG;
        }
        fmt::print("{}", options.json ? mpps::in_json(options, *measured) + "\n" : mpps::in_words(options, *measured));
        return measured->lost != 0 || measured->broken != 0 ? EX_SOFTWARE : 0;
    } catch (const std::exception &error) {
        fmt::print(stderr, "mpps: {}\n", error.what());
        return EX_CONFIG;
    }
}
