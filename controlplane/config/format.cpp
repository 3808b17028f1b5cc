// SPDX-License-Identifier: Apache-2.0
/// Config as YAML. Written by hand rather than with an emitter: every value has one safe form (names are
/// quoted, since `no`, `1e3` or `null` are names too), and the order and layout are those of the manual.
#include <fmt/format.h>

#include "controlplane/config/config.hpp"

namespace fairlead::config {

namespace {

/// Names of the allowed letters that YAML or a reader could take for something else go in quotes.
std::string format_name(const std::string &name) {
    for (const char c : name)
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-')) return '"' + name + '"';
    for (const char *word : {"null", "Null", "NULL", "true", "false", "yes", "no", "on", "off", "y", "n"})
        if (name == word) return '"' + name + '"';
    return name;
}

/// What is not the default, as `health: {...}`; nothing else to say: nothing.
void format_health(std::back_insert_iterator<std::string> out, const HealthCheck &health) {
    const HealthCheck usual;
    std::string members;
    const auto add = [&members](std::string_view key, const std::string &value) {
        members += fmt::format("{}{}: {}", members.empty() ? "" : ", ", key, value);
    };
    if (health.type) add("type", std::string(health_type_name(*health.type)));
    if (health.port != usual.port) add("port", std::to_string(health.port));
    if (health.path != usual.path) add("path", '"' + health.path + '"'); // its letters need no escapes
    if (health.status != usual.status) {
        const std::string status = format_statuses(health.status);
        add("status", health.status.size() == 1 ? status : '[' + status + ']');
    }
    if (health.interval_ms != usual.interval_ms) add("interval", format_duration_ms(health.interval_ms));
    if (health.timeout_ms != usual.timeout_ms) add("timeout", format_duration_ms(health.timeout_ms));
    if (health.rise != usual.rise) add("rise", std::to_string(health.rise));
    if (health.fall != usual.fall) add("fall", std::to_string(health.fall));
    if (!members.empty()) fmt::format_to(out, "    health: {{{}}}\n", members);
}

void format_service(std::back_insert_iterator<std::string> out, const Service &service) {
    fmt::format_to(out, "  - name: {}\n    vip: {}\n    port: {}\n    protocol: {}\n    forwarding: {}\n    algorithm: {}\n",
                   format_name(service.name), format_ipv4(service.vip), port_name(service.port),
                   protocol_name(service.protocol), forwarding_name(service.forwarding),
                   tables::to_string(service.algorithm));
    if (service.second_chance) fmt::format_to(out, "    second_chance: {}\n", *service.second_chance);
    if (service.timeouts != Timeouts{})
        fmt::format_to(out, "    timeouts: {{half_open: {}, established: {}, closing: {}, udp: {}}}\n",
                       format_duration_s(service.timeouts.half_open_s),
                       format_duration_s(service.timeouts.established_s),
                       format_duration_s(service.timeouts.closing_s), format_duration_s(service.timeouts.udp_s));
    if (service.on_dead != OnDead::kRehash) fmt::format_to(out, "    on_dead: {}\n", on_dead_name(service.on_dead));
    format_health(out, service.health);
    fmt::format_to(out, "    backends:{}\n", service.backends.empty() ? " []" : "");
    for (const Backend &backend : service.backends)
        fmt::format_to(out, "      - {{address: {}, weight: {}{}}}\n", format_ipv4(backend.address), backend.weight,
                       backend.drain ? ", drain: true" : "");
}

} // namespace

std::string format_yaml(const Config &config) {
    std::string text;
    const auto out = std::back_inserter(text);
    const Balancer &balancer = config.balancer;
    fmt::format_to(out, "balancer:\n  source_address: {}\n", format_ipv4(balancer.source_address));
    if (balancer.next_hop_mac) fmt::format_to(out, "  next_hop_mac: \"{}\"\n", format_mac(*balancer.next_hop_mac));
    if (balancer.seed)
        fmt::format_to(out, "  seed: \"{}\"\n", format_hex(balancer.seed->data(), balancer.seed->size()));
    fmt::format_to(out, "  dscp: {}\n  gue_port: {}\n", balancer.dscp, balancer.gue_port);
    fmt::format_to(out, "services:{}\n", config.services.empty() ? " []" : "");
    for (const Service &service : config.services) format_service(out, service);
    return text;
}

} // namespace fairlead::config
