// SPDX-License-Identifier: Apache-2.0
/// The command line of fairlead-pktgen.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/io/options.hpp"
#include "perf/pktgen/flow_table.hpp"
#include "perf/pktgen/frame_template.hpp"

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace fairlead::pktgen {

/// What is measured, but for the ports.
struct Options {
    io::PortSpec port;
    std::optional<io::PortSpec> return_port; ///< nothing: what returns comes in by `port`
    std::vector<unsigned> lcores;            ///< one CPU; empty: chosen
    io::Idle idle = io::Idle::kPoll;
    io::HugepageUse hugepages = io::HugepageUse::kAuto;

    core::MacAddress gateway_mac{};
    wire::u32 vip = 0;
    wire::u16 vip_port = 80;
    Protocol protocol = Protocol::kTcp;
    SourceNetwork source_network{.address = 0xc6120000, .prefix_length = 16}; ///< 198.18.0.0: for this by RFC 2544, appendix C
    unsigned flow_count = 1000;
    std::vector<unsigned> frame_sizes{kFrameSizeMin}; ///< CRC included; over and over
    double syn_percent = 0;                           ///< of packets that open a new flow

    double rate_pps = 0;         ///< 0: as fast as it goes; in a search the highest
    double open_rate_pps = 1e5;  ///< at which the flows open, at most
    double seconds = 10;
    bool searches = false;
    double loss_percent = 0;
    double trial_seconds = 10;
    double resolution_percent = 1;

    bool prints_json = false;
    std::string flow_file; ///< a line for each flow; empty: none
};

/// Reads the command line. Prints what is wrong with it, or what --help and --version ask for.
[[nodiscard]] std::variant<Options, io::Exit> parse_options(int argc, const char *const *argv);

} // namespace fairlead::pktgen
