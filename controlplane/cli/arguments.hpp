// SPDX-License-Identifier: Apache-2.0
/// Checks of command-line values, by the rules of the configuration file.
#pragma once

#include <CLI/CLI.hpp>

namespace fairlead::cli {

[[nodiscard]] CLI::Validator is_ipv4();
[[nodiscard]] CLI::Validator is_port();
[[nodiscard]] CLI::Validator is_protocol();
[[nodiscard]] CLI::Validator is_forwarding();
[[nodiscard]] CLI::Validator is_algorithm();
[[nodiscard]] CLI::Validator is_on_or_off();
[[nodiscard]] CLI::Validator is_weight();
[[nodiscard]] CLI::Validator is_duration();
[[nodiscard]] CLI::Validator is_on_dead();
[[nodiscard]] CLI::Validator is_health_type();
[[nodiscard]] CLI::Validator is_statuses();
[[nodiscard]] CLI::Validator is_health_period();
[[nodiscard]] CLI::Validator is_number(std::uint32_t low, std::uint32_t high);

} // namespace fairlead::cli
