// SPDX-License-Identifier: Apache-2.0
/// What fairleadd's node stands among: the controller's services, the dataplane's counters and control socket, this process.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "controlplane/metrics/statistics.hpp"
#include "controlplane/node/node.hpp"
#include "controlplane/state/controller.hpp"

namespace fairlead {

/// Not known while the dataplane is down, or runs no generation: then no packet is a service's.
[[nodiscard]] node::Traffic traffic_of(const metrics::Sample &sample);

/// Empty: the dataplane runs the desired generation, and one port at least is there with its link up.
[[nodiscard]] std::string why_not_forwarding(const publish::PublisherStatus &dataplane, std::uint64_t desired, const metrics::Sample &sample);

/// @param controller must outlive what is returned.
/// @param command_timeout of --on-withdraw and --on-announce.
[[nodiscard]] node::Surroundings node_surroundings(const state::Controller &controller, std::shared_ptr<metrics::Statistics> statistics,
                                                   std::string dataplane_socket, std::chrono::seconds command_timeout);

} // namespace fairlead
