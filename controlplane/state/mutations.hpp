// SPDX-License-Identifier: Apache-2.0
/// The changes an operator makes, each from one valid Config to another or to an error. Nothing else
/// makes a Config from a Config, so "whole or nothing" holds by construction.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/config/config.hpp"
#include "controlplane/error.hpp"

namespace fairlead::state {

using Changed = std::expected<config::Config, Error>;

/// What a HealthCheck is to become; what is empty stays.
struct HealthPatch {
    std::optional<config::HealthType> type = {}; ///< tcp: path and status, which it has none of, are the usual again
    std::optional<std::uint16_t> port = {};
    std::optional<std::string> path = {};
    std::optional<std::vector<config::StatusRange>> status = {};
    std::optional<std::uint32_t> interval_ms = {};
    std::optional<std::uint32_t> timeout_ms = {};
    std::optional<std::uint32_t> rise = {};
    std::optional<std::uint32_t> fall = {};
};

[[nodiscard]] config::HealthCheck patched(config::HealthCheck health, const HealthPatch &patch);

/// What `service set` changes; what is empty stays.
struct ServicePatch {
    std::optional<wire::Be32> vip = {};
    std::optional<std::uint16_t> port = {};
    std::optional<std::uint8_t> protocol = {};
    std::optional<std::uint8_t> forwarding = {};
    std::optional<tables::Algorithm> algorithm = {};
    std::optional<bool> second_chance = {};
    std::optional<std::uint32_t> half_open_s = {};
    std::optional<std::uint32_t> established_s = {};
    std::optional<std::uint32_t> closing_s = {};
    std::optional<std::uint32_t> udp_s = {};
    std::optional<config::OnDead> on_dead = {};
    HealthPatch health = {};
};

[[nodiscard]] Changed add_service(config::Config config, config::Service service);
[[nodiscard]] Changed set_service(config::Config config, std::string_view name, const ServicePatch &patch);
[[nodiscard]] Changed remove_service(config::Config config, std::string_view name);

[[nodiscard]] Changed add_backend(config::Config config, std::string_view service, const config::Backend &backend);
[[nodiscard]] Changed set_backend(config::Config config, std::string_view service, wire::Be32 address,
                                  std::uint32_t weight);
[[nodiscard]] Changed remove_backend(config::Config config, std::string_view service, wire::Be32 address);
/// drain false puts the backend back.
[[nodiscard]] Changed drain_backend(config::Config config, std::string_view service, wire::Be32 address, bool drain);

} // namespace fairlead::state
