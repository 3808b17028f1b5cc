// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/parse.hpp"

namespace fairlead::core {

using namespace wire;

ParseResult Ipv4::parse_uncommon(const u8 *frame, u32 length, Packet &packet) noexcept {
    if (length < sizeof(EthernetHeader)) return {Parsed::kBadForAll, DropReason::frame_truncated};
    const auto *ethernet = reinterpret_cast<const EthernetHeader *>(frame);
    if (!(ethernet->ether_type == Be16::from_host(kEtherType))) return {Parsed::kNotFamily, {}};

    const u32 available = length - static_cast<u32>(sizeof(EthernetHeader));
    if (available < sizeof(Header)) return {Parsed::kBadForAll, DropReason::frame_truncated};
    const Header *ip = header(frame);
    const u32 header_length = (ip->version_ihl & 0x0f) * 4u;
    if (ip->version_ihl >> 4 != 4 || header_length < sizeof(Header)) return {Parsed::kBad, DropReason::ip_header_bad};
    if (available < header_length) return {Parsed::kBad, DropReason::frame_truncated};
    const u32 ip_length = ip->total_length.host();
    if (ip_length < header_length || ip_length > available) return {Parsed::kBad, DropReason::ip_length_bad};
    if (ip->fragment.host() & (kIpv4MoreFragments | kIpv4FragmentOffsetMask)) return {Parsed::kBad, DropReason::fragment};
    return parse_transport(ip, header_length, packet);
}

ParseResult Ipv4::parse_transport(const Header *ip, u32 header_length, Packet &packet) noexcept {
    const u32 payload = ip->total_length.host() - header_length;
    const u8 *transport = reinterpret_cast<const u8 *>(ip) + header_length;
    packet.ip_length = ip->total_length.host();
    packet.ip_header_length = static_cast<u8>(header_length);
    packet.data_offset = packet.tcp_flags = 0;

    switch (ip->protocol) {
    case kIpProtocolTcp: {
        if (payload < sizeof(TcpHeader)) return {Parsed::kBad, DropReason::l4_header_bad};
        const auto *tcp = reinterpret_cast<const TcpHeader *>(transport);
        const u32 tcp_length = (tcp->data_offset >> 4) * 4u;
        if (tcp_length < sizeof(TcpHeader) || tcp_length > payload) return {Parsed::kBad, DropReason::l4_header_bad};
        packet.data_offset = tcp->data_offset;
        packet.tcp_flags = tcp->flags;
        break;
    }
    case kIpProtocolUdp: {
        if (payload < sizeof(UdpHeader)) return {Parsed::kBad, DropReason::l4_header_bad};
        const auto *udp = reinterpret_cast<const UdpHeader *>(transport);
        const u32 udp_length = udp->length.host();
        if (udp_length < sizeof(UdpHeader) || udp_length > payload) return {Parsed::kBad, DropReason::l4_header_bad};
        break;
    }
    default:
        return {Parsed::kBad, DropReason::protocol_unsupported};
    }
    // In one store, since it is loaded whole: small stores would have to reach the cache first. TCP and UDP begin with their ports.
    u64 addresses;
    u32 ports;
    std::memcpy(&addresses, &ip->source, sizeof addresses);
    std::memcpy(&ports, transport, sizeof ports);
    _mm_store_si128(reinterpret_cast<__m128i *>(&packet.flow),
                    _mm_set_epi64x(static_cast<long long>(u64{ip->protocol} << 32 | ports), static_cast<long long>(addresses)));
    return {Parsed::kFlow, {}};
}

} // namespace fairlead::core
