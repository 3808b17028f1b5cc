// SPDX-License-Identifier: Apache-2.0
/// fairlead-pktgen: exit codes 0 measured, 64 usage, 74 a report could not be written, 78 it lacks something to start.
#include "dataplane/io/log.hpp"
#include "perf/pktgen/session.hpp"

#include <fmt/format.h>
#include <sysexits.h>

#include <cstdio>

int main(int argc, char **argv) {
    using namespace fairlead;
    const auto parsed = pktgen::parse_options(argc, argv);
    if (const auto *exit = std::get_if<io::Exit>(&parsed)) return exit->code;
    const auto &options = std::get<pktgen::Options>(parsed);
    io::start_log("warning", "fairlead-pktgen");
    const auto report = pktgen::run_session(options);
    if (!report) {
        fmt::print(stderr, "fairlead-pktgen: {}\n", report.error());
        return EX_CONFIG;
    }
    fmt::print("{}", options.prints_json ? pktgen::format_json(*report) : pktgen::format_text(*report));
    if (!report->flow_file_error.empty()) fmt::print(stderr, "fairlead-pktgen: {}\n", report->flow_file_error);
    return std::fflush(stdout) == 0 && report->flow_file_error.empty() ? 0 : EX_IOERR;
}
