// SPDX-License-Identifier: Apache-2.0
/// Whether a change would break connections: which backends it removes, and how many connections they have.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "controlplane/config/config.hpp"
#include "controlplane/error.hpp"
#include "controlplane/metrics/statistics.hpp"

namespace fairlead::state {

/// A backend of a service, by the names that people and counters use.
struct NamedBackend {
    std::string service;
    std::string address;

    [[nodiscard]] auto operator<=>(const NamedBackend &) const = default;
};

/// The backends of `before` that `after` no longer has, in the order of `before`, named as there. A service is
/// identified by VIP, port and protocol: one that moves loses all its backends, one that is renamed none.
[[nodiscard]] std::vector<NamedBackend> removed_backends(const config::Config &before, const config::Config &after);

/// Warnings for a change that may be made. Errors: some of `removed` have open connections by `sample`.
[[nodiscard]] std::expected<std::vector<std::string>, Error> check_removal(const std::vector<NamedBackend> &removed,
                                                                           const metrics::Sample &sample);

} // namespace fairlead::state
