// SPDX-License-Identifier: Apache-2.0
// UDP sockets as the lab's senders and echoes use them.
#pragma once

#include <cstdint>
#include <netinet/in.h>
#include <string>

namespace fairlead::lab {

// What a datagram starts with; the rest is filler.
struct Probe {
    uint64_t sequence = 0;             // counts within the flow, from 0
    uint32_t flow = 0;
    uint32_t run = 0;                  // tells a run's datagrams from an earlier one's
};
static_assert(sizeof(Probe) == 16);

// What an echo appends to it.
struct EchoName {
    char name[16] = {};                // NUL-terminated
};

inline constexpr size_t kDatagramSizeMin = sizeof(Probe) + sizeof(EchoName);
inline constexpr size_t kDatagramSizeMax = 1472;

// All of these throw std::system_error with what was tried.
sockaddr_in ipv4_address(const std::string &address, uint16_t port);
int udp_socket(const sockaddr_in &local, int buffer_size);     // non-blocking, bound

}  // namespace fairlead::lab
