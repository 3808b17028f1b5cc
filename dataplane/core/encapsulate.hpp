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

/// The outer IPv4 checksum for an inner packet of `ip_length` bytes (hops included), from the sum of everything else.
[[nodiscard]] inline wire::Be16 outer_checksum(wire::u16 sum_without_length, wire::u32 ip_length) noexcept {
    wire::u32 sum = sum_without_length + ip_length; // of two 16-bit numbers: one fold suffices
    sum = (sum & 0xffff) + (sum >> 16);
    return wire::Be16::from_host(static_cast<wire::u16>(~sum));
}

namespace detail {

/// Writes the prebuilt outer headers so that they end at `end`, then the fields that depend on the packet.
/// @param ip_length bytes after `end` up to the end of the packet.
template <wire::u32 kHeadersLength>
inline void write_headers(wire::u8 *end, const Forwarding &forwarding, wire::u32 ip_length, wire::u32 entropy, const MacAddress &source_mac) noexcept {
    using namespace wire;
    // All 48 bytes: what stands before shorter headers is written into free headroom.
    std::memcpy(end - 48, forwarding.headers, 32);
    std::memcpy(end - 16, forwarding.headers + 32, 16);

    auto *ethernet = reinterpret_cast<EthernetHeader *>(end - kHeadersLength);
    std::memcpy(ethernet->source, source_mac.data(), source_mac.size());
    auto *ip = reinterpret_cast<Ipv4Header *>(ethernet + 1);
    ip->total_length = Be16::from_host(static_cast<u16>(ip_length + kHeadersLength - sizeof(EthernetHeader)));
    ip->checksum = outer_checksum(forwarding.checksum, ip_length);
    if constexpr (kHeadersLength == kGueHeadersLength) {
        auto *udp = reinterpret_cast<UdpHeader *>(ip + 1);
        udp->source_port = Be16::from_host(static_cast<u16>(0xc000 | (entropy & 0x3fff)));
        udp->length = Be16::from_host(static_cast<u16>(ip_length + sizeof(UdpHeader) + sizeof(GueHeader)));
    }
}

} // namespace detail

/// Writes the prebuilt outer headers and `extra` bytes of room before the inner packet and moves the frame's start there;
/// padding after the inner packet is cut off.
/// @return where the room begins.
inline wire::u8 *write_outer(Frame &frame, const Forwarding &forwarding, wire::u32 extra, wire::u16 ip_length,
                             wire::u32 entropy, const MacAddress &source_mac) noexcept {
    using namespace wire;
    u8 *end = frame.data + sizeof(EthernetHeader) - extra;
    const u32 length = ip_length + extra;
    if (forwarding.has_udp) [[likely]] {
        detail::write_headers<kGueHeadersLength>(end, forwarding, length, entropy, source_mac);
        frame.data = end - kGueHeadersLength;
        frame.length = length + kGueHeadersLength;
    } else {
        detail::write_headers<kIpipHeadersLength>(end, forwarding, length, entropy, source_mac);
        frame.data = end - kIpipHeadersLength;
        frame.length = length + kIpipHeadersLength;
    }
    return end;
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
