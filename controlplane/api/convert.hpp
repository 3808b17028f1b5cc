// SPDX-License-Identifier: Apache-2.0
/// Between the API's messages and the control plane's values. What comes from a message is checked for
/// form here and for sense by config::validate().
#pragma once

#include <expected>

#include <fairlead.pb.h>

#include "controlplane/config/config.hpp"
#include "controlplane/error.hpp"
#include "controlplane/state/mutations.hpp"

namespace fairlead::api {

[[nodiscard]] v1::ErrorDetail to_message(const Error &error);
[[nodiscard]] Error from_message(const v1::ErrorDetail &detail);

[[nodiscard]] v1::Config to_message(const config::Config &config);
[[nodiscard]] v1::Service to_message(const config::Service &service);

/// Errors name the field: `vip`, `port`, `backends[0].address`.
[[nodiscard]] std::expected<config::Config, Error> from_message(const v1::Config &message);
[[nodiscard]] std::expected<config::Service, Error> from_message(const v1::Service &message);
[[nodiscard]] std::expected<config::Backend, Error> from_message(const v1::Backend &message);
[[nodiscard]] std::expected<state::ServicePatch, Error> from_message(const v1::ServiceSetRequest &message);
[[nodiscard]] std::expected<wire::Be32, Error> address_from(const std::string &text, std::string field);

} // namespace fairlead::api
