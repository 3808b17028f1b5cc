// SPDX-License-Identifier: Apache-2.0
/// Addresses as text. Values stay in network byte order, as they go on the wire.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/wire/wire.h"

namespace fairlead::config {

using MacAddress = std::array<std::uint8_t, 6>;

/// Dotted quad, four decimal numbers without leading zeros; nothing else, so never an octal surprise.
[[nodiscard]] std::optional<wire::Be32> parse_ipv4(std::string_view text);
[[nodiscard]] std::string format_ipv4(wire::Be32 address);

/// `02:00:00:00:00:fe`, either case.
[[nodiscard]] std::optional<MacAddress> parse_mac(std::string_view text);
[[nodiscard]] std::string format_mac(const MacAddress &address);

/// Exactly 2 * output.size() hexadecimal digits, either case.
[[nodiscard]] bool parse_hex(std::string_view text, std::uint8_t *output, std::size_t size);
[[nodiscard]] std::string format_hex(const std::uint8_t *bytes, std::size_t size);

} // namespace fairlead::config
