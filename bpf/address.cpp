// SPDX-License-Identifier: Apache-2.0
#include "bpf/address.hpp"

#include <arpa/inet.h>

#include <cstring>

namespace fairlead::bpf {

wire::AddressKey key_of(wire::Be32 ipv4_address) {
    wire::AddressKey key{};
    key.family = 4;
    std::memcpy(key.address, &ipv4_address, sizeof(ipv4_address));
    return key;
}

Result<wire::AddressKey> parse_address(std::string_view text) {
    const std::string terminated(text);
    wire::Be32 address{};
    if (::inet_pton(AF_INET, terminated.c_str(), &address) != 1 || terminated.size() != std::strlen(terminated.c_str()))
        return std::unexpected("'" + terminated + "' is not an IPv4 address");
    return key_of(address);
}

std::string format_address(const wire::AddressKey &key) {
    char text[INET6_ADDRSTRLEN] = {};
    ::inet_ntop(key.family == 6 ? AF_INET6 : AF_INET, key.address, text, sizeof(text));
    return text;
}

} // namespace fairlead::bpf
