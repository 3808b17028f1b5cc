// SPDX-License-Identifier: Apache-2.0
// The commands that a Load is told on standard input; main.cpp lists them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/lab/unbroken/load.hpp"

namespace fairlead::lab {

// Runs one command; its answer, or {"error": in words}.
nlohmann::ordered_json execute(Load &load, const std::string &line, const LoadOptions &options);

}  // namespace fairlead::lab
