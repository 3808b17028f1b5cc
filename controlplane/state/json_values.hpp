// SPDX-License-Identifier: Apache-2.0
/// Values of the state file's JSON.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "controlplane/config/config.hpp"
#include "controlplane/state/allocation.hpp"

namespace fairlead::state {

using Json = nlohmann::ordered_json;

/// Reads values out of JSON and throws Damaged for what is not as format_state() writes it. The
/// digest has been checked before, so this meets only hand-edited files and our own mistakes.
struct Damaged {
    std::string field;
};

template <class T>
[[nodiscard]] T number(const Json &json, const char *key, std::uint64_t low, std::uint64_t high) {
    const auto value = json.find(key);
    if (value == json.end() || !value->is_number_unsigned()) throw Damaged{key};
    const auto number = value->get<std::uint64_t>();
    if (number < low || number > high) throw Damaged{key};
    return static_cast<T>(number);
}

[[nodiscard]] inline std::string text(const Json &json, const char *key) {
    const auto value = json.find(key);
    if (value == json.end() || !value->is_string()) throw Damaged{key};
    return value->get<std::string>();
}

[[nodiscard]] inline const Json &part(const Json &json, const char *key) {
    const auto value = json.find(key);
    if (value == json.end() || !value->is_structured()) throw Damaged{key};
    return *value;
}

[[nodiscard]] inline wire::Be32 address(const Json &json, const char *key) {
    const auto value = config::parse_ipv4(text(json, key));
    if (!value) throw Damaged{key};
    return *value;
}

[[nodiscard]] inline std::uint8_t protocol(const Json &json) {
    const auto value = config::parse_protocol(text(json, "protocol"));
    if (!value) throw Damaged{"protocol"};
    return *value;
}

[[nodiscard]] inline ServiceKey service_key(const Json &json) {
    return {address(json, "vip").host(), number<std::uint16_t>(json, "port", 0, 65535), protocol(json)};
}

[[nodiscard]] inline Json to_json(const ServiceKey &key) {
    return {{"vip", config::format_ipv4(wire::Be32::from_host(key.vip))},
            {"port", key.port},
            {"protocol", config::protocol_name(key.protocol)}};
}

} // namespace fairlead::state
