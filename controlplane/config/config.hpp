// SPDX-License-Identifier: Apache-2.0
/// The configuration: what an operator wants balanced. Plain values; a Config that parse() or a
/// mutation of controlplane/state returned satisfies validate(), so nothing behind it checks again.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/config/address.hpp"
#include "controlplane/error.hpp"
#include "controlplane/tables/algorithm.hpp"
#include "dataplane/wire/packet.h"
#include "dataplane/wire/snapshot.h"

namespace fairlead::config {

using Seed = std::array<std::uint8_t, 16>;

inline constexpr std::uint32_t kWeightMax = 65535;
inline constexpr std::uint32_t kTimeoutMaxS = 7 * 24 * 3600; ///< fits the connection table's 24-bit clock
inline constexpr std::size_t kServiceCountMax = wire::kServiceCapacity;
inline constexpr std::size_t kBackendCountMax = wire::kSlotCapacity; ///< of all services together
inline constexpr std::size_t kServiceNameSizeMax = 63;

/// How long a connection without packets is remembered, in seconds, 1..kTimeoutMaxS.
struct Timeouts {
    std::uint32_t half_open_s = 30;
    std::uint32_t established_s = 6 * 3600;
    std::uint32_t closing_s = 60;
    std::uint32_t udp_s = 60;

    [[nodiscard]] bool operator==(const Timeouts &) const = default;
};

/// What becomes of a dead backend's flows, and of those of one that is removed while it has some. UDP: always kRehash.
enum class OnDead : std::uint8_t {
    kRehash, ///< each goes to its row's new owner
    kReset,  ///< the balancer answers each with a RST
    kKeep,   ///< they stay, in case the backend returns
};

enum class HealthType : std::uint8_t { kTcp, kHttp, kNone };

/// HTTP status codes low..high, both included.
struct StatusRange {
    std::uint16_t low = 200;
    std::uint16_t high = 200;

    [[nodiscard]] bool operator==(const StatusRange &) const = default;
};

inline constexpr std::uint32_t kHealthIntervalMinMs = 100;
inline constexpr std::uint32_t kHealthTimeoutMinMs = 10;
inline constexpr std::uint32_t kHealthPeriodMaxMs = 3600 * 1000; ///< interval and timeout
inline constexpr std::uint32_t kHealthCountMax = 100;            ///< rise and fall
inline constexpr std::size_t kHealthPathSizeMax = 1024;
inline constexpr std::size_t kHealthStatusCountMax = 16;

/// As written; check_of() says what it comes to.
struct HealthCheck {
    std::optional<HealthType> type;            ///< nothing: tcp where there is a port to check, else none
    std::uint16_t port = 0;                    ///< 0: the service's
    std::string path = "/";                    ///< http
    std::vector<StatusRange> status = {{}};    ///< http: what counts as good
    std::uint32_t interval_ms = 2000;          ///< from the beginning of one probe to that of the next
    std::uint32_t timeout_ms = 1000;           ///< of a probe as a whole
    std::uint32_t rise = 2;                    ///< good probes in a row until a backend is up
    std::uint32_t fall = 3;                    ///< bad ones until it is not

    [[nodiscard]] bool operator==(const HealthCheck &) const = default;
};

struct Backend {
    wire::Be32 address{};
    std::uint32_t weight = 100; ///< 0..kWeightMax; 0 takes no new flows
    bool drain = false;         ///< takes no new flows, keeps its own

    [[nodiscard]] bool operator==(const Backend &) const = default;
};

/// A service that names a port goes before one of `port: any` on the same VIP and protocol.
struct Service {
    std::string name;                                  ///< [A-Za-z0-9][A-Za-z0-9._-]*, at most kServiceNameSizeMax
    wire::Be32 vip{};
    std::uint16_t port = wire::kPortAny;
    std::uint8_t protocol = wire::kIpProtocolTcp;      ///< kIpProtocolTcp or kIpProtocolUdp
    std::uint8_t forwarding = wire::kForwardingGue;    ///< kForwardingGue or kForwardingIpip
    tables::Algorithm algorithm = tables::Algorithm::kRendezvous;
    std::optional<bool> second_chance;                 ///< nothing: where it is possible; has_second_chance() says what it comes to
    Timeouts timeouts;
    OnDead on_dead = OnDead::kRehash;
    HealthCheck health;
    std::vector<Backend> backends;

