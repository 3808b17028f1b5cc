// SPDX-License-Identifier: Apache-2.0
/// The state file's part about past sets of backends: of each list the first set whole, each other as its
/// difference to the one before it, since 64 sets of a thousand backends mostly repeat each other.
#pragma once

#include "controlplane/state/json_values.hpp"
#include "controlplane/state/state_file.hpp"

namespace fairlead::state {

[[nodiscard]] Json histories_to_json(const Histories &histories);

/// Throws Damaged.
[[nodiscard]] Histories histories_from_json(const Json &list);

} // namespace fairlead::state
