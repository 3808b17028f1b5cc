// SPDX-License-Identifier: Apache-2.0
// Encapsulate: the backend's prebuilt outer headers in front of the untouched inner packet (IPIP: RFC 2003;
// GUE: draft-ietf-intarea-gue-09), then the fields that depend on the packet.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/core/generation.hpp"
#include "dataplane/wire/packet.h"

#include <cstring>
#include <span>

namespace fairlead::core {

/// The outer IPv4 checksum for `total_length`, from the folded sum of the header's other words (RFC 1071).
[[nodiscard]] inline wire::Be16 outer_checksum(wire::u32 sum_without_length, wire::u16 total_length) noexcept {
    wire::u32 sum = sum_without_length + total_length; // of two 16-bit numbers: one fold suffices
    sum = (sum & 0xffff) + (sum >> 16);
    return wire::Be16::from_host(static_cast<wire::u16>(~sum));
}

/// Writes the prebuilt outer headers and `extra` bytes of room before the inner packet and moves the frame's start there;
/// padding after the inner packet is cut off.
/// @return where the room begins.
inline wire::u8 *write_outer(Frame &frame, const Forwarding &forwarding, wire::u32 extra, wire::u16 ip_length,
                             wire::u32 entropy, const MacAddress &source_mac) noexcept {
    using namespace wire;
    u8 *inner = frame.data + sizeof(EthernetHeader);
    u8 *out = inner - forwarding.length - extra;
    // Two copies of fixed size that overlap where the headers are shorter than 48 bytes.
    std::memcpy(out, forwarding.headers, 32);
    std::memcpy(out + forwarding.length - 16, forwarding.headers + forwarding.length - 16, 16);

    auto *ethernet = reinterpret_cast<EthernetHeader *>(out);
    std::memcpy(ethernet->source, source_mac.data(), source_mac.size());
    auto *ip = reinterpret_cast<Ipv4Header *>(ethernet + 1);
    const u16 total_length = static_cast<u16>(ip_length + extra + forwarding.length - sizeof(EthernetHeader));
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
    return inner - extra;
}

/// Bytes that hops take in a GUE header.
[[nodiscard]] constexpr wire::u32 hops_length(unsigned hop_count) noexcept {
    return static_cast<wire::u32>(sizeof(wire::GueHops) + hop_count * sizeof(wire::Be32));
}

/// Writes the outer headers before the inner packet and moves the frame's start there; padding after the inner packet is cut off.
/// @param frame at least kHeadroomNeeded bytes of headroom.
/// @param ip_length bytes of the inner packet.
/// @param entropy 32 hash bits of the flow: 14 of them choose the outer source port (RFC 6335's dynamic
///        range), so that routers and NICs spread flows.
inline void encapsulate(Frame &frame, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy,
                        const MacAddress &source_mac) noexcept {
    write_outer(frame, forwarding, 0, ip_length, entropy, source_mac);
}

/// The same with hops in the GUE header (wire::GueHops).
/// @param hops 1 to kGueHopCountMax addresses; the frame is hops_length() longer for them.
inline void encapsulate_with_hops(Frame &frame, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy,
                                  const MacAddress &source_mac, std::span<const wire::Be32> hops) noexcept {
    using namespace wire;
    const u32 extra = hops_length(static_cast<unsigned>(hops.size()));
    u8 *data = write_outer(frame, forwarding, extra, ip_length, entropy, source_mac);
    reinterpret_cast<GueHeader *>(data - sizeof(GueHeader))->version_hlen = static_cast<u8>(extra / 4);
    const GueHops header{Be16::from_host(kGueHopsIpv4), 0, static_cast<u8>(hops.size())};
    std::memcpy(data, &header, sizeof header);
    std::memcpy(data + sizeof header, hops.data(), hops.size_bytes());
}

} // namespace fairlead::core
