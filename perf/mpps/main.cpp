// SPDX-License-Identifier: Apache-2.0
/// mpps: exit codes 0 measured, 64 usage, 70 the measurement itself is wrong (packets lost or flows broken),
/// 74 it could not be written, 78 cannot start.
#include "dataplane/io/log.hpp"
#include "perf/mpps/report.hpp"

#include <fmt/format.h>
#include <sysexits.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>

namespace {

/// Not by fmt::print, which throws where a file takes no more.
int fail(const std::string &why, int code) {
    std::fputs(("mpps: " + why + "\n").c_str(), stderr);
    return code;
}

int print(const std::string &text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return 0;
    return fail(fmt::format("standard output takes no more: {}", std::strerror(errno)), EX_IOERR);
}

} // namespace

int main(int argc, char **argv) {
    using namespace fairlead;
    const auto parsed = mpps::parse_options(argc, argv);
    if (const auto *exit = std::get_if<io::Exit>(&parsed)) return exit->code;
    const auto &options = std::get<mpps::Options>(parsed);
    io::start_log("warning", "mpps");
    try {
        if (options.asks_hugepages) {
            const auto pages = mpps::hugepages_needed(options);
            return pages ? print(fmt::format("{}\n", *pages)) : fail(pages.error(), EX_CONFIG);
        }
        const auto measured = mpps::measure(options);
        if (!measured) return fail(measured.error(), EX_CONFIG);
        if (const int code = print(options.json ? mpps::in_json(options, *measured) + "\n" : mpps::in_words(options, *measured)); code != 0) return code;
        return measured->lost != 0 || measured->broken != 0 ? EX_SOFTWARE : 0;
    } catch (const std::exception &error) {
        return fail(error.what(), EX_CONFIG);
    }
}
