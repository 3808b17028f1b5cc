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
    std::map<wire::u64, unsigned> backends; ///< as FlowRecord has them, with their flows
    unsigned unknown_flows = 0;        ///< that came back without saying from where
    std::optional<RateSearch> search;
    std::vector<SearchStep> steps;
    bool was_interrupted = false;
    std::string flow_file_error;       ///< empty: it is written, or was not asked for
};

/// Below this share of the asked rate the generator is said to have been the limit.
[[nodiscard]] bool has_fallen_behind(const Trial &trial) noexcept;

[[nodiscard]] std::string format_step(const SearchStep &step);
[[nodiscard]] std::string format_text(const Report &report);
[[nodiscard]] std::string format_json(const Report &report);

/// A line for each flow whose record is still there.
[[nodiscard]] io::Result<void> write_flows(const std::string &path, const FlowTable &flows);

} // namespace fairlead::pktgen
