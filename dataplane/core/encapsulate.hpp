// SPDX-License-Identifier: Apache-2.0
// Encapsulate: the backend's prebuilt outer headers in front of the untouched inner packet (IPIP: RFC 2003;
// GUE: draft-ietf-intarea-gue-09), then the fields that depend on the packet.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/core/generation.hpp"
#include "dataplane/wire/packet.h"

#include <cstring>

namespace fairlead::core {

/// The outer IPv4 checksum for `total_length`, from the sum of the header's other words (RFC 1071).
[[nodiscard]] inline wire::Be16 outer_checksum(wire::u32 sum_without_length, wire::u16 total_length) noexcept {
    wire::u32 sum = sum_without_length + total_length;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return wire::Be16::from_host(static_cast<wire::u16>(~sum));
}

/// Writes the outer headers before the inner packet and moves the frame's start there; padding after the inner packet is cut off.
/// @param frame at least kHeadroomNeeded bytes of headroom.
/// @param ip_length bytes of the inner packet.
/// @param entropy 32 hash bits of the flow: 14 of them choose the outer source port (RFC 6335's dynamic
///        range), so that routers and NICs spread flows.
inline void encapsulate(Frame &frame, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy,
                        const MacAddress &source_mac) noexcept {
    using namespace wire;
    u8 *inner = frame.data + sizeof(EthernetHeader);
    u8 *out = inner - forwarding.length;
    // Two copies of fixed size that overlap where the headers are shorter than 48 bytes.
    std::memcpy(out, forwarding.headers, 32);
    std::memcpy(out + forwarding.length - 16, forwarding.headers + forwarding.length - 16, 16);

    auto *ethernet = reinterpret_cast<EthernetHeader *>(out);
    std::memcpy(ethernet->source, source_mac.data(), source_mac.size());
    auto *ip = reinterpret_cast<Ipv4Header *>(ethernet + 1);
    const u16 total_length = static_cast<u16>(ip_length + forwarding.length - sizeof(EthernetHeader));
    ip->total_length = Be16::from_host(total_length);
    ip->checksum = outer_checksum(forwarding.checksum, total_length);
    if (forwarding.has_udp) {
        auto *udp = reinterpret_cast<UdpHeader *>(ip + 1);
        udp->source_port = Be16::from_host(static_cast<u16>(0xc000 | (entropy & 0x3fff)));
        udp->length = Be16::from_host(static_cast<u16>(total_length - sizeof(Ipv4Header)));
    }
    frame.headroom = static_cast<u16>(frame.headroom - (frame.data - out));
    frame.data = out;
    frame.length = total_length + static_cast<u32>(sizeof(EthernetHeader));
}

} // namespace fairlead::core
