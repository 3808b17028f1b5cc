// SPDX-License-Identifier: Apache-2.0
/// The dataplane as a whole: puts the parts together, runs until it is told to end, takes them apart.
#pragma once

#include "dataplane/io/options.hpp"
#include "dataplane/io/result.hpp"

namespace fairlead::io {

/// Runs until SIGTERM, SIGINT or a Stop on the control socket. The error is one line: what it lacks to start, with what it needs and what it has.
[[nodiscard]] Result<void> run_dataplane(const Options &options);

} // namespace fairlead::io
