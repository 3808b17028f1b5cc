// SPDX-License-Identifier: Apache-2.0
// Encapsulate: the backend's prebuilt outer headers in front of the untouched inner packet (IPIP: RFC 2003;
// GUE: draft-ietf-intarea-gue-09), then the fields that depend on the packet.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/core/generation.hpp"
#include "dataplane/wire/packet.h"

#include <cstddef>
#include <cstring>
#include <immintrin.h>
#include <span>

namespace fairlead::core {

/// The outer IPv4 checksum for an inner packet of `ip_length` bytes (hops included), from the sum of everything else.
[[nodiscard]] inline wire::Be16 outer_checksum(wire::u16 sum_without_length, wire::u32 ip_length) noexcept {
    wire::u32 sum = sum_without_length + ip_length; // of two 16-bit numbers: one fold suffices
    sum = (sum & 0xffff) + (sum >> 16);
    return wire::Be16::from_host(static_cast<wire::u16>(~sum));
}

/// The outer link-layer source, laid out as it stands in the prebuilt headers, which have zeros there.
class OuterSource {
  public:
    explicit OuterSource(const MacAddress &mac) noexcept {
        constexpr auto kPlace = [](wire::u32 length) { return sizeof(Forwarding::headers) - length + offsetof(wire::EthernetHeader, source); };
        static_assert(kPlace(kGueHeadersLength) + sizeof mac <= 16, "in the first of three vectors");
        static_assert(kPlace(kIpipHeadersLength) >= 16 && kPlace(kIpipHeadersLength) + sizeof mac <= 32, "in the second");
        alignas(16) wire::u8 bytes[32]{};
        std::memcpy(bytes + kPlace(kGueHeadersLength), mac.data(), mac.size());
        gue_ = _mm_load_si128(reinterpret_cast<const __m128i *>(bytes));
        std::memset(bytes, 0, sizeof bytes);
        std::memcpy(bytes + kPlace(kIpipHeadersLength), mac.data(), mac.size());
        ipip_ = _mm_load_si128(reinterpret_cast<const __m128i *>(bytes + 16));
    }

    /// Writes prebuilt headers with it, 48 bytes that end at `end`: where the headers are shorter, free headroom is written.
    template <wire::u32 kHeadersLength> [[gnu::always_inline]] void write(wire::u8 *end, const Forwarding &forwarding) const noexcept {
        constexpr bool is_gue = kHeadersLength == kGueHeadersLength;
        const auto *from = reinterpret_cast<const __m128i *>(forwarding.headers);
        auto *to = reinterpret_cast<__m128i *>(end - sizeof forwarding.headers);
        _mm_storeu_si128(to, is_gue ? _mm_or_si128(_mm_load_si128(from), gue_) : _mm_load_si128(from));
        _mm_storeu_si128(to + 1, is_gue ? _mm_load_si128(from + 1) : _mm_or_si128(_mm_load_si128(from + 1), ipip_));
        _mm_storeu_si128(to + 2, _mm_load_si128(from + 2));
    }

  private:
    __m128i gue_, ipip_;
};

/// Writes the outer headers so that they end at `end`, and moves the frame's start there.
/// @param ip_length bytes after `end` up to the end of the packet.
template <wire::u32 kHeadersLength>
[[gnu::always_inline]] inline void write_headers(Frame &frame, wire::u8 *end, const Forwarding &forwarding, wire::u32 ip_length, wire::u32 entropy,
                                                 const OuterSource &source) noexcept {
    using namespace wire;
    source.write<kHeadersLength>(end, forwarding);
    auto *ip = reinterpret_cast<Ipv4Header *>(end - kHeadersLength + sizeof(EthernetHeader));
    ip->total_length = Be16::from_host(static_cast<u16>(ip_length + kHeadersLength - sizeof(EthernetHeader)));
    ip->checksum = outer_checksum(forwarding.checksum, ip_length);
    if constexpr (kHeadersLength == kGueHeadersLength) {
        auto *udp = reinterpret_cast<UdpHeader *>(ip + 1);
        udp->source_port = Be16::from_host(static_cast<u16>(0xc000 | (entropy & 0x3fff)));
        udp->length = Be16::from_host(static_cast<u16>(ip_length + sizeof(UdpHeader) + sizeof(GueHeader)));
    }
    frame.data = end - kHeadersLength;
    frame.length = ip_length + kHeadersLength;
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
[[gnu::always_inline]] inline void encapsulate(Frame &frame, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy,
                                               const OuterSource &source) noexcept {
    wire::u8 *inner = frame.data + sizeof(wire::EthernetHeader);
    if (forwarding.has_udp) [[likely]] write_headers<kGueHeadersLength>(frame, inner, forwarding, ip_length, entropy, source);
    else write_headers<kIpipHeadersLength>(frame, inner, forwarding, ip_length, entropy, source);
}

/// The same with hops in the GUE header (wire::GueHops), for GUE alone.
/// @param hops 1 to kGueHopCountMax addresses; the frame is hops_length() longer for them.
inline void encapsulate_with_hops(Frame &frame, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy,
                                  const OuterSource &source, std::span<const wire::Be32> hops) noexcept {
    using namespace wire;
    const u32 extra = hops_length(static_cast<unsigned>(hops.size()));
    u8 *data = frame.data + sizeof(EthernetHeader) - extra;
    write_headers<kGueHeadersLength>(frame, data, forwarding, ip_length + extra, entropy, source);
    reinterpret_cast<GueHeader *>(data - sizeof(GueHeader))->version_hlen = static_cast<u8>(extra / 4);
    const GueHops header{Be16::from_host(kGueHopsIpv4), 0, static_cast<u8>(hops.size())};
    std::memcpy(data, &header, sizeof header);
    std::memcpy(data + sizeof header, hops.data(), hops.size_bytes());
}

} // namespace fairlead::core
