// SPDX-License-Identifier: Apache-2.0
/// fairlead-dataplane: exit codes 0 ended by SIGTERM, SIGINT or `fairlead node drain`, 64 usage, 78 it lacks something to start.
#include "dataplane/io/dataplane.hpp"
#include "dataplane/io/log.hpp"

#include <fmt/format.h>
#include <sysexits.h>

#include <cstdio>

int main(int argc, char **argv) {
    using namespace fairlead;
    const auto parsed = io::parse_options(argc, argv);
    if (const auto *exit = std::get_if<io::Exit>(&parsed)) return exit->code;
    const auto &options = std::get<io::Options>(parsed);
    io::start_log(options.log_level, "fairlead-dataplane");
    if (const auto ran = io::run_dataplane(options); !ran) {
        fmt::print(stderr, "fairlead-dataplane: {}\n", ran.error());
        return EX_CONFIG;
    }
    return 0;
}
