// SPDX-License-Identifier: Apache-2.0
/// The command line of the meter.
#pragma once

#include "dataplane/io/options.hpp"

#include <cstdint>
#include <string>
#include <variant>

namespace fairlead::mpps {

enum class Headers { kWarm, kCold };
enum class Pipelines { kAll, kFull, kMacswap, kIo };

constexpr unsigned kRoundsMax = 15; ///< unless more are asked for
constexpr unsigned kRoundsMin = 3;  ///< the same: fewer have no median worth the name
constexpr unsigned kGenerationsARoundMin = 2;

struct Options {
    Pipelines pipelines = Pipelines::kAll;
    unsigned flows = 1000;              ///< established, of each worker
    unsigned new_flows_percent = 0;     ///< of the packets: SYNs of flows that were never seen
    unsigned size_bytes = 64;           ///< of a frame with its CRC
    bool imix = false;                  ///< 64, 594 and 1518 bytes, 7:4:1
    unsigned services = 1;
    unsigned backends = 100;            ///< of all services together
    std::uint8_t forwarding = 0;        ///< wire::kForwarding...
    Headers headers = Headers::kWarm;
    unsigned workers = 1;
    std::string lcores;                 ///< CPUs of the workers; empty: chosen
    double seconds = 1.5;               ///< measured for each pipeline
    unsigned rounds = kRoundsMax;       ///< that these seconds are cut into
    unsigned updates_per_second = 0;    ///< generations published meanwhile
    unsigned table_entries = 1U << 24;  ///< of each worker's connection table
    bool json = false;
    bool asks_hugepages = false;        ///< only how many hugepages this takes
};

[[nodiscard]] std::variant<Options, io::Exit> parse_options(int argc, const char *const *argv);

} // namespace fairlead::mpps
