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

/// Bytes of the character that `text` begins with (RFC 3629, section 4); 0: none begins there.
std::size_t utf8_size(std::string_view text) {
    const auto at = [text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const unsigned first = at(0);
    if (first < 0x80) return 1;
    const std::size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    // Neither longer than need be, nor a surrogate, nor beyond U+10FFFF.
    const unsigned second_min = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned second_max = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (size != 0 && (at(1) < second_min || at(1) > second_max)) return 0;
    for (std::size_t i = 2; i < size; ++i)
        if (at(i) < 0x80 || at(i) > 0xbf) return 0;
    return size;
}

} // namespace

std::optional<std::size_t> find_not_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = utf8_size(text.substr(at));
        if (size == 0) return at;
        at += size;
    }
    return std::nullopt;
}

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
