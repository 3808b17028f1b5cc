// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/stamp.hpp"

namespace fairlead::pktgen {

using namespace wire;

namespace {

template <class Header>
const Header *at(std::span<const u8> bytes, std::size_t offset) noexcept {
    return reinterpret_cast<const Header *>(bytes.data() + offset); // alignment 1: asserted by wire/packet.h
}

/// The outermost IPv4 packet, without what Ethernet has behind it; empty: there is none.
std::span<const u8> find_packet(std::span<const u8> frame) noexcept {
    constexpr std::size_t kVlanTagSize = 4;
    std::size_t type_offset = offsetof(EthernetHeader, ether_type);
    for (int tags = 0; tags <= 2; ++tags, type_offset += kVlanTagSize) {
        const std::size_t start = type_offset + sizeof(Be16);
        if (frame.size() < start + sizeof(Ipv4Header)) return {};
        const u16 type = at<Be16>(frame, type_offset)->host();
        if (type == kEtherTypeVlan || type == kEtherTypeQinQ) continue;
        if (type != kEtherTypeIpv4) return {};
        const auto *ip = at<Ipv4Header>(frame, start);
        const std::size_t length = ip->total_length.host();
        const bool is_whole = (ip->fragment.host() & (kIpv4MoreFragments | kIpv4FragmentOffsetMask)) == 0;
        if (ip->version_ihl >> 4 != 4 || !is_whole || length < sizeof(Ipv4Header) || start + length > frame.size()) return {};
        return frame.subspan(start, length);
    }
    return {};
}

u64 mac_number(const u8 (&mac)[6]) noexcept {
    u64 number = 0;
    for (const u8 byte : mac) number = number << 8 | byte;
    return number;
}

std::optional<Stamp> read_short(std::span<const u8> packet, u64 now_ns) noexcept {
    constexpr std::size_t kSize = sizeof(Ipv4Header) + sizeof(TcpHeader) + sizeof(ShortStampTail);
    if (packet.size() < kSize) return {};
    const auto *tail = at<ShortStampTail>(packet, packet.size() - sizeof(ShortStampTail));
    const auto *tcp = at<TcpHeader>(packet, packet.size() - sizeof(ShortStampTail) - sizeof(TcpHeader));
    const u32 age_ns = static_cast<u32>(now_ns) - tail->time_low_ns.host();
    return Stamp{.time_ns = now_ns - age_ns, .flow = tcp->sequence.host(), .sequence = tcp->acknowledgement.host()};
}

} // namespace

std::optional<Returned> read_stamp(std::span<const u8> frame, u64 now_ns) noexcept {
    const auto packet = find_packet(frame);
    if (packet.size() < sizeof(Ipv4Header) + sizeof(StampTail)) return {};
    std::optional<Stamp> stamp;
    const auto *tail = at<StampTail>(packet, packet.size() - sizeof(StampTail));
    const u16 magic = tail->magic.host();
    if (magic == kStampMagic)
        stamp = Stamp{.time_ns = tail->time_ns.host(), .flow = tail->flow.host(), .sequence = tail->sequence.host()};
    else if (magic == kShortStampMagic) stamp = read_short(packet, now_ns);
    if (!stamp) return {};
    return Returned{.stamp = *stamp,
                    .destination = {.address = at<Ipv4Header>(packet, 0)->destination.host(),
                                    .mac = mac_number(at<EthernetHeader>(frame, 0)->destination)}};
}

} // namespace fairlead::pktgen
