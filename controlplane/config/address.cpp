// SPDX-License-Identifier: Apache-2.0
#include "controlplane/config/address.hpp"

#include <fmt/format.h>

namespace fairlead::config {

namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Takes one decimal number 0..255 without leading zeros from the front of `text`.
std::optional<std::uint32_t> take_octet(std::string_view &text) {
    std::size_t length = 0;
    std::uint32_t value = 0;
    while (length < text.size() && length < 3 && text[length] >= '0' && text[length] <= '9') {
        value = value * 10 + static_cast<std::uint32_t>(text[length] - '0');
        ++length;
    }
    if (length == 0 || value > 255 || (length > 1 && text[0] == '0')) return std::nullopt;
    text.remove_prefix(length);
    return value;
}

} // namespace

std::optional<wire::Be32> parse_ipv4(std::string_view text) {
    std::uint32_t address = 0;
    for (int i = 0; i < 4; ++i) {
        if (i > 0) {
            if (text.empty() || text.front() != '.') return std::nullopt;
            text.remove_prefix(1);
        }
        const auto octet = take_octet(text);
        if (!octet) return std::nullopt;
        address = address << 8 | *octet;
    }
    if (!text.empty()) return std::nullopt;
    return wire::Be32::from_host(address);
}

std::string format_ipv4(wire::Be32 address) {
    const std::uint32_t host = address.host();
    return fmt::format("{}.{}.{}.{}", host >> 24, host >> 16 & 0xff, host >> 8 & 0xff, host & 0xff);
}

std::optional<MacAddress> parse_mac(std::string_view text) {
    MacAddress address{};
    if (text.size() != 17) return std::nullopt;
    for (std::size_t i = 0; i < address.size(); ++i) {
        if (i > 0 && text[i * 3 - 1] != ':') return std::nullopt;
        if (!parse_hex(text.substr(i * 3, 2), &address[i], 1)) return std::nullopt;
    }
    return address;
}

std::string format_mac(const MacAddress &address) {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", address[0], address[1], address[2],
                       address[3], address[4], address[5]);
}

bool parse_hex(std::string_view text, std::uint8_t *output, std::size_t size) {
    if (text.size() != 2 * size) return false;
    for (std::size_t i = 0; i < size; ++i) {
        const int high = hex_digit(text[2 * i]);
        const int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        output[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return true;
}

std::string format_hex(const std::uint8_t *bytes, std::size_t size) {
    std::string text;
    text.reserve(2 * size);
    for (std::size_t i = 0; i < size; ++i) fmt::format_to(std::back_inserter(text), "{:02x}", bytes[i]);
    return text;
}

} // namespace fairlead::config
