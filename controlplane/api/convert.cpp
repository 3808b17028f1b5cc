// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/convert.hpp"

#include <optional>

#include <fmt/format.h>

#include "controlplane/config/yaml_tree.hpp"

namespace fairlead::api {

namespace {

using config::quoted;

std::expected<std::uint16_t, Error> port_from(std::uint32_t port, std::string field) {
    if (port > 65535)
        return std::unexpected(error_in(std::move(field), fmt::format("\"{}\" is not a port", port), "give 1..65535 or any"));
    return static_cast<std::uint16_t>(port);
}

std::expected<std::uint8_t, Error> protocol_from(v1::Protocol protocol) {
    switch (protocol) {
    case v1::PROTOCOL_TCP: return std::uint8_t{wire::kIpProtocolTcp};
    case v1::PROTOCOL_UDP: return std::uint8_t{wire::kIpProtocolUdp};
    default: return std::unexpected(error_in("protocol", "is missing or unknown", "give tcp or udp"));
    }
}

std::expected<std::uint8_t, Error> forwarding_from(v1::Forwarding forwarding) {
    switch (forwarding) {
    case v1::FORWARDING_UNSPECIFIED:
    case v1::FORWARDING_GUE: return std::uint8_t{wire::kForwardingGue};
    case v1::FORWARDING_IPIP: return std::uint8_t{wire::kForwardingIpip};
    default: return std::unexpected(error_in("forwarding", "is unknown", "give gue or ipip"));
    }
}

std::expected<tables::Algorithm, Error> algorithm_from(const std::string &word) {
    if (word.empty()) return tables::Algorithm::kRendezvous;
    const auto algorithm = tables::algorithm_from_string(word);
    if (!algorithm)
        return std::unexpected(error_in("algorithm", quoted(word) + " is not an algorithm",
                                        fmt::format("give one of {}", tables::kAlgorithmNames)));
    return *algorithm;
}

std::expected<config::OnDead, Error> on_dead_from(const std::string &word) {
    const auto on_dead = config::parse_on_dead(word);
    if (!on_dead)
        return std::unexpected(error_in("on_dead", quoted(word) + " is not an on_dead", "give rehash, reset or keep"));
    return *on_dead;
}

v1::HealthCheck health_message(const config::HealthCheck &health) {
    v1::HealthCheck message;
    if (health.type) message.set_type(std::string(config::health_type_name(*health.type)));
    message.set_port(health.port);
    message.set_path(health.path);
    message.set_status(config::format_statuses(health.status));
    message.set_interval_ms(health.interval_ms);
    message.set_timeout_ms(health.timeout_ms);
    message.set_rise(health.rise);
    message.set_fall(health.fall);
    return message;
}

std::optional<std::uint32_t> given(std::uint32_t number) { return number == 0 ? std::nullopt : std::optional(number); }

std::expected<state::HealthPatch, Error> health_from(const v1::HealthCheck &message) {
    state::HealthPatch patch;
    if (!message.type().empty()) {
        patch.type = config::parse_health_type(message.type());
        if (!patch.type)
            return std::unexpected(
                error_in("health.type", quoted(message.type()) + " is not a type of check", "give tcp, http or none"));
    }
    if (message.port() > 65535)
        return std::unexpected(error_in("health.port", fmt::format("\"{}\" is not a port", message.port()), "give 1..65535"));
    if (message.port() != 0) patch.port = static_cast<std::uint16_t>(message.port());
    if (!message.path().empty()) patch.path = message.path();
    if (!message.status().empty()) {
        patch.status = config::parse_statuses(message.status());
        if (!patch.status)
            return std::unexpected(error_in("health.status", quoted(message.status()) + " is not an HTTP status",
                                            "give 100..599, a range such as 200-299, or several with commas"));
    }
    patch.interval_ms = given(message.interval_ms());
    patch.timeout_ms = given(message.timeout_ms());
    patch.rise = given(message.rise());
    patch.fall = given(message.fall());
    return patch;
}

/// Moves a converted value to its place; false leaves the error in `error`.
template <class To, class From>
bool store(To &to, std::expected<From, Error> value, Error &error) {
    if (!value) error = std::move(value.error());
    else to = std::move(*value);
    return value.has_value();
}

} // namespace

v1::ErrorDetail to_message(const Error &error) {
    v1::ErrorDetail detail;
    detail.set_what(error.what);
    detail.set_file(error.file);
    detail.set_line(error.line);
    detail.set_field(error.field);
    detail.set_mend(error.mend);
    return detail;
}

Error from_message(const v1::ErrorDetail &detail) {
    return {.what = detail.what(), .file = detail.file(), .line = detail.line(), .field = detail.field(), .mend = detail.mend()};
}

v1::Service to_message(const config::Service &service) {
    v1::Service message;
    message.set_name(service.name);
    message.set_vip(config::format_ipv4(service.vip));
    message.set_port(service.port);
    message.set_protocol(static_cast<v1::Protocol>(service.protocol));
    message.set_forwarding(static_cast<v1::Forwarding>(service.forwarding));
    message.set_algorithm(std::string(tables::to_string(service.algorithm)));
    if (service.second_chance) message.set_second_chance(*service.second_chance);
    v1::Timeouts &timeouts = *message.mutable_timeouts();
    timeouts.set_half_open_s(service.timeouts.half_open_s);
    timeouts.set_established_s(service.timeouts.established_s);
    timeouts.set_closing_s(service.timeouts.closing_s);
    timeouts.set_udp_s(service.timeouts.udp_s);
    message.set_on_dead(std::string(config::on_dead_name(service.on_dead)));
    *message.mutable_health() = health_message(service.health);
    for (const config::Backend &backend : service.backends) {
        v1::Backend &entry = *message.add_backends();
        entry.set_address(config::format_ipv4(backend.address));
        entry.set_weight(backend.weight);
        entry.set_drain(backend.drain);
    }
    return message;
}

v1::Config to_message(const config::Config &config) {
    v1::Config message;
    v1::Balancer &balancer = *message.mutable_balancer();
    balancer.set_source_address(config::format_ipv4(config.balancer.source_address));
    if (config.balancer.next_hop_mac) balancer.set_next_hop_mac(config::format_mac(*config.balancer.next_hop_mac));
    if (config.balancer.seed)
        balancer.set_seed(config::format_hex(config.balancer.seed->data(), config.balancer.seed->size()));
    balancer.set_dscp(config.balancer.dscp);
    balancer.set_gue_port(config.balancer.gue_port);
    for (const config::Service &service : config.services) *message.add_services() = to_message(service);
    return message;
}

std::expected<wire::Be32, Error> address_from(const std::string &text, std::string field) {
    const auto address = config::parse_ipv4(text);
    if (address) return *address;
    const bool is_v6 = text.find(':') != std::string::npos;
    return std::unexpected(error_in(std::move(field), quoted(text) + (is_v6 ? " is not supported: IPv4 only for now" : " is not an IPv4 address"),
                                    "give an IPv4 address, such as 198.51.100.10"));
}

std::expected<config::Backend, Error> from_message(const v1::Backend &message) {
    config::Backend backend;
    Error error;
    if (!store(backend.address, address_from(message.address(), "address"), error)) return std::unexpected(std::move(error));
    if (message.has_weight()) backend.weight = message.weight();
    backend.drain = message.drain();
    return backend;
}

std::expected<config::Service, Error> from_message(const v1::Service &message) {
    config::Service service;
    Error error;
    service.name = message.name();
    if (!store(service.vip, address_from(message.vip(), "vip"), error) ||
        !store(service.port, port_from(message.port(), "port"), error) ||
        !store(service.protocol, protocol_from(message.protocol()), error) ||
        !store(service.forwarding, forwarding_from(message.forwarding()), error) ||
        !store(service.algorithm, algorithm_from(message.algorithm()), error))
        return std::unexpected(std::move(error));
    if (message.has_second_chance()) service.second_chance = message.second_chance();
    const v1::Timeouts &timeouts = message.timeouts();
    if (timeouts.half_open_s() != 0) service.timeouts.half_open_s = timeouts.half_open_s();
    if (timeouts.established_s() != 0) service.timeouts.established_s = timeouts.established_s();
    if (timeouts.closing_s() != 0) service.timeouts.closing_s = timeouts.closing_s();
    if (timeouts.udp_s() != 0) service.timeouts.udp_s = timeouts.udp_s();
    if (!message.on_dead().empty() && !store(service.on_dead, on_dead_from(message.on_dead()), error))
        return std::unexpected(std::move(error));
    state::HealthPatch health;
    if (!store(health, health_from(message.health()), error)) return std::unexpected(std::move(error));
    service.health = state::patched(std::move(service.health), health);
    for (int i = 0; i < message.backends_size(); ++i) {
        auto backend = from_message(message.backends(i));
        if (!backend) {
            backend.error().field = fmt::format("backends[{}].{}", i, backend.error().field);
            return std::unexpected(std::move(backend.error()));
        }
        service.backends.push_back(*backend);
    }
    return service;
}

std::expected<state::ServicePatch, Error> from_message(const v1::ServiceSetRequest &message) {
    state::ServicePatch patch;
    Error error;
    if (message.has_vip() && !store(patch.vip, address_from(message.vip(), "vip"), error)) return std::unexpected(error);
    if (message.has_port() && !store(patch.port, port_from(message.port(), "port"), error)) return std::unexpected(error);
    if (message.has_protocol() && !store(patch.protocol, protocol_from(message.protocol()), error))
        return std::unexpected(error);
    if (message.has_forwarding() && !store(patch.forwarding, forwarding_from(message.forwarding()), error))
        return std::unexpected(error);
    if (message.has_algorithm() && !store(patch.algorithm, algorithm_from(message.algorithm()), error))
        return std::unexpected(error);
    if (message.has_second_chance()) patch.second_chance = message.second_chance();
    if (!message.on_dead().empty() && !store(patch.on_dead, on_dead_from(message.on_dead()), error)) return std::unexpected(error);
    if (!store(patch.health, health_from(message.health()), error)) return std::unexpected(error);
    const v1::Timeouts &timeouts = message.timeouts();
    if (timeouts.half_open_s() != 0) patch.half_open_s = timeouts.half_open_s();
    if (timeouts.established_s() != 0) patch.established_s = timeouts.established_s();
    if (timeouts.closing_s() != 0) patch.closing_s = timeouts.closing_s();
    if (timeouts.udp_s() != 0) patch.udp_s = timeouts.udp_s();
    return patch;
}

std::expected<config::Config, Error> from_message(const v1::Config &message) {
    config::Config config;
    Error error;
    const v1::Balancer &balancer = message.balancer();
    if (!store(config.balancer.source_address, address_from(balancer.source_address(), "balancer.source_address"), error))
        return std::unexpected(std::move(error));
    config.balancer.next_hop_mac = config::parse_mac(balancer.next_hop_mac());
    config::Seed seed{};
    if (config::parse_hex(balancer.seed(), seed.data(), seed.size())) config.balancer.seed = seed;
    config.balancer.dscp = static_cast<std::uint8_t>(balancer.dscp());
    config.balancer.gue_port = static_cast<std::uint16_t>(balancer.gue_port());
    for (const v1::Service &service : message.services()) {
        auto converted = from_message(service);
        if (!converted) return std::unexpected(std::move(converted.error()));
        config.services.push_back(std::move(*converted));
    }
    return config;
}

} // namespace fairlead::api
