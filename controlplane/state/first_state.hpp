// SPDX-License-Identifier: Apache-2.0
/// The state to begin with when none was saved.
#pragma once

#include <expected>
#include <string>

#include "controlplane/state/state_file.hpp"

namespace fairlead::state {

/// The file's configuration, no leases yet, and a seed: the file's, or 128 bits from the kernel.
/// Errors: the file's, with line and field.
[[nodiscard]] std::expected<DesiredState, Error> first_state(const std::string &config_file);

} // namespace fairlead::state
