// SPDX-License-Identifier: Apache-2.0
/// What the reading calls answer.
#pragma once

#include <expected>

#include <fairlead.pb.h>

#include "controlplane/metrics/statistics.hpp"
#include "controlplane/state/controller.hpp"

namespace fairlead::api {

[[nodiscard]] v1::StatusReply status_reply(const state::Controller &controller, const metrics::Sample &sample);
/// Errors: the service or address that `request` names does not exist.
[[nodiscard]] std::expected<v1::BackendListReply, Error>
backend_list_reply(const state::Controller &controller, const metrics::Sample &sample, const v1::BackendListRequest &request);
[[nodiscard]] v1::StatsReply stats_reply(const metrics::Sample &sample);

} // namespace fairlead::api
