// SPDX-License-Identifier: Apache-2.0
// Parse: from a frame to a flow. The common case (Ethernet, IPv4 without options, whole, TCP or
// UDP) is a few loads and compares; everything else goes to parse_uncommon(), out of line.
//
// A family is a type with the header, the flow block and the functions of one IP version; the
// packet path is written over it. Byte-order-sensitive here: total_length, fragment, UDP length.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/core/transition.hpp"
#include "dataplane/wire/flow_hash.hpp"
#include "dataplane/wire/packet.h"

#include <cstring>

namespace fairlead::core {

/// What the stages hand on about one packet.
struct alignas(16) Packet {
    wire::FlowBlock flow;   ///< zero padded, ready to hash
    wire::FlowHash hash;
    wire::u16 ip_length;    ///< bytes of the IP packet, without link-layer padding
    wire::u16 service;      ///< index, ServiceTable::kNone: none
    wire::u16 slot;         ///< kNoSlot: none yet
    wire::u8 tcp_flags;     ///< 0 for UDP
    Transition transition;  ///< what it does to the state of its connection
    Source source;          ///< what chose the slot
    bool any_port;          ///< of its service: its connection has a wide key
    bool is_unsure;         ///< another backend may have the connection: it leaves with hops
};
static_assert(sizeof(Packet) == 48);

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
    // As loaded: the packet's bytes, the first one lowest.
    static constexpr wire::u32 kCommonTypeAndVersion = 0x45 << 16 | 0x0008;
    static constexpr wire::u32 kFragmentAndProtocolMask = 0xff00ff3f; ///< all but "don't fragment", the reserved bit and the TTL
    static constexpr wire::u32 kCommonFragmentAndProtocol = wire::u32{wire::kIpProtocolTcp} << 24;

    [[nodiscard]] static ParseResult parse_uncommon(const Frame &frame, Packet &packet) noexcept;
    [[nodiscard]] static ParseResult parse_transport(const Frame &frame, wire::u32 header_length,
                                                     Packet &packet) noexcept;
};

inline ParseResult Ipv4::parse(const Frame &frame, Packet &packet) noexcept {
    using namespace wire;
    if (frame.length < kCommonLength) [[unlikely]] return parse_uncommon(frame, packet);
    const Header *ip = header(frame);
    // EtherType, version and header length; fragment flags and offset, and protocol: two loads, one compare.
    u32 type_and_version, fragment_and_protocol;
    std::memcpy(&type_and_version, frame.data + offsetof(EthernetHeader, ether_type), sizeof(u32));
    std::memcpy(&fragment_and_protocol, &ip->fragment, sizeof(u32));
    const u32 ip_length = ip->total_length.host();
    const u32 strange = ((type_and_version ^ kCommonTypeAndVersion) & 0x00ffffff) |
                        ((fragment_and_protocol & kFragmentAndProtocolMask) ^ kCommonFragmentAndProtocol);
    if (strange != 0 || ip_length < sizeof(Header) + sizeof(TcpHeader) || ip_length + sizeof(EthernetHeader) > frame.length) [[unlikely]]
        return parse_uncommon(frame, packet);
    const auto *tcp = reinterpret_cast<const TcpHeader *>(ip + 1);
    const u32 headers = sizeof(Header) + (tcp->data_offset >> 4) * 4u;
    if (headers < sizeof(Header) + sizeof(TcpHeader) || headers > ip_length) [[unlikely]]
        return {Parsed::kBad, DropReason::l4_header_bad};
    u64 addresses;
    u32 ports;
    std::memcpy(&addresses, &ip->source, sizeof addresses);
    std::memcpy(&ports, &tcp->source_port, sizeof ports);
    const __m128i flow = _mm_set_epi64x(static_cast<long long>(u64{kIpProtocolTcp} << 32 | ports), static_cast<long long>(addresses));
    _mm_store_si128(reinterpret_cast<__m128i *>(&packet.flow), flow);
    packet.ip_length = static_cast<u16>(ip_length);
    packet.tcp_flags = tcp->flags;
    packet.transition = tcp_transition(tcp->flags, ip_length > headers);
    return {Parsed::kFlow, {}};
}

} // namespace fairlead::core
