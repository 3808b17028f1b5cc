// SPDX-License-Identifier: Apache-2.0
/// The rules of a configuration. Every error names its field by path; parse() adds the line to it.
#include <map>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "controlplane/config/config.hpp"
#include "controlplane/config/yaml_tree.hpp"

namespace fairlead::config {

namespace {

using Checked = std::expected<void, Error>;

std::unexpected<Error> wrong(std::string field, std::string what, std::string mend) {
    return std::unexpected(error_in(std::move(field), std::move(what), std::move(mend)));
}

/// Addresses that can stand in an IPv4 header as one host's: neither "this network", loopback,
/// multicast nor the reserved rest (RFC 6890).
bool is_host_address(wire::Be32 address) {
    const std::uint32_t first = address.host() >> 24;
    return first != 0 && first != 127 && first < 224;
}

Checked check_host_address(const std::string &field, wire::Be32 address) {
    if (is_host_address(address)) return {};
    return wrong(field, fmt::format("\"{}\" is not the address of a host", format_ipv4(address)),
                 "give a unicast IPv4 address, not loopback, multicast or reserved");
}

bool is_name(std::string_view name) {
    const auto is_alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    if (name.empty() || name.size() > kServiceNameSizeMax || !is_alphanumeric(name.front())) return false;
    for (const char c : name)
        if (!is_alphanumeric(c) && c != '.' && c != '_' && c != '-') return false;
    return true;
}

Checked check_balancer(const Balancer &balancer) {
    if (balancer.source_address == wire::Be32{})
        return wrong("balancer.source_address", "is missing",
                     "give this balancer's own IPv4 address, the outer source of encapsulated packets");
    if (auto ok = check_host_address("balancer.source_address", balancer.source_address); !ok) return ok;
    if (balancer.dscp > 63)
        return wrong("balancer.dscp", fmt::format("\"{}\" is out of range", balancer.dscp), "give 0..63");
    if (balancer.gue_port == 0)
        return wrong("balancer.gue_port", "\"0\" is not a UDP port", "give 1..65535");
    if (balancer.next_hop_mac && (balancer.next_hop_mac->front() & 1 || *balancer.next_hop_mac == MacAddress{}))
        return wrong("balancer.next_hop_mac",
                     fmt::format("\"{}\" is not one station's address", format_mac(*balancer.next_hop_mac)),
                     "give a unicast MAC address, such as 02:00:00:00:00:fe");
    return {};
}

Checked check_timeouts(const std::string &path, const Timeouts &timeouts) {
    const std::pair<const char *, std::uint32_t> fields[] = {{"half_open", timeouts.half_open_s},
                                                            {"established", timeouts.established_s},
                                                            {"closing", timeouts.closing_s},
                                                            {"udp", timeouts.udp_s}};
    for (const auto &[name, seconds] : fields)
        if (seconds == 0 || seconds > kTimeoutMaxS)
            return wrong(path + ".timeouts." + name,
                         fmt::format("\"{}\" is out of range", format_duration_s(seconds)),
                         fmt::format("give 1s..{}", format_duration_s(kTimeoutMaxS)));
    return {};
}

bool is_path(std::string_view path) {
    if (!path.starts_with('/') || path.size() > kHealthPathSizeMax) return false;
    for (const char c : path)
        if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '#') return false;
    return true;
}

Checked check_period(const std::string &field, std::uint32_t milliseconds, std::uint32_t low) {
    if (milliseconds >= low && milliseconds <= kHealthPeriodMaxMs) return {};
    return wrong(field, fmt::format("\"{}\" is out of range", format_duration_ms(milliseconds)),
                 fmt::format("give {}..{}", format_duration_ms(low), format_duration_ms(kHealthPeriodMaxMs)));
}

Checked check_health(const std::string &path, const Service &service) {
    const HealthCheck &health = service.health;
    if (auto ok = check_period(path + ".interval", health.interval_ms, kHealthIntervalMinMs); !ok) return ok;
    if (auto ok = check_period(path + ".timeout", health.timeout_ms, kHealthTimeoutMinMs); !ok) return ok;
    for (const auto &[name, count] : {std::pair("rise", health.rise), std::pair("fall", health.fall)})
        if (count == 0 || count > kHealthCountMax)
            return wrong(fmt::format("{}.{}", path, name), fmt::format("\"{}\" is out of range", count),
                         fmt::format("give 1..{}", kHealthCountMax));
    if (!is_path(health.path))
        return wrong(path + ".path", quoted(health.path) + " is not a path",
                     "give one that begins with / and has no spaces, quotes, backslashes or #, such as /healthz");
    if (health.status.empty()) return wrong(path + ".status", "is empty", "give what counts as good, such as 200");
    const HealthCheck check = check_of(service);
    if (check.type != HealthType::kNone && check.port == 0)
        return wrong(path + ".port", "is missing: a service of port any has none of its own to check",
                     "give the port to check, or type: none");
    const bool is_for_http = health.path != HealthCheck{}.path || health.status != HealthCheck{}.status;
    if (is_for_http && check.type != HealthType::kHttp && health.type != HealthType::kNone)
        return wrong(path + ".type", "path and status are for checks of type http", "give type: http, or neither of them");
    return {};
}

Checked check_backends(const std::string &path, const Service &service,
                       const std::set<std::uint32_t> &vips, const Balancer &balancer) {
    std::map<std::uint32_t, std::size_t> seen;
    for (std::size_t i = 0; i < service.backends.size(); ++i) {
        const Backend &backend = service.backends[i];
        const std::string field = fmt::format("{}.backends[{}]", path, i);
        if (auto ok = check_host_address(field + ".address", backend.address); !ok) return ok;
        const std::string address = format_ipv4(backend.address);
        if (vips.contains(backend.address.host()))
            return wrong(field + ".address", fmt::format("\"{}\" is a VIP: its packets would come back", address),
                         "give the server's own address");
        if (backend.address == balancer.source_address)
            return wrong(field + ".address", fmt::format("\"{}\" is this balancer's source_address", address),
                         "give the server's own address");
        if (const auto [first, is_new] = seen.emplace(backend.address.host(), i); !is_new)
            return wrong(field + ".address", fmt::format("\"{}\" is already backend {}", address, first->second),
                         "give each backend of a service once; weight says how much it takes");
        if (backend.weight > kWeightMax)
            return wrong(field + ".weight", fmt::format("\"{}\" is out of range", backend.weight),
                         fmt::format("give 0..{}; 0 takes no new flows", kWeightMax));
    }
    return {};
}

Checked check_service(const std::string &path, const Service &service, const Balancer &balancer) {
    if (service.name.empty()) return wrong(path + ".name", "is missing", "give the service a name");
    if (!is_name(service.name))
        return wrong(path + ".name", quoted(service.name) + " is not a name",
                     fmt::format("give 1..{} letters, digits, '.', '_' or '-', a letter or digit first",
                                 kServiceNameSizeMax));
    if (service.vip == wire::Be32{})
        return wrong(path + ".vip", "is missing", "give the IPv4 address that clients connect to");
    if (auto ok = check_host_address(path + ".vip", service.vip); !ok) return ok;
    if (service.vip == balancer.source_address)
        return wrong(path + ".vip", fmt::format("\"{}\" is also balancer.source_address", format_ipv4(service.vip)),
                     "give the VIP an address that no host owns");
    if (service.protocol != wire::kIpProtocolTcp && service.protocol != wire::kIpProtocolUdp)
        return wrong(path + ".protocol", fmt::format("\"{}\" is not a protocol", service.protocol), "give tcp or udp");
    if (service.forwarding != wire::kForwardingGue && service.forwarding != wire::kForwardingIpip)
        return wrong(path + ".forwarding", fmt::format("\"{}\" is not a forwarding mode", service.forwarding),
                     "give gue or ipip");
    if (service.second_chance.value_or(false) && !can_have_second_chance(service))
        return wrong(path + ".second_chance",
                     fmt::format("\"true\" needs protocol tcp and forwarding gue, but this service is {} over {}",
                                 protocol_name(service.protocol), forwarding_name(service.forwarding)),
                     "give tcp over gue, or leave second_chance out");
    if (service.on_dead != OnDead::kRehash && service.protocol == wire::kIpProtocolUdp)
        return wrong(path + ".on_dead", fmt::format("\"{}\" is for TCP: UDP flows move at once", on_dead_name(service.on_dead)),
                     "give rehash");
    if (auto ok = check_timeouts(path, service.timeouts); !ok) return ok;
    return check_health(path + ".health", service);
}

} // namespace

