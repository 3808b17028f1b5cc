// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/mutations.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "controlplane/config/yaml_tree.hpp"

namespace fairlead::state {

namespace {

using config::Backend;
using config::Config;
using config::Service;

/// "a, b, c and 12 more": what an operator could have meant.
template <class Elements, class NameOf>
std::string known(const Elements &elements, NameOf name_of) {
    constexpr std::size_t kShownMax = 8;
    std::string text;
    for (std::size_t i = 0; i < std::min(elements.size(), kShownMax); ++i)
        text += (i == 0 ? "" : ", ") + name_of(elements[i]);
    if (elements.size() > kShownMax) text += fmt::format(" and {} more", elements.size() - kShownMax);
    return text.empty() ? "there is none" : "known: " + text;
}

std::expected<Service *, Error> find_service(Config &config, std::string_view name) {
    const auto service = std::find_if(config.services.begin(), config.services.end(),
                                      [&](const Service &candidate) { return candidate.name == name; });
    if (service == config.services.end())
        return std::unexpected(error_in("service", config::quoted(name) + " does not exist",
                                        known(config.services, [](const Service &s) { return s.name; })));
    return &*service;
}

std::expected<std::vector<Backend>::iterator, Error> find_backend(Service &service, wire::Be32 address) {
    const auto backend = std::find_if(service.backends.begin(), service.backends.end(),
                                      [&](const Backend &candidate) { return candidate.address == address; });
    if (backend == service.backends.end())
        return std::unexpected(
            error_in("address",
                     fmt::format("\"{}\" is no backend of service \"{}\"", config::format_ipv4(address), service.name),
                     known(service.backends, [](const Backend &b) { return config::format_ipv4(b.address); })));
    return backend;
}

Changed validated(Config config) {
    if (auto ok = config::validate(config); !ok) return std::unexpected(std::move(ok.error()));
    return config;
}

/// Applies `edit(service, backend)` to one backend.
template <class Edit>
Changed edit_backend(Config config, std::string_view service_name, wire::Be32 address, Edit edit) {
    auto service = find_service(config, service_name);
    if (!service) return std::unexpected(std::move(service.error()));
    auto backend = find_backend(**service, address);
    if (!backend) return std::unexpected(std::move(backend.error()));
    edit(**service, *backend);
    return validated(std::move(config));
}

} // namespace

config::HealthCheck patched(config::HealthCheck health, const HealthPatch &patch) {
    if (patch.type) health.type = patch.type;
    if (patch.type == config::HealthType::kTcp) {
        health.path = config::HealthCheck{}.path;
        health.status = config::HealthCheck{}.status;
    }
    health.port = patch.port.value_or(health.port);
    health.path = patch.path.value_or(health.path);
    health.status = patch.status.value_or(health.status);
    health.interval_ms = patch.interval_ms.value_or(health.interval_ms);
    health.timeout_ms = patch.timeout_ms.value_or(health.timeout_ms);
    health.rise = patch.rise.value_or(health.rise);
    health.fall = patch.fall.value_or(health.fall);
    return health;
}

Changed add_service(Config config, Service service) {
    config.services.push_back(std::move(service));
    return validated(std::move(config));
}

Changed set_service(Config config, std::string_view name, const ServicePatch &patch) {
    auto found = find_service(config, name);
    if (!found) return std::unexpected(std::move(found.error()));
    Service &service = **found;
    service.vip = patch.vip.value_or(service.vip);
    service.port = patch.port.value_or(service.port);
    service.protocol = patch.protocol.value_or(service.protocol);
    service.forwarding = patch.forwarding.value_or(service.forwarding);
    service.algorithm = patch.algorithm.value_or(service.algorithm);
    if (patch.second_chance) service.second_chance = patch.second_chance;
    service.timeouts.half_open_s = patch.half_open_s.value_or(service.timeouts.half_open_s);
    service.timeouts.established_s = patch.established_s.value_or(service.timeouts.established_s);
    service.timeouts.closing_s = patch.closing_s.value_or(service.timeouts.closing_s);
    service.timeouts.udp_s = patch.udp_s.value_or(service.timeouts.udp_s);
    service.on_dead = patch.on_dead.value_or(service.on_dead);
    service.health = patched(std::move(service.health), patch.health);
    return validated(std::move(config));
}

Changed remove_service(Config config, std::string_view name) {
    auto found = find_service(config, name);
    if (!found) return std::unexpected(std::move(found.error()));
    config.services.erase(config.services.begin() + (*found - config.services.data()));
    return config;
}

Changed add_backend(Config config, std::string_view service_name, const Backend &backend) {
    auto service = find_service(config, service_name);
    if (!service) return std::unexpected(std::move(service.error()));
    (*service)->backends.push_back(backend);
    return validated(std::move(config));
}

Changed set_backend(Config config, std::string_view service, wire::Be32 address, std::uint32_t weight) {
    return edit_backend(std::move(config), service, address, [&](Service &, auto backend) { backend->weight = weight; });
}

Changed remove_backend(Config config, std::string_view service, wire::Be32 address) {
    return edit_backend(std::move(config), service, address,
                        [](Service &owner, auto backend) { owner.backends.erase(backend); });
}

Changed drain_backend(Config config, std::string_view service, wire::Be32 address, bool drain) {
    return edit_backend(std::move(config), service, address, [&](Service &, auto backend) { backend->drain = drain; });
}

} // namespace fairlead::state
