// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/udp/socket.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <sys/socket.h>
#include <system_error>

namespace fairlead::lab {

sockaddr_in ipv4_address(const std::string &address, uint16_t port) {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_port = htons(port);
    if (::inet_pton(AF_INET, address.c_str(), &result.sin_addr) != 1)
        throw std::system_error(EINVAL, std::generic_category(), "'" + address + "' is no IPv4 address");
    return result;
}

int udp_socket(const sockaddr_in &local, int buffer_size) {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw std::system_error(errno, std::generic_category(), "socket");
    // The FORCE variants pass the system's limit; without the privilege the plain ones go as far as it lets them.
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof buffer_size) < 0)
        ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer_size, sizeof buffer_size);
    if (::bind(fd, reinterpret_cast<const sockaddr *>(&local), sizeof local) < 0)
        throw std::system_error(errno, std::generic_category(), "bind");
    return fd;
}

}  // namespace fairlead::lab
