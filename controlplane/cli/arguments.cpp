// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/arguments.hpp"

#include <charconv>

#include <fmt/format.h>

#include "controlplane/config/config.hpp"
#include "controlplane/config/yaml_tree.hpp"

namespace fairlead::cli {

namespace {

/// A validator that takes what `is_right` says yes to.
template <class IsRight>
CLI::Validator check(const char *type, IsRight is_right, std::string what, std::string mend) {
    return CLI::Validator(
        [is_right, what = std::move(what), mend = std::move(mend)](std::string &text) {
            return is_right(text) ? std::string() : fmt::format("{} is not {}; give {}", config::quoted(text), what, mend);
        },
        type);
}

} // namespace

CLI::Validator is_ipv4() {
    return check("IPV4", config::parse_ipv4, "an IPv4 address", "one such as 198.51.100.10 (IPv4 only for now)");
}

CLI::Validator is_port() { return check("PORT", config::parse_port, "a port", "1..65535 or any"); }

CLI::Validator is_protocol() { return check("tcp|udp", config::parse_protocol, "a protocol", "tcp or udp"); }

CLI::Validator is_forwarding() { return check("gue|ipip", config::parse_forwarding, "a forwarding mode", "gue or ipip"); }

CLI::Validator is_algorithm() {
    return check("ALGORITHM", tables::algorithm_from_string, "an algorithm", fmt::format("one of {}", tables::kAlgorithmNames));
}

CLI::Validator is_on_or_off() {
    return check("on|off", [](const std::string &text) { return text == "on" || text == "off"; }, "a switch", "on or off");
}

CLI::Validator is_weight() {
    const auto is_right = [](const std::string &text) {
        std::uint32_t weight = 0;
        const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), weight);
        return status == std::errc{} && end == text.data() + text.size() && weight <= config::kWeightMax;
    };
    return check("N", is_right, "a weight", fmt::format("0..{}; 0 takes no new flows", config::kWeightMax));
}

CLI::Validator is_duration() {
    const auto is_right = [](const std::string &text) {
        const auto seconds = config::parse_duration_s(text);
        return seconds && *seconds > 0 && *seconds <= config::kTimeoutMaxS;
    };
    return check("DURATION", is_right, "a timeout",
                 fmt::format("1s..{}, such as 30s or 6h", config::format_duration_s(config::kTimeoutMaxS)));
}

CLI::Validator is_on_dead() { return check("rehash|reset|keep", config::parse_on_dead, "an on_dead", "rehash, reset or keep"); }

CLI::Validator is_health_type() {
    return check("tcp|http|none", config::parse_health_type, "a type of check", "tcp, http or none");
}

CLI::Validator is_statuses() {
    return check("STATUS", config::parse_statuses, "an HTTP status", "100..599, a range such as 200-299, or several with commas");
}

CLI::Validator is_health_period() {
    const auto is_right = [](const std::string &text) {
        const auto period = config::parse_duration_ms(text);
        return period && *period > 0 && *period <= config::kHealthPeriodMaxMs;
    };
    return check("DURATION", is_right, "a duration", "one such as 500ms or 2s");
}

CLI::Validator is_number(std::uint32_t low, std::uint32_t high) {
    const auto is_right = [low, high](const std::string &text) {
        std::uint32_t number = 0;
        const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
        return status == std::errc{} && end == text.data() + text.size() && number >= low && number <= high;
    };
    return check("N", is_right, fmt::format("a number from {} to {}", low, high), fmt::format("{}..{}", low, high));
}

} // namespace fairlead::cli
