// SPDX-License-Identifier: Apache-2.0
/// The names that go with the dataplane's counters.
#pragma once

#include <memory>

#include "controlplane/metrics/statistics.hpp"
#include "controlplane/state/state_file.hpp"

namespace fairlead::state {

/// What the counters' indices mean in `state`.
[[nodiscard]] std::shared_ptr<const metrics::Directory> directory_of(const DesiredState &state);

/// The backends of `state` that are checked, with the grades found.
[[nodiscard]] std::shared_ptr<const metrics::HealthDirectory> health_directory_of(const DesiredState &state);

} // namespace fairlead::state
