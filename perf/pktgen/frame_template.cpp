// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/frame_template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace fairlead::pktgen {

using namespace wire;

namespace {

constexpr std::size_t kIpOffset = sizeof(EthernetHeader);
constexpr std::size_t kTransportOffset = kIpOffset + sizeof(Ipv4Header);
constexpr unsigned kStampedTcpSizeMin = kLinkOverhead + sizeof(Ipv4Header) + sizeof(TcpHeader) + sizeof(StampTail);
constexpr u8 kTtl = 64;
constexpr u16 kTcpWindow = 0xffff;
constexpr u8 kDataOffset = sizeof(TcpHeader) / 4 << 4;

static_assert(kLinkOverhead + sizeof(Ipv4Header) + sizeof(UdpHeader) + sizeof(StampTail) == kFrameSizeMin);
static_assert(kLinkOverhead + sizeof(Ipv4Header) + sizeof(TcpHeader) + sizeof(ShortStampTail) == kFrameSizeMin);

template <class Header>
Header *at(u8 *bytes, std::size_t offset) noexcept {
    return reinterpret_cast<Header *>(bytes + offset);
}

// A big-endian number of any even number of bytes is congruent, modulo 2^16 - 1, to the sum of its 16-bit words (RFC 1071,
// section 2): so numbers of 32 bits are added as they are.

u16 fold(u64 sum) noexcept {
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<u16>(sum);
}

u64 sum_of(const Stamp &stamp) noexcept {
    return (stamp.time_ns >> 32) + (stamp.time_ns & 0xffffffff) + stamp.flow + stamp.sequence + kStampMagic;
}

} // namespace

std::string refuse_size(unsigned size, Protocol protocol) {
    if (size < kFrameSizeMin || size > kFrameSizeMax)
        return fmt::format("a frame has {} to {} bytes, CRC included, not {}", kFrameSizeMin, kFrameSizeMax, size);
    if (protocol == Protocol::kTcp && size > kFrameSizeMin && size < kStampedTcpSizeMin)
        return fmt::format("a TCP frame of {} bytes has no place for the stamp; {}, or {} and more, have", size, kFrameSizeMin,
                           kStampedTcpSizeMin);
    return {};
}

FrameTemplate::FrameTemplate(const Target &target, unsigned size)
    : bytes_(size - kCrcSize), protocol_(target.protocol),
      is_short_(target.protocol == Protocol::kTcp && size < kStampedTcpSizeMin) {
    auto *ethernet = at<EthernetHeader>(bytes_.data(), 0);
    std::ranges::copy(target.gateway_mac, ethernet->destination);
    std::ranges::copy(target.own_mac, ethernet->source);
    ethernet->ether_type = Be16::from_host(kEtherTypeIpv4);
    fill_ip(target);
    fill_transport(target);
}

void FrameTemplate::fill_ip(const Target &target) noexcept {
    auto *ip = at<Ipv4Header>(bytes_.data(), kIpOffset);
    const auto length = static_cast<u16>(bytes_.size() - kIpOffset);
    ip->version_ihl = 0x45;
    ip->total_length = Be16::from_host(length);
    ip->fragment = Be16::from_host(kIpv4DontFragment);
    ip->ttl = kTtl;
    ip->protocol = static_cast<u8>(target.protocol);
    ip->destination = Be32::from_host(target.vip);
    ip_sum_ = 0x4500U + length + kIpv4DontFragment + (kTtl << 8 | ip->protocol) + u64{target.vip};
}

/// The payload before the stamp is zero, and adds nothing.
void FrameTemplate::fill_transport(const Target &target) noexcept {
    const auto length = static_cast<u16>(bytes_.size() - kTransportOffset);
    const u64 pseudo_header = u64{target.vip} + static_cast<u8>(target.protocol) + length;
    if (target.protocol == Protocol::kUdp) {
        auto *udp = at<UdpHeader>(bytes_.data(), kTransportOffset);
        udp->destination_port = Be16::from_host(target.vip_port);
        udp->length = Be16::from_host(length);
        sum_.fill(pseudo_header + target.vip_port + length);
        return;
    }
    auto *tcp = at<TcpHeader>(bytes_.data(), kTransportOffset);
    tcp->destination_port = Be16::from_host(target.vip_port);
    tcp->data_offset = kDataOffset;
    tcp->flags = kTcpAck | kTcpPsh;
    tcp->window = Be16::from_host(kTcpWindow);
    const u64 sum = pseudo_header + target.vip_port + kTcpWindow;
    sum_ = {sum + (kDataOffset << 8 | kTcpAck | kTcpPsh), sum + (kDataOffset << 8 | kTcpSyn)};
}

void FrameTemplate::write(u8 *out, const Client &client, const Stamp &stamp, bool opens) const noexcept {
    std::memcpy(out, bytes_.data(), bytes_.size());
    auto *ip = at<Ipv4Header>(out, kIpOffset);
    ip->source = Be32::from_host(client.address);
    ip->checksum = Be16::from_host(static_cast<u16>(~fold(ip_sum_ + client.address)));
    at<Be16>(out, kTransportOffset)[0] = Be16::from_host(client.port); // first in both headers
    if (protocol_ == Protocol::kTcp && opens) at<TcpHeader>(out, kTransportOffset)->flags = kTcpSyn;
    write_stamp(out, stamp, sum_[opens ? 1 : 0] + client.address + client.port);
}

/// @param sum of all but the stamp.
void FrameTemplate::write_stamp(u8 *out, const Stamp &stamp, u64 sum) const noexcept {
    if (is_short_) {
        const auto time_low_ns = static_cast<u32>(stamp.time_ns);
        auto *tcp = at<TcpHeader>(out, kTransportOffset);
        tcp->sequence = Be32::from_host(stamp.flow);
        tcp->acknowledgement = Be32::from_host(stamp.sequence);
        *at<ShortStampTail>(out, bytes_.size() - sizeof(ShortStampTail)) = {Be32::from_host(time_low_ns),
                                                                            Be16::from_host(kShortStampMagic)};
        sum += u64{stamp.flow} + stamp.sequence + time_low_ns + kShortStampMagic;
    } else {
        const std::size_t offset = bytes_.size() - sizeof(StampTail);
        *at<StampTail>(out, offset) = {Be64::from_host(stamp.time_ns), Be32::from_host(stamp.flow),
                                       Be32::from_host(stamp.sequence), Be16::from_host(kStampMagic)};
        const u64 stamp_sum = sum_of(stamp);
        // At an odd place each byte counts in the other half of its word (RFC 1071, section 2 (B)).
        sum += offset % 2 == 0 ? stamp_sum : __builtin_bswap16(fold(stamp_sum));
    }
    const auto checksum = static_cast<u16>(~fold(sum));
    if (protocol_ == Protocol::kTcp) at<TcpHeader>(out, kTransportOffset)->checksum = Be16::from_host(checksum);
    else at<UdpHeader>(out, kTransportOffset)->checksum = Be16::from_host(checksum != 0 ? checksum : 0xffff); // 0 means none
}

} // namespace fairlead::pktgen
