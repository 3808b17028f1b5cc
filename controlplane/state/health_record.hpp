// SPDX-License-Identifier: Apache-2.0
/// What health checks have found, and what it means for rows and slots: pure.
///
/// The grades found are remembered per backend and saved with the state, so that a restart brings no
/// dead backend back for a moment. What they mean is decided per service: when more than half of its
/// backends that should take flows are failing or dead at once, the check or the network between is more
/// likely to be wrong than all of them, and all count as up.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "controlplane/config/config.hpp"
#include "controlplane/health/target.hpp"
#include "controlplane/state/allocation.hpp"

namespace fairlead::state {

/// A grade that was found; a backend without one is up.
struct FoundHealth {
    health::Grade grade = health::Grade::kUp;
    std::string reason;             ///< of the last transition
    std::uint64_t since_unix_s = 0; ///< when that was

    [[nodiscard]] bool operator==(const FoundHealth &) const = default;
};

using HealthRecord = std::map<health::BackendKey, FoundHealth>;

[[nodiscard]] health::Grade grade_of(const HealthRecord &record, const config::Service &service, const config::Backend &backend);

/// A service's health as a whole.
struct ServiceHealth {
    std::vector<health::Grade> grades; ///< in effect, in the order of service.backends
    std::uint32_t considered = 0;      ///< backends that should take flows: of weight above 0, not drained
    std::uint32_t failing = 0;         ///< of those, as found
    std::uint32_t dead = 0;            ///< of those, as found
    bool is_kept = false;              ///< too many are: all count as up
};

[[nodiscard]] ServiceHealth judge(const config::Service &service, const HealthRecord &record);

/// `record` without what `config` does not check.
[[nodiscard]] HealthRecord keep_checked(const HealthRecord &record, const config::Config &config);

/// `record` with what an engine found of the backends of `config` as they are now.
[[nodiscard]] HealthRecord with_found(HealthRecord record, const config::Config &config, const Allocation &allocation,
                                      const std::vector<health::Found> &found);

/// What to probe for `config`, beginning with the grades of `record`.
[[nodiscard]] std::vector<health::Target> targets_of(const config::Config &config, const Allocation &allocation,
                                                     const HealthRecord &record);

/// A line for the log.
struct HealthChange {
    health::Grade to;
    std::string text;

    [[nodiscard]] bool operator==(const HealthChange &) const = default;
};

/// One for each backend whose grade differs: `be 10.20.0.31 of web: dead: connect to port 80 timed out, 3 of 3`.
[[nodiscard]] std::vector<HealthChange> describe_changes(const HealthRecord &before, const HealthRecord &after,
                                                         const config::Config &config);

/// `web: 5 of 8 backends are failing or dead, more than half: all are kept as if up; ...`
[[nodiscard]] std::string describe_kept(const config::Service &service, const ServiceHealth &health);

/// wire::kSlot... of a backend with this grade in effect.
[[nodiscard]] std::uint8_t slot_state_of(const config::Service &service, const config::Backend &backend, health::Grade grade);

/// wire::kSlot... of a slot whose backend is dead or was removed: what becomes of the flows it still has.
/// @param rehash kSlotRehash, or kSlotFree for a slot that has no backend any more.
[[nodiscard]] std::uint8_t state_on_dead(const config::Service &service, std::uint8_t rehash);

} // namespace fairlead::state
