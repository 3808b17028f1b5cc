// SPDX-License-Identifier: Apache-2.0
/// fairlead-pktgen: exit codes 0 measured, 64 usage, 69 nothing came back, 74 a report could not be written, 78 it lacks something to start.
#include "dataplane/io/log.hpp"
#include "perf/pktgen/session.hpp"

#include <fmt/format.h>
#include <sysexits.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

/// Not by fmt::print, which throws where a file takes no more.
int fail(const std::string &why, int code) {
    std::fputs(("fairlead-pktgen: " + why + "\n").c_str(), stderr);
    return code;
}

} // namespace

int main(int argc, char **argv) {
    using namespace fairlead;
    const auto parsed = pktgen::parse_options(argc, argv);
    if (const auto *exit = std::get_if<io::Exit>(&parsed)) return exit->code;
    const auto &options = std::get<pktgen::Options>(parsed);
    io::start_log("warning", "fairlead-pktgen");
    const auto report = pktgen::run_session(options);
    if (!report) return fail(report.error(), EX_CONFIG);
    const auto text = options.prints_json ? pktgen::format_json(*report) : pktgen::format_text(*report);
    int code = pktgen::is_silent(*report) ? EX_UNAVAILABLE : 0; // what may be the cause has been said
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
        code = fail(fmt::format("the report could not be written: {}", std::strerror(errno)), EX_IOERR);
    if (!report->flow_file_error.empty()) code = fail(report->flow_file_error, EX_IOERR);
    return code;
}
