// SPDX-License-Identifier: Apache-2.0
/// What was measured, in words, as JSON, and flow by flow.
#pragma once

#include "perf/pktgen/options.hpp"
#include "perf/pktgen/trial.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fairlead::pktgen {

/// One step of a search.
struct SearchStep {
    double asked_pps;
    TrialOutcome outcome;
    wire::u64 receive_missed; ///< as Trial has it: what failed the trial may have been the meter
    bool passed;
};

struct Report {
    Options options;
    Trial opening;                     ///< each flow's first packet
    Trial trial;                       ///< of a search: the last that passed, or the last
    std::map<wire::u64, unsigned> backends; ///< of that trial, as FlowRecord has them, with the flows that came back from there
    unsigned unknown_flows = 0;        ///< that came back without saying from where
    bool expects_return = true;        ///< there is a port that receives
    wire::u64 came_back = 0;           ///< packets of the whole run, those too late for their trial included
    core::MacAddress return_mac{};     ///< of the port where packets return
    std::optional<RateSearch> search;
    std::vector<SearchStep> steps;
    bool steps_are_shown = false;      ///< already, where the text is to be read
    bool was_interrupted = false;
    std::string flow_file_error;       ///< empty: it is written, or was not asked for
};

/// Below this share of the asked rate the generator is said to have been the limit.
[[nodiscard]] bool has_fallen_behind(const Trial &trial) noexcept;

/// Packets were sent, and not one came back though there is a port for it.
[[nodiscard]] bool is_silent(const Report &report) noexcept;

/// Why that may be, in one line.
[[nodiscard]] std::string explain_silence(const Report &report);

[[nodiscard]] std::string format_step(const SearchStep &step);
[[nodiscard]] std::string format_text(const Report &report);
[[nodiscard]] std::string format_json(const Report &report);

/// A line for each flow whose record is still there.
[[nodiscard]] io::Result<void> write_flows(const std::string &path, const FlowTable &flows);

} // namespace fairlead::pktgen
