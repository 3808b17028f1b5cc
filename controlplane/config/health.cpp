// SPDX-License-Identifier: Apache-2.0
/// Health checks and on_dead: their words, and what a check comes to.
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "controlplane/config/config.hpp"

namespace fairlead::config {

namespace {

std::optional<std::uint16_t> parse_status(std::string_view text) {
    std::uint16_t status = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
    if (error != std::errc{} || end != text.data() + text.size() || status < 100 || status > 599) return std::nullopt;
    return status;
}

std::optional<StatusRange> parse_range(std::string_view text) {
    const std::size_t dash = text.find('-');
    const auto low = parse_status(text.substr(0, dash));
    const auto high = dash == std::string_view::npos ? low : parse_status(text.substr(dash + 1));
    if (!low || !high || *low > *high) return std::nullopt;
    return StatusRange{*low, *high};
}

} // namespace

HealthCheck check_of(const Service &service) {
    HealthCheck check = service.health;
    const bool is_port_given = check.port != 0;
    if (!is_port_given) check.port = service.port;
    if (!check.type) {
        // A UDP service's port says nothing about TCP; a port that was given for the check does.
        const bool is_checkable = is_port_given || (service.protocol == wire::kIpProtocolTcp && service.port != wire::kPortAny);
        check.type = is_checkable ? HealthType::kTcp : HealthType::kNone;
    }
    return check;
}

std::string_view on_dead_name(OnDead on_dead) {
    switch (on_dead) {
    case OnDead::kRehash: return "rehash";
    case OnDead::kReset: return "reset";
    case OnDead::kKeep: return "keep";
    }
    return "";
}

std::optional<OnDead> parse_on_dead(std::string_view word) {
    for (const OnDead on_dead : {OnDead::kRehash, OnDead::kReset, OnDead::kKeep})
        if (word == on_dead_name(on_dead)) return on_dead;
    return std::nullopt;
}

std::string_view health_type_name(HealthType type) {
    switch (type) {
    case HealthType::kTcp: return "tcp";
    case HealthType::kHttp: return "http";
    case HealthType::kNone: return "none";
    }
    return "";
}

std::optional<HealthType> parse_health_type(std::string_view word) {
    for (const HealthType type : {HealthType::kTcp, HealthType::kHttp, HealthType::kNone})
        if (word == health_type_name(type)) return type;
    return std::nullopt;
}

std::optional<std::vector<StatusRange>> parse_statuses(std::string_view text) {
    std::vector<StatusRange> ranges;
    while (true) {
        const std::size_t comma = text.find(',');
        const auto range = parse_range(text.substr(0, comma));
        if (!range || ranges.size() == kHealthStatusCountMax) return std::nullopt;
        ranges.push_back(*range);
        if (comma == std::string_view::npos) return ranges;
        text.remove_prefix(comma + 1);
    }
}

std::string format_statuses(const std::vector<StatusRange> &ranges) {
    std::string text;
    for (const StatusRange &range : ranges) {
        if (!text.empty()) text += ',';
        text += range.low == range.high ? fmt::format("{}", range.low) : fmt::format("{}-{}", range.low, range.high);
    }
    return text;
}

std::optional<std::uint32_t> parse_duration_ms(std::string_view text) {
    if (text.ends_with("ms")) {
        text.remove_suffix(2);
        std::uint32_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
        return value;
    }
    const auto seconds = parse_duration_s(text);
    if (!seconds || *seconds > std::numeric_limits<std::uint32_t>::max() / 1000) return std::nullopt;
    return *seconds * 1000;
}

std::string format_duration_ms(std::uint32_t milliseconds) {
    return milliseconds % 1000 == 0 ? format_duration_s(milliseconds / 1000) : fmt::format("{}ms", milliseconds);
}

} // namespace fairlead::config