    [[nodiscard]] bool operator==(const Service &) const = default;
};

struct Balancer {
    wire::Be32 source_address{};            ///< outer source of encapsulated packets
    std::optional<MacAddress> next_hop_mac; ///< everything goes there; without it routes and neighbours decide
    std::optional<Seed> seed;               ///< keys the flow hash; without it one is made at first start
    std::uint8_t dscp = 0;                  ///< outer DSCP, 0..63
    std::uint16_t gue_port = wire::kGueDefaultPort;

    [[nodiscard]] bool operator==(const Balancer &) const = default;
};

struct Config {
    Balancer balancer;
    std::vector<Service> services;

    [[nodiscard]] bool operator==(const Config &) const = default;
};

/// Second chance needs room for hops in the outer header and connections to ask for.
[[nodiscard]] inline bool can_have_second_chance(const Service &service) {
    return service.protocol == wire::kIpProtocolTcp && service.forwarding == wire::kForwardingGue;
}
[[nodiscard]] inline bool has_second_chance(const Service &service) {
    return can_have_second_chance(service) && service.second_chance.value_or(true);
}

/// The service's check with its type and port as they are in effect; kNone: its backends are not checked.
[[nodiscard]] HealthCheck check_of(const Service &service);

/// Strict: an unknown key, a duplicate, a value out of range, a second document, an alias bomb or a
/// text over kConfigTextSizeMax is an error with file, line, field, the bad value and what would be right.
[[nodiscard]] std::expected<Config, Error> parse(std::string_view text, std::string_view file_name);

/// read_config_text() and parse().
[[nodiscard]] std::expected<Config, Error> parse_file(const std::string &path);

/// The file's text, refused beyond kConfigTextSizeMax.
[[nodiscard]] std::expected<std::string, Error> read_config_text(const std::string &path);

/// The rules that need no file: ranges, names, addresses, duplicates, sizes. Errors carry the field.
[[nodiscard]] std::expected<void, Error> validate(const Config &config);

/// YAML that parse() reads back to an equal Config.
[[nodiscard]] std::string format_yaml(const Config &config);

inline constexpr std::size_t kConfigTextSizeMax = 16u << 20;

/// The words of the file format; algorithms have theirs in tables/algorithm.hpp. The parsers answer nothing for an unknown word.
[[nodiscard]] std::string_view protocol_name(std::uint8_t protocol);
[[nodiscard]] std::string_view forwarding_name(std::uint8_t forwarding);
[[nodiscard]] std::string port_name(std::uint16_t port);
[[nodiscard]] std::optional<std::uint8_t> parse_protocol(std::string_view word);
[[nodiscard]] std::optional<std::uint8_t> parse_forwarding(std::string_view word);
[[nodiscard]] std::optional<std::uint16_t> parse_port(std::string_view word);

/// Where `text` stops being UTF-8 (RFC 3629), in bytes; nothing: it does not.
[[nodiscard]] std::optional<std::size_t> find_not_utf8(std::string_view text);

[[nodiscard]] std::string_view on_dead_name(OnDead on_dead);
[[nodiscard]] std::optional<OnDead> parse_on_dead(std::string_view word);
[[nodiscard]] std::string_view health_type_name(HealthType type);
[[nodiscard]] std::optional<HealthType> parse_health_type(std::string_view word);

/// `200`, `200-299`, `200,204,300-399`: 100..599, at most kHealthStatusCountMax ranges.
[[nodiscard]] std::optional<std::vector<StatusRange>> parse_statuses(std::string_view text);
[[nodiscard]] std::string format_statuses(const std::vector<StatusRange> &ranges);

/// As parse_duration_s(), and `500ms`.
[[nodiscard]] std::optional<std::uint32_t> parse_duration_ms(std::string_view text);
[[nodiscard]] std::string format_duration_ms(std::uint32_t milliseconds);

/// `30s`, `5m`, `6h`, or seconds as a bare number.
[[nodiscard]] std::optional<std::uint32_t> parse_duration_s(std::string_view text);
[[nodiscard]] std::string format_duration_s(std::uint32_t seconds);

} // namespace fairlead::config
