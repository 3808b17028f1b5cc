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

/// Outer UDP source ports: RFC 6335's dynamic range.
inline constexpr wire::u16 kSourcePortFirst = 0xc000;

/// The outer IPv4 checksum for an inner packet of `ip_length` bytes (hops included), from the sum of everything else.
[[nodiscard]] inline wire::Be16 outer_checksum(wire::u16 sum_without_length, wire::u32 ip_length) noexcept {
    wire::u32 sum = sum_without_length + ip_length; // of two 16-bit numbers: one fold suffices
    sum = (sum & 0xffff) + (sum >> 16);
    return wire::Be16::from_host(static_cast<wire::u16>(~sum));
}

/// The outer link-layer source, laid out as it stands in the prebuilt headers, which have zeros there.
class OuterSource {
  public:
    explicit OuterSource(const MacAddress &mac) noexcept : gue_(laid_out(mac, kGueHeadersLength)), ipip_(laid_out(mac, kIpipHeadersLength)) {}

    /// The first 16 of 48 bytes that end with GUE headers.
    [[nodiscard]] __m128i gue() const noexcept { return _mm_load_si128(&gue_.first); }
    /// The second 16 of 48 bytes that end with IPIP headers.
    [[nodiscard]] __m128i ipip() const noexcept { return _mm_load_si128(&ipip_.second); }

  private:
    struct Bytes {
        __m128i first, second;
    };
    static Bytes laid_out(const MacAddress &mac, wire::u32 length) noexcept {
        Bytes bytes{};
        std::memcpy(reinterpret_cast<wire::u8 *>(&bytes) + sizeof(Forwarding::headers) - length + offsetof(wire::EthernetHeader, source), mac.data(), mac.size());
        return bytes;
    }
    Bytes gue_, ipip_;
};

/// Writes GUE headers so that they end at `end`: 48 bytes, two of them free headroom. The three fields that depend on the
/// packet's length and the one that depends on its flow are 16-bit lanes of one vector, in host order until the end.
/// @param ip_length bytes after `end` up to the end of the packet.
[[gnu::always_inline]] inline void write_gue(wire::u8 *end, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy, const OuterSource &source) noexcept {
    using namespace wire;
    constexpr short kAll = -1;
    // Lanes from the outer IPv4 header on: total length 1, checksum 5, UDP source port 10, UDP length 12.
    static_assert(sizeof(Forwarding::headers) - kGueHeadersLength + sizeof(EthernetHeader) == 16);
    const __m256i lengths = _mm256_setr_epi16(0, kAll, 0, 0, 0, kAll, 0, 0, 0, 0, 0, 0, kAll, 0, 0, 0);
    const __m256i checksum = _mm256_setr_epi16(0, 0, 0, 0, 0, kAll, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m256i source_port = _mm256_setr_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3fff, 0, 0, 0, 0, 0);
    const __m256i to_network = _mm256_setr_epi8(0, 1, 3, 2, 4, 5, 6, 7, 8, 9, 11, 10, 12, 13, 14, 15, 0, 1, 2, 3, 5, 4, 6, 7, 9, 8, 10, 11, 12, 13, 14, 15);

    const __m256i length = _mm256_set1_epi16(static_cast<short>(ip_length));
    const __m256i before = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(forwarding.headers + 16));
    __m256i fields = _mm256_add_epi16(before, _mm256_and_si256(length, lengths));
    // The checksum's addition carries around (RFC 1071) if its sum is below what was added; equal it cannot be, that would be to 0.
    const __m256i carry = _mm256_cmpeq_epi16(_mm256_max_epu16(fields, length), length);
    fields = _mm256_sub_epi16(fields, _mm256_and_si256(carry, checksum));
    fields = _mm256_xor_si256(fields, checksum);
    fields = _mm256_or_si256(fields, _mm256_and_si256(_mm256_set1_epi16(static_cast<short>(entropy)), source_port));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(end - 48), _mm_or_si128(_mm_load_si128(reinterpret_cast<const __m128i *>(forwarding.headers)), source.gue()));
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(end - 32), _mm256_shuffle_epi8(fields, to_network));
}

