// SPDX-License-Identifier: Apache-2.0
/// How `fairlead-backend status` shows a program: for people, and for programs.
#pragma once

#include <string>

#include "bpf/backend.hpp"

namespace fairlead::bpf {

/// "on (transmit by xdp)", "on (transmit by kernel)" or "off".
[[nodiscard]] std::string second_chance_text(const BackendSettings &settings);

[[nodiscard]] std::string format_table(const std::string &interface, const BackendStatus &status);

/// One object: interface, mode, program_id, gue_port, second_chance, transmit
/// (xdp, kernel or none), balancers, vips, and outcomes by name,
/// each with its packets and text.
[[nodiscard]] std::string format_json(const std::string &interface, const BackendStatus &status);

} // namespace fairlead::bpf
