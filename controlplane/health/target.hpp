// SPDX-License-Identifier: Apache-2.0
/// What is checked: one backend of one service, and how.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "controlplane/config/config.hpp"
#include "controlplane/health/hysteresis.hpp"

namespace fairlead::health {

/// A backend of a service, by what identifies both (as leases do): not by names.
struct BackendKey {
    std::uint32_t vip = 0; ///< host order
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    std::uint32_t address = 0; ///< host order

    [[nodiscard]] auto operator<=>(const BackendKey &) const = default;
};

[[nodiscard]] inline BackendKey key_of(const config::Service &service, wire::Be32 address) {
    return {service.vip.host(), service.port, service.protocol, address.host()};
}

struct Target {
    BackendKey key;
    config::HealthCheck check;  ///< as config::check_of() returned it, of type tcp or http
    Grade grade = Grade::kUp;   ///< to begin with
};

/// One grade after another.
struct Transition {
    BackendKey key;
    Grade from = Grade::kUp;
    Grade to = Grade::kUp;
    std::string reason; ///< `connect to port 80 timed out, 3 of 3`
};

} // namespace fairlead::health
