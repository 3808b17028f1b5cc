// SPDX-License-Identifier: Apache-2.0
/// From what is desired to what is published: the pure step that fairleadd and `replay` share.
#pragma once

#include <functional>
#include <vector>

#include "controlplane/nexthop/next_hop.hpp"
#include "controlplane/publish/snapshot_builder.hpp"
#include "controlplane/state/row_sets.hpp"
#include "controlplane/state/state_file.hpp"

namespace fairlead::state {

/// The next hop of a backend's address; asked only where the configuration names no next_hop_mac.
using HopOf = std::function<nexthop::NextHop(wire::Be32)>;

/// The addresses of all backends, each once, ascending.
[[nodiscard]] std::vector<wire::Be32> backends_of(const config::Config &config);

/// @param rows one entry for each service of `state`, as RowSets::build() returns it.
/// @param hops_segment_id names the hops of this very state and no others.
[[nodiscard]] publish::ForwardingState forwarding_state(const DesiredState &state, const RowSet &rows,
                                                        std::uint64_t hops_segment_id, const HopOf &hop_of);

} // namespace fairlead::state
