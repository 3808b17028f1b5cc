// SPDX-License-Identifier: Apache-2.0
/// The figures of one trial.
#pragma once

#include "perf/pktgen/flow_table.hpp"
#include "perf/pktgen/latency_histogram.hpp"
#include "perf/pktgen/rate_search.hpp"

namespace fairlead::pktgen {

/// What one trial asked for and found.
struct Trial {
    double asked_pps = 0; ///< 0: as fast as it goes
    double seconds = 0;   ///< in which packets were sent
    wire::u64 sent = 0;
    wire::u64 sent_bytes = 0;      ///< as frames with CRC
    wire::u64 returned = 0;        ///< without duplicates
    wire::u64 unrecognised = 0;    ///< came in, but bore no stamp of a flow of this run
    wire::u64 stale = 0;           ///< came back after their own trial
    wire::u64 receive_missed = 0;  ///< the meter's own receive queues were full: lost here, not in the device
    FlowCounts flows;
    LatencyHistogram latency_ns;

    [[nodiscard]] double achieved_pps() const noexcept { return seconds > 0 ? static_cast<double>(sent) / seconds : 0; }
    [[nodiscard]] double returned_pps() const noexcept { return seconds > 0 ? static_cast<double>(returned) / seconds : 0; }
    [[nodiscard]] TrialOutcome outcome() const noexcept { return {achieved_pps(), sent, returned}; }
};

} // namespace fairlead::pktgen
