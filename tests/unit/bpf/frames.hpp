// SPDX-License-Identifier: Apache-2.0
/// Frames put together from the inside out: ethernet(ipv4(..., udp(..., gue(inner)))).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/wire/packet.h"

namespace fairlead::bpf::test {

using Bytes = std::vector<std::uint8_t>;

[[nodiscard]] wire::Be32 address(std::string_view dotted);

inline const wire::Be32 kVip = address("198.51.100.10");
inline const wire::Be32 kOtherAddress = address("198.51.100.11"); ///< no VIP
inline const wire::Be32 kClient = address("203.0.113.5");

/// Bytes that differ from place to place, for payloads.
[[nodiscard]] Bytes pattern(std::size_t size);

struct Ipv4Fields {
    wire::Be32 source{};
    wire::Be32 destination{};
    std::uint8_t protocol = 0;
    std::uint8_t dscp_ecn = 0;
    std::uint16_t fragment = 0;
    std::uint8_t ttl = 64;
    std::size_t option_words = 0; ///< 32-bit words of options (no-operation)
};

[[nodiscard]] Bytes ethernet(const Bytes &payload, std::uint16_t ether_type = wire::kEtherTypeIpv4);
/// Length and checksum are right.
[[nodiscard]] Bytes ipv4(const Ipv4Fields &fields, const Bytes &payload);
[[nodiscard]] Bytes udp(std::uint16_t source_port, std::uint16_t destination_port, const Bytes &payload);
/// Variant 0, data, an IPv4 packet inside; `private_words` 32-bit words of private data before it.
[[nodiscard]] Bytes gue(const Bytes &inner, std::size_t private_words = 0);

/// The same with the hops of the second chance as private data.
[[nodiscard]] Bytes gue_with_hops(const Bytes &inner, const std::vector<wire::Be32> &hops, std::uint8_t next_hop = 0);

/// A TCP segment of one direction of a connection.
struct Segment {
    wire::Be32 source{};
    wire::Be32 destination{};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint32_t sequence = 0;
    std::uint32_t acknowledgement = 0;
    std::uint8_t flags = 0;
    std::size_t payload_size = 0;
};

/// A whole IPv4 packet that carries the segment, its checksum right.
[[nodiscard]] Bytes tcp_packet(const Segment &segment);
/// The segment that a sound IPv4 packet carries.
[[nodiscard]] Segment read_segment(std::span<const std::uint8_t> ip);

/// Computes an IPv4 header's checksum anew, after something in it was changed. `ip` starts at the header.
void renew_checksum(std::span<std::uint8_t> ip);

/// The ones' complement of the ones' complement sum (RFC 1071), byte by byte.
[[nodiscard]] std::uint16_t checksum(std::span<const std::uint8_t> bytes);

[[nodiscard]] std::uint16_t read16(std::span<const std::uint8_t> bytes, std::size_t offset);
void write16(std::span<std::uint8_t> bytes, std::size_t offset, std::uint16_t value);
[[nodiscard]] std::uint32_t read32(std::span<const std::uint8_t> bytes, std::size_t offset);
void write32(std::span<std::uint8_t> bytes, std::size_t offset, std::uint32_t value);

} // namespace fairlead::bpf::test
