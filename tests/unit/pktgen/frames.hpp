// SPDX-License-Identifier: Apache-2.0
/// Frames as a balancer would send them back, and checksums by the book.
#pragma once

#include "perf/pktgen/frame_template.hpp"

#include <cstring>
#include <span>
#include <vector>

namespace fairlead::pktgen::test {

using Bytes = std::vector<wire::u8>;

inline const Target kTarget{.gateway_mac = {2, 0, 0, 0, 0, 1}, .own_mac = {2, 0, 0, 0, 0, 2}, .vip = 0xc633640a, .vip_port = 80,
                            .protocol = Protocol::kTcp};
inline constexpr Client kClient{.address = 0xc6120001, .port = 1024};
inline constexpr wire::u32 kBackend = 0x0a14001f; // 10.20.0.31

inline Target target(Protocol protocol) {
    Target target = kTarget;
    target.protocol = protocol;
    return target;
}

inline Bytes make_frame(Protocol protocol, unsigned size, const Stamp &stamp, bool opens = false) {
    const FrameTemplate frame(target(protocol), size);
    Bytes bytes(frame.length(), 0xee);
    frame.write(bytes.data(), kClient, stamp, opens);
    return bytes;
}

template <class Header>
Header read(std::span<const wire::u8> bytes, std::size_t offset) {
    Header header;
    std::memcpy(&header, bytes.data() + offset, sizeof(header));
    return header;
}

/// The frame with `between` and an outer IPv4 header in front of its packet, or of itself.
inline Bytes encapsulate(const Bytes &frame, wire::u8 protocol, const Bytes &between, bool keeps_ethernet = false) {
    const std::size_t inner = keeps_ethernet ? 0 : sizeof(wire::EthernetHeader);
    const auto length = sizeof(wire::Ipv4Header) + between.size() + frame.size() - inner;
    wire::Ipv4Header outer{};
    outer.version_ihl = 0x45;
    outer.total_length = wire::Be16::from_host(static_cast<wire::u16>(length));
    outer.protocol = protocol;
    outer.destination = wire::Be32::from_host(kBackend);
    const auto *header = reinterpret_cast<const wire::u8 *>(&outer);
    Bytes out(frame.begin(), frame.begin() + sizeof(wire::EthernetHeader));
    out.insert(out.end(), header, header + sizeof(outer));
    out.insert(out.end(), between.begin(), between.end());
    out.insert(out.end(), frame.begin() + static_cast<std::ptrdiff_t>(inner), frame.end());
    return out;
}

/// RFC 1071 word by word. @return 0: the bytes, their checksum included, are right.
inline wire::u16 checksum(std::span<const wire::u8> bytes, wire::u32 sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<wire::u16>(~sum);
}

} // namespace fairlead::pktgen::test
