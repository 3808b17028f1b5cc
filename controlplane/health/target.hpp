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
    std::uint64_t incarnation = 0; ///< tells a backend from a former one with the same key
    config::HealthCheck check;     ///< as config::check_of() returned it, of type tcp or http
    Grade grade = Grade::kUp;      ///< to begin with

    /// Whether what was found of one holds for the other.
    [[nodiscard]] bool is_as(const Target &other) const {
        return key == other.key && incarnation == other.incarnation && check == other.check;
    }
};

/// What was found of a target whose grade has changed at least once.
struct Found {
    Target target;              ///< with the grade that it has now
    std::string reason;         ///< of the last change: `connect to port 80 timed out, 3 of 3`
    std::uint64_t since_unix_s; ///< when that was
};

} // namespace fairlead::health
