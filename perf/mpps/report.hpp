// SPDX-License-Identifier: Apache-2.0
/// A measurement in words, or as one JSON object.
#pragma once

#include "perf/mpps/meter.hpp"

#include <string>

namespace fairlead::mpps {

[[nodiscard]] std::string in_words(const Options &options, const Measurement &measurement);

/// Ends without a newline. What was not measured is null.
[[nodiscard]] std::string in_json(const Options &options, const Measurement &measurement);

} // namespace fairlead::mpps
