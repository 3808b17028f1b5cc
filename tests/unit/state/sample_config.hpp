// SPDX-License-Identifier: Apache-2.0
/// Small configurations to begin a test with.
#pragma once

#include <fmt/format.h>

#include "controlplane/config/config.hpp"

namespace fairlead::state::test {

/// 10.1.0.1, 10.1.0.2, ...
inline config::Backend backend(std::uint32_t number) {
    return {.address = wire::Be32::from_host(0x0a010000 + number)};
}

/// Service `name` on 192.0.2.NUMBER:80/tcp with backends 1..backend_count.
inline config::Service service(const std::string &name, std::uint32_t number, std::uint32_t backend_count) {
    config::Service service;
    service.name = name;
    service.vip = wire::Be32::from_host(0xc0000200 + number);
    service.port = 80;
    for (std::uint32_t i = 1; i <= backend_count; ++i) service.backends.push_back(backend(i));
    return service;
}

/// One service, "web", with a next hop so that nothing depends on the machine's routes.
inline config::Config config_with(std::uint32_t backend_count) {
    config::Config config;
    config.balancer.source_address = wire::Be32::from_host(0x0a000001);
    config.balancer.next_hop_mac = config::MacAddress{2, 0, 0, 0, 0, 1};
    config.services.push_back(service("web", 1, backend_count));
    return config;
}

} // namespace fairlead::state::test
