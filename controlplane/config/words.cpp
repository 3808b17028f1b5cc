// SPDX-License-Identifier: Apache-2.0
/// The words and short forms of the file format, shared with the command line.
#include "controlplane/config/config.hpp"

#include <charconv>
#include <limits>

namespace fairlead::config {

namespace {

std::optional<std::uint64_t> parse_decimal(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

} // namespace

std::string_view protocol_name(std::uint8_t protocol) {
    return protocol == wire::kIpProtocolUdp ? "udp" : "tcp";
}

std::string_view forwarding_name(std::uint8_t forwarding) {
    return forwarding == wire::kForwardingIpip ? "ipip" : "gue";
}

std::string port_name(std::uint16_t port) {
    return port == wire::kPortAny ? "any" : std::to_string(port);
}

std::optional<std::uint8_t> parse_protocol(std::string_view word) {
    if (word == "tcp") return wire::kIpProtocolTcp;
    if (word == "udp") return wire::kIpProtocolUdp;
    return std::nullopt;
}

std::optional<std::uint8_t> parse_forwarding(std::string_view word) {
    if (word == "gue") return wire::kForwardingGue;
    if (word == "ipip") return wire::kForwardingIpip;
    return std::nullopt;
}

std::optional<std::uint16_t> parse_port(std::string_view word) {
    if (word == "any") return wire::kPortAny;
    const auto value = parse_decimal(word);
    if (!value || *value == 0 || *value > std::numeric_limits<std::uint16_t>::max()) return std::nullopt;
    return static_cast<std::uint16_t>(*value);
}

std::optional<std::uint32_t> parse_duration_s(std::string_view text) {
    std::uint64_t unit_s = 1;
    if (!text.empty()) {
        const char last = text.back();
        if (last == 'm') unit_s = 60;
        if (last == 'h') unit_s = 3600;
        if (last == 's' || last == 'm' || last == 'h') text.remove_suffix(1);
    }
    const auto value = parse_decimal(text);
    if (!value || *value > std::numeric_limits<std::uint32_t>::max() / unit_s) return std::nullopt;
    return static_cast<std::uint32_t>(*value * unit_s);
}

std::string format_duration_s(std::uint32_t seconds) {
    if (seconds != 0 && seconds % 3600 == 0) return std::to_string(seconds / 3600) + "h";
    if (seconds != 0 && seconds % 60 == 0) return std::to_string(seconds / 60) + "m";
    return std::to_string(seconds) + "s";
}

} // namespace fairlead::config
