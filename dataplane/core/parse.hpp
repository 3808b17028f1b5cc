// SPDX-License-Identifier: Apache-2.0
// Parse: from a frame to a flow. The common case (Ethernet, IPv4 without options, whole, TCP or
// UDP) is a few loads and compares; everything else goes to parse_uncommon(), out of line.
//
// A family is a type with the header, the flow block and the functions of one IP version; the
// packet path is written over it. Byte-order-sensitive here: total_length, fragment, UDP length.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/wire/flow_hash.hpp"
#include "dataplane/wire/packet.h"

#include <cstring>

namespace fairlead::core {

/// What the stages hand on about one packet.
struct Packet {
    wire::FlowBlock flow;   ///< zero padded, ready to hash
    wire::FlowHash hash;
    wire::u16 ip_length;    ///< bytes of the IP packet, without link-layer padding
    wire::u16 service;      ///< index, ServiceTable::kNone: none
    wire::u16 slot;         ///< kNoSlot: none yet
    wire::u8 tcp_flags;     ///< 0 for UDP
    bool has_payload;       ///< TCP: data beyond the header
    bool is_unsure;         ///< another backend may have the connection: it leaves with hops
};

/// Outcome of parsing: a flow, or what to do instead.
enum class Parsed : wire::u8 {
    kFlow,         ///< Packet is filled
    kNotFamily,    ///< not a packet of this family
    kBad,          ///< dropped if it is for a VIP, else the kernel's business; the reason is given
    kBadForAll,    ///< too broken to have a destination
};

struct ParseResult {
    Parsed parsed;
    wire::DropReason reason;
};

struct Ipv4 {
    static constexpr wire::u8 kFamily = 4;
    static constexpr wire::u16 kEtherType = wire::kEtherTypeIpv4;
    using Address = wire::Be32;
    using Header = wire::Ipv4Header;

    /// Bytes of a frame that the common case reads: up to and with the TCP flags.
    static constexpr wire::u32 kCommonLength =
        sizeof(wire::EthernetHeader) + sizeof(Header) + sizeof(wire::TcpHeader);

    [[nodiscard]] static ParseResult parse(const Frame &frame, Packet &packet) noexcept;
    /// The destination of a frame that parse() called kBad.
    [[nodiscard]] static Address destination(const Frame &frame) noexcept {
        return header(frame)->destination;
    }
    [[nodiscard]] static const Header *header(const Frame &frame) noexcept {
        return reinterpret_cast<const Header *>(frame.data + sizeof(wire::EthernetHeader));
    }

  private:
    [[nodiscard]] static ParseResult parse_uncommon(const Frame &frame, Packet &packet) noexcept;
    [[nodiscard]] static ParseResult parse_transport(const Frame &frame, wire::u32 header_length,
                                                     Packet &packet) noexcept;
};

inline ParseResult Ipv4::parse(const Frame &frame, Packet &packet) noexcept {
    using namespace wire;
    if (frame.length < kCommonLength) [[unlikely]] return parse_uncommon(frame, packet);
    const auto *ethernet = reinterpret_cast<const EthernetHeader *>(frame.data);
    const Header *ip = header(frame);
    const u32 ip_length = ip->total_length.host();
    const u32 fragment = ip->fragment.host() & (kIpv4MoreFragments | kIpv4FragmentOffsetMask);
    const bool common = ethernet->ether_type == Be16::from_host(kEtherType) && ip->version_ihl == 0x45 && fragment == 0 &&
                        ip->protocol == kIpProtocolTcp && ip_length >= sizeof(Header) + sizeof(TcpHeader) &&
                        ip_length + sizeof(EthernetHeader) <= frame.length;
    if (!common) [[unlikely]] return parse_uncommon(frame, packet);

    const auto *tcp = reinterpret_cast<const TcpHeader *>(ip + 1);
    const u32 headers = sizeof(Header) + (tcp->data_offset >> 4) * 4u;
    if (headers < sizeof(Header) + sizeof(TcpHeader) || headers > ip_length) [[unlikely]]
        return {Parsed::kBad, DropReason::l4_header_bad};
    packet.flow = {ip->source, ip->destination, tcp->source_port, tcp->destination_port, kIpProtocolTcp, {}};
    packet.ip_length = static_cast<u16>(ip_length);
    packet.tcp_flags = tcp->flags;
    packet.has_payload = ip_length > headers;
    return {Parsed::kFlow, {}};
}

} // namespace fairlead::core