/// The same in plain C++, field by field: what the tests compare the other with.
inline void write_gue_scalar(wire::u8 *end, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy, const MacAddress &source) noexcept {
    using namespace wire;
    std::memcpy(end - kGueHeadersLength, forwarding.outer(), kGueHeadersLength);
    auto *ethernet = reinterpret_cast<EthernetHeader *>(end - kGueHeadersLength);
    std::memcpy(ethernet->source, source.data(), source.size());
    auto *ip = reinterpret_cast<Ipv4Header *>(ethernet + 1);
    ip->total_length = Be16::from_host(static_cast<u16>(ip_length + kGueHeadersLength - sizeof(EthernetHeader)));
    ip->checksum = outer_checksum(forwarding.checksum, ip_length);
    auto *udp = reinterpret_cast<UdpHeader *>(ip + 1);
    udp->source_port = Be16::from_host(static_cast<u16>(kSourcePortFirst | (entropy & 0x3fff)));
    udp->length = Be16::from_host(static_cast<u16>(ip_length + sizeof(UdpHeader) + sizeof(GueHeader)));
}

/// Writes IPIP headers so that they end at `end`: 48 bytes, 14 of them free headroom.
[[gnu::always_inline]] inline void write_ipip(wire::u8 *end, const Forwarding &forwarding, wire::u16 ip_length, const OuterSource &source) noexcept {
    using namespace wire;
    const auto *from = reinterpret_cast<const __m128i *>(forwarding.headers);
    auto *to = reinterpret_cast<__m128i *>(end - sizeof forwarding.headers);
    _mm_storeu_si128(to, _mm_load_si128(from));
    _mm_storeu_si128(to + 1, _mm_or_si128(_mm_load_si128(from + 1), source.ipip()));
    _mm_storeu_si128(to + 2, _mm_load_si128(from + 2));
    auto *ip = reinterpret_cast<Ipv4Header *>(end - sizeof(Ipv4Header));
    ip->total_length = Be16::from_host(static_cast<u16>(ip_length + sizeof(Ipv4Header)));
    ip->checksum = outer_checksum(forwarding.checksum, ip_length);
}

/// Bytes that hops take in a GUE header.
[[nodiscard]] constexpr wire::u32 hops_length(unsigned hop_count) noexcept {
    return static_cast<wire::u32>(sizeof(wire::GueHops) + hop_count * sizeof(wire::Be32));
}

/// Writes the outer headers before the inner packet.
/// @param inner the inner packet's first byte, behind at least kHeadroomNeeded bytes and an Ethernet header's room.
/// @param ip_length bytes of the inner packet.
/// @param entropy 32 hash bits of the flow: 14 of them choose the outer source port (RFC 6335's dynamic
///        range), so that routers and NICs spread flows.
/// @return bytes of outer headers.
[[gnu::always_inline]] inline wire::u32 encapsulate(wire::u8 *inner, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy,
                                                    const OuterSource &source) noexcept {
    if (forwarding.has_udp) [[likely]] {
        write_gue(inner, forwarding, ip_length, entropy, source);
        return kGueHeadersLength;
    }
    write_ipip(inner, forwarding, ip_length, source);
    return kIpipHeadersLength;
}

/// The same with hops in the GUE header (wire::GueHops), for GUE alone.
/// @param hops 1 to kGueHopCountMax addresses; the headers are hops_length() longer for them.
inline wire::u32 encapsulate_with_hops(wire::u8 *inner, const Forwarding &forwarding, wire::u16 ip_length, wire::u32 entropy,
                                       const OuterSource &source, std::span<const wire::Be32> hops) noexcept {
    using namespace wire;
    const u32 extra = hops_length(static_cast<unsigned>(hops.size()));
    u8 *data = inner - extra;
    write_gue(data, forwarding, static_cast<u16>(ip_length + extra), entropy, source);
    reinterpret_cast<GueHeader *>(data - sizeof(GueHeader))->version_hlen = static_cast<u8>(extra / 4);
    const GueHops header{Be16::from_host(kGueHopsIpv4), 0, static_cast<u8>(hops.size())};
    std::memcpy(data, &header, sizeof header);
    std::memcpy(data + sizeof header, hops.data(), hops.size_bytes());
    return kGueHeadersLength + extra;
}

} // namespace fairlead::core
