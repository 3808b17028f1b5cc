// SPDX-License-Identifier: Apache-2.0
/// A run of fairlead-pktgen: puts the parts together, opens the flows, measures, takes them apart.
#pragma once

#include "perf/pktgen/options.hpp"
#include "perf/pktgen/report.hpp"

namespace fairlead::pktgen {

/// Runs until what was asked for is measured, or SIGTERM or SIGINT: then the report is of what there was.
/// The error is one line: what it lacks to start.
[[nodiscard]] io::Result<Report> run_session(const Options &options);

} // namespace fairlead::pktgen
