// SPDX-License-Identifier: Apache-2.0
/// What fairleadd's node stands among: the controller's services, the dataplane's counters and control socket, this process.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "controlplane/metrics/statistics.hpp"
#include "controlplane/node/node.hpp"
#include "controlplane/state/controller.hpp"

namespace fairlead {

/// @param controller must outlive what is returned.
/// @param command_timeout of --on-withdraw and --on-announce.
[[nodiscard]] node::Surroundings node_surroundings(const state::Controller &controller, std::shared_ptr<metrics::Statistics> statistics,
                                                   std::string dataplane_socket, std::chrono::seconds command_timeout);

} // namespace fairlead
