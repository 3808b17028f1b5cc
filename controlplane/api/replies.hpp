// SPDX-License-Identifier: Apache-2.0
/// What the reading calls answer.
#pragma once

#include <fairlead.pb.h>

#include "controlplane/metrics/statistics.hpp"
#include "controlplane/state/controller.hpp"

namespace fairlead::api {

[[nodiscard]] v1::StatusReply status_reply(const state::Controller &controller, const metrics::Sample &sample);
[[nodiscard]] v1::StatsReply stats_reply(const metrics::Sample &sample);

} // namespace fairlead::api
