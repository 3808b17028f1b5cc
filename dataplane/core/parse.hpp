// SPDX-License-Identifier: Apache-2.0
// Parse: from a frame to a flow. The common case (Ethernet, IPv4 without options, whole, TCP) is a few loads and
// compares; everything else, UDP too, goes to parse_uncommon(), out of line.
//
// A family is a type with the header, the flow block and the functions of one IP version; the
// packet path is written over it. Byte-order-sensitive here: total_length, fragment, UDP length.
#pragma once

#include "dataplane/core/connection_table.hpp"
#include "dataplane/core/frame.hpp"
#include "dataplane/wire/flow_hash.hpp"
#include "dataplane/wire/packet.h"

#include <cstring>

namespace fairlead::core {

/// What the steps hand on about one packet: one cache line.
struct alignas(64) Packet {
    wire::FlowBlock flow;    ///< zero padded, ready to hash
    wire::FlowHash hash;
    CompactKey key;          ///< of its connection, where that has one
    Line<CompactKey> *line;  ///< where that is looked for first
    wire::u16 ip_length;     ///< bytes of the IP packet, without link-layer padding
    wire::u16 service;       ///< index, ServiceTable::kNone: none
    wire::u32 tenant;        ///< its backend's slot (kNoSlot: none yet), and with kConnection above it the epoch, to be held against the slot's
    Source source;           ///< what chose the slot; kHops: another backend may have the connection
    Verdict verdict;
    wire::DropReason reason; ///< with kDrop
    wire::u8 ip_header_length; ///< bytes
    wire::u8 data_offset;    ///< of TCP, as it stands in the header
    wire::u8 tcp_flags;      ///< 0 for UDP

    [[nodiscard]] wire::u16 slot() const noexcept { return static_cast<wire::u16>(tenant); }
    /// Of TCP: whether bytes follow the headers.
    [[nodiscard]] bool has_payload() const noexcept { return ip_length > ip_header_length + (data_offset >> 4) * 4u; }
    /// Nothing is known of it.
    void begin() noexcept {
        service = ServiceTable::kNone;
        tenant = wire::kNoSlot;
        source = Source::kNone;
        verdict = Verdict::kForward;
    }
};
static_assert(sizeof(Packet) == 64);

/// What a packet does to the state of its connection.
[[nodiscard]] inline Transition transition(const Packet &packet) noexcept {
    return packet.flow.protocol == wire::kIpProtocolTcp ? tcp_transition(packet.tcp_flags, packet.has_payload()) : kUdpTransition;
}

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

    /// The common case: TCP without IP options, whole.
    /// @return whether it is one, and well formed; else parse_uncommon() says what it is.
    /// @param length bytes of the frame, from its Ethernet header on.
    [[nodiscard]] static bool parse(const wire::u8 *frame, wire::u32 length, Packet &packet) noexcept;
    /// Any frame.
    [[nodiscard]] static ParseResult parse_uncommon(const wire::u8 *frame, wire::u32 length, Packet &packet) noexcept;
    /// The destination of a frame that parse_uncommon() called kBad.
    [[nodiscard]] static Address destination(const wire::u8 *frame) noexcept {
        return header(frame)->destination;
    }
    [[nodiscard]] static const Header *header(const wire::u8 *frame) noexcept {
        return reinterpret_cast<const Header *>(frame + sizeof(wire::EthernetHeader));
    }

  private:
    [[nodiscard]] static ParseResult parse_transport(const Header *ip, wire::u32 header_length,
                                                     Packet &packet) noexcept;
};

[[gnu::always_inline]] inline bool Ipv4::parse(const wire::u8 *frame, wire::u32 length, Packet &packet) noexcept {
    using namespace wire;
    if (length < kCommonLength) [[unlikely]] return false;
    // The 16 bytes from the EtherType on: it, version and header length, fragment (but for "don't fragment" and the reserved
    // bit) and protocol are as they must be, the rest does not matter.
    const auto load = [&](unsigned offset) { return _mm_loadu_si128(reinterpret_cast<const __m128i *>(frame + offset)); };
    const __m128i common = _mm_set_epi8(0, 0, 0, 0, kIpProtocolTcp, 0, 0, 0, 0, 0, 0, 0, 0, 0x45, 0x00, 0x08);
    const __m128i matters = _mm_set_epi8(0, 0, 0, 0, -1, 0, -1, 0x3f, 0, 0, 0, 0, 0, -1, -1, -1);
    if (!_mm_testz_si128(_mm_xor_si128(load(offsetof(EthernetHeader, ether_type)), common), matters)) [[unlikely]] return false;
    const Header *ip = header(frame);
    const u32 ip_length = ip->total_length.host();
    // What is there beyond the shortest headers, in the packet and in the frame; the first wraps where there is less.
    const u32 beyond = ip_length - u32{sizeof(Header) + sizeof(TcpHeader)};
    if (beyond > length - kCommonLength) [[unlikely]] return false;
    static_assert(offsetof(TcpHeader, flags) == offsetof(TcpHeader, data_offset) + 1 && offsetof(Packet, tcp_flags) == offsetof(Packet, data_offset) + 1);
    u16 offset_and_flags;
    std::memcpy(&offset_and_flags, frame + kCommonLength - sizeof(TcpHeader) + offsetof(TcpHeader, data_offset), sizeof offset_and_flags);
    const u32 options = (offset_and_flags >> 2 & 0x3cu) - u32{sizeof(TcpHeader)}; // wraps likewise
    if (options > beyond) [[unlikely]] return false;
    // From the protocol on: it, the checksum, then addresses and ports, which is a FlowBlock but for the order.
    constexpr unsigned kFlow = sizeof(EthernetHeader) + offsetof(Header, protocol);
    const __m128i order = _mm_set_epi8(-1, -1, -1, 0, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3);
    _mm_store_si128(reinterpret_cast<__m128i *>(&packet.flow), _mm_shuffle_epi8(load(kFlow), order));
    packet.ip_length = static_cast<u16>(ip_length);
    packet.ip_header_length = sizeof(Header);
    std::memcpy(&packet.data_offset, &offset_and_flags, sizeof offset_and_flags);
    return true;
}

} // namespace fairlead::core
