// SPDX-License-Identifier: Apache-2.0
/// A backend's network, in a network namespace of this process's own that goes when the process ends: the
/// device that balancers send to, the VIP on lo, and ways to other backends of every kind. The other end of the
/// device is a wire on which a client made by hand speaks TCP with the kernel.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bpf/maps.hpp"
#include "tests/unit/bpf/frames.hpp"

namespace fairlead::bpf::test {

/// Our address on the device, and the MAC address that ethernet() sends to.
inline const wire::Be32 kOwnAddress = address("10.20.0.31");
inline const Bytes kOwnMac = {0x02, 0, 0, 0, 0, 0xbe};
inline const wire::Be32 kOwnVip = address("198.51.100.10");
/// A backend whose MAC address is known, on our link.
inline const wire::Be32 kNeighbour = address("10.20.0.32");
inline const Bytes kNeighbourMac = {0x02, 0, 0, 0, 0, 0x20};
/// One whose MAC address nobody has asked for.
inline const wire::Be32 kSilentNeighbour = address("10.20.0.33");
/// Behind a gateway, as are the clients.
inline const wire::Be32 kDistant = address("203.0.113.7");
inline const Bytes kGatewayMac = {0x02, 0, 0, 0, 0, 0x01};
/// By another device; by a way of MTU 600; by none.
inline const wire::Be32 kByOtherDevice = address("10.30.0.2");
inline const wire::Be32 kByNarrowWay = address("10.40.0.2");
inline const wire::Be32 kUnreachable = address("192.0.2.2");
inline const wire::Be32 kNowhere = address("100.64.0.1");

/// Moves this process into a new namespace with that network. Why that is not possible here, or nothing.
[[nodiscard]] std::optional<std::string> enter_own_network();

/// Sets net.ipv4.NAME in the process's namespace.
void set_ipv4(const std::string &name, const std::string &value);
[[nodiscard]] std::string read_ipv4(const std::string &name);

[[nodiscard]] unsigned own_device();

/// A client at the other end of the wire: it says what the test tells it to, and nothing else.
class WireClient {
  public:
    /// The next sequence number is `sequence`.
    WireClient(std::uint16_t port, std::uint16_t server_port, std::uint32_t sequence = 1'000'000);

    /// The segment that this client would send now, with these flags.
    [[nodiscard]] Segment next(std::uint8_t flags, std::size_t payload_size = 0) const;
    /// Sends it over the wire, not encapsulated.
    void send(std::uint8_t flags);
    /// Waits for a segment of ours with all of these flags, and acknowledges it from then on.
    Segment await(std::uint8_t flags);

    void connect();

  private:
    Descriptor wire_;
    std::uint16_t port_, server_port_;
    std::uint32_t sequence_, acknowledgement_ = 0;
};

/// Waits until the kernel has a socket for this client's port in this state, a number of <netinet/tcp.h>.
[[nodiscard]] bool await_state(std::uint16_t client_port, int state);

} // namespace fairlead::bpf::test