Checked validate(const Config &config) {
    if (auto ok = check_balancer(config.balancer); !ok) return ok;
    if (config.services.size() > kServiceCountMax)
        return wrong("services", fmt::format("{} services", config.services.size()),
                     fmt::format("at most {} are possible", kServiceCountMax));

    std::map<std::string_view, std::size_t> names;
    std::map<std::tuple<std::uint32_t, std::uint16_t, std::uint8_t>, std::size_t> addresses;
    std::set<std::uint32_t> vips;
    std::size_t backend_count = 0;
    for (std::size_t i = 0; i < config.services.size(); ++i) {
        const Service &service = config.services[i];
        const std::string path = fmt::format("services[{}]", i);
        if (auto ok = check_service(path, service, config.balancer); !ok) return ok;
        if (const auto [first, is_new] = names.emplace(service.name, i); !is_new)
            return wrong(path + ".name", fmt::format("\"{}\" is already the name of services[{}]", service.name,
                                                    first->second),
                         "give each service a name of its own");
        if (const auto [first, is_new] = addresses.emplace(
                std::tuple{service.vip.host(), service.port, service.protocol}, i);
            !is_new)
            return wrong(path + ".vip",
                         fmt::format("\"{}\" port {} {} is already service \"{}\"", format_ipv4(service.vip),
                                     port_name(service.port), protocol_name(service.protocol),
                                     config.services[first->second].name),
                         "give each service a VIP, port and protocol that no other has");
        vips.insert(service.vip.host());
        backend_count += service.backends.size();
        if (backend_count > kBackendCountMax)
            return wrong(path + ".backends", fmt::format("{} backends so far", backend_count),
                         fmt::format("at most {} are possible in all services together", kBackendCountMax));
    }
    for (std::size_t i = 0; i < config.services.size(); ++i)
        if (auto ok = check_backends(fmt::format("services[{}]", i), config.services[i], vips, config.balancer); !ok)
            return ok;
    return {};
}

} // namespace fairlead::config
