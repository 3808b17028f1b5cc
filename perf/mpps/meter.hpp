// SPDX-License-Identifier: Apache-2.0
/// The measurement: rounds of each pipeline in turn, on the same ports, loop and packets.
#pragma once

#include "dataplane/io/result.hpp"
#include "perf/mpps/options.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fairlead::mpps {

/// What was measured. Times are medians over rounds, of one worker; ratios are medians of the rounds' own ratios.
struct Measurement {
    std::optional<double> full_ns, macswap_ns, io_ns; ///< gross, a packet; what was not asked for is absent
    std::optional<double> net_ns;                     ///< `full` less `io`
    std::optional<double> full_to_macswap;
    double mpps = 0;                                  ///< gross, of `full` or of the one pipeline asked for; of all workers together
    std::uint64_t packets = 0;                        ///< offered in the rounds of `full`
    std::uint64_t lost = 0;                           ///< offered and not sent, of those
    std::uint64_t broken = 0;                         ///< established flows whose backend changed, though it lives
    double by_connection = 0;                         ///< part of the packets that an entry decided
    double new_flows_per_s = 0;                       ///< recorded, of all workers together

    // With --updates-per-second, beside rounds without.
    std::optional<double> updated_ns;
    std::optional<double> update_cost_percent;
    std::optional<double> reach_p99_us; ///< from the release of a generation until all workers used it
    std::uint64_t generations = 0;     ///< published in rounds that were measured

    // With --workers 2 and more, beside rounds with the first worker alone.
    std::optional<double> scaling;            ///< packets of all, to those of one
    std::optional<double> arithmetic_scaling; ///< the same of a loop of pure arithmetic

    bool hugepages = false;     ///< of buffers and tables
    double foreign_percent = 0; ///< of one CPU: what somebody else took of the machine meanwhile
};

/// Hugepages of 2 MB that the measurement takes. The error says what it cannot have on this machine, hugepages or not.
[[nodiscard]] io::Result<std::size_t> hugepages_needed(const Options &options);

[[nodiscard]] io::Result<Measurement> measure(const Options &options);

} // namespace fairlead::mpps
