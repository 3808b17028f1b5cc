// SPDX-License-Identifier: Apache-2.0
/// The command line of fairlead-dataplane.
#pragma once

#include "dataplane/io/placement.hpp"
#include "dataplane/io/port_spec.hpp"

#include <string>
#include <variant>
#include <vector>

namespace fairlead::io {

enum class Idle { kPoll, kBackoff };
enum class Distribute { kAuto, kOn, kOff };
enum class NumaUse { kStrict, kAny };
enum class HugepageUse { kAuto, kOn, kOff };

struct Options {
    std::vector<PortSpec> ports;
    unsigned worker_count = 0;    ///< 0: as many as CPUs in `lcores`, or one
    std::vector<unsigned> lcores; ///< CPUs; empty: chosen from what the process may use
    std::string runtime_directory = "/run/fairlead";
    Idle idle = Idle::kPoll;
    std::string table_directory; ///< of connection tables; empty: chosen
    std::string state_directory; ///< of the copy of the last generation; empty: the runtime directory
    bool forgets = false;        ///< nothing is kept for the next start
    unsigned connections = 1U << 20; ///< that each worker's table holds without giving up any
    unsigned wide_connections = 0;   ///< the same, of services on all ports; 0: as many, up to 1048576
    unsigned memory_mb = 0;          ///< for packet buffers; 0: what the ports need
    HugepageUse hugepages = HugepageUse::kAuto;
    Distribute distribute = Distribute::kAuto;
    NumaUse numa = NumaUse::kStrict;
    unsigned mtu = 0; ///< 0: each port's own
    std::string log_level = "info";
};

/// The program is to end at once with this exit code; what was to be said has been said.
struct Exit {
    int code;
};

/// Reads the command line. Prints what is wrong with it, or what --help and --version ask for.
[[nodiscard]] std::variant<Options, Exit> parse_options(int argc, const char *const *argv);

} // namespace fairlead::io
