// SPDX-License-Identifier: Apache-2.0
/// Packet paths for the worker's loop besides the dataplane's own: less work, to take the ports' cost off; and one that looks
/// at what the dataplane's has decided.
#pragma once

#include "dataplane/io/forwarder.hpp"
#include "perf/mpps/offer.hpp"

#include <immintrin.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <cstring>
#include <vector>

namespace fairlead::mpps {

/// Sends what came.
struct IoPath {
    void begin_round(const core::Generation *) noexcept {}
    void housekeep(const core::Generation *, wire::u64) noexcept {}
    [[nodiscard]] std::uint16_t decide(const core::Generation *, std::span<rte_mbuf *> packets, const io::PortQueue &, wire::u64) noexcept {
        return static_cast<std::uint16_t>(packets.size());
    }
};

/// What testpmd's `macswap` does (app/test-pmd/macswap_sse.h): swaps each frame's link-layer addresses and says anew what
/// the device is to offload, four packets at a time.
struct MacswapPath {
    void begin_round(const core::Generation *) noexcept {}
    void housekeep(const core::Generation *, wire::u64) noexcept {}
    [[nodiscard]] std::uint16_t decide(const core::Generation *, std::span<rte_mbuf *> packets, const io::PortQueue &, wire::u64) noexcept {
        for (rte_mbuf *packet : packets) rte_prefetch0(rte_pktmbuf_mtod(packet, void *));
        const __m128i swapped = _mm_set_epi8(15, 14, 13, 12, 5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6);
        for (rte_mbuf *packet : packets) {
            auto *addresses = rte_pktmbuf_mtod(packet, __m128i *);
            _mm_storeu_si128(addresses, _mm_shuffle_epi8(_mm_loadu_si128(addresses), swapped));
            packet->ol_flags &= RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL;
            packet->vlan_tci = 0;
            packet->vlan_tci_outer = 0;
            packet->l2_len = sizeof(wire::EthernetHeader);
            packet->l3_len = sizeof(wire::Ipv4Header);
        }
        return static_cast<std::uint16_t>(packets.size());
    }
};

/// The dataplane's path, and a note of each flow's backend: `moved` counts the flows that have another than the first time.
class WitnessPath {
  public:
    WitnessPath(io::Forwarder &forwarder, const FlowSpace &flows, std::size_t flow_count)
        : forwarder_(forwarder), flows_(flows), backends_(flow_count) {}

    void begin_round(const core::Generation *generation) noexcept { forwarder_.begin_round(generation); }
    void housekeep(const core::Generation *generation, wire::u64 now_ns) noexcept { forwarder_.housekeep(generation, now_ns); }
    [[nodiscard]] std::uint16_t decide(const core::Generation *generation, std::span<rte_mbuf *> packets, const io::PortQueue &queue,
                                       wire::u64 now_ns) noexcept {
        const std::uint16_t count = forwarder_.decide(generation, packets, queue, now_ns);
        for (const rte_mbuf *packet : packets.first(count)) note(packet);
        return count;
    }
    [[nodiscard]] std::uint64_t moved() const { return moved_; }
    [[nodiscard]] std::uint64_t seen() const { return seen_; } ///< packets

  private:
    void note(const rte_mbuf *packet) noexcept {
        using namespace wire;
        const auto *outer = rte_pktmbuf_mtod_offset(packet, const Ipv4Header *, sizeof(EthernetHeader));
        const u8 *inside = reinterpret_cast<const u8 *>(outer + 1);
        if (outer->protocol == kIpProtocolUdp) {
            const auto *gue = reinterpret_cast<const GueHeader *>(inside + sizeof(UdpHeader));
            inside = reinterpret_cast<const u8 *>(gue + 1) + (gue->version_hlen & kGueHlenMask) * 4U;
        }
        const auto *inner = reinterpret_cast<const Ipv4Header *>(inside);
        const auto *tcp = reinterpret_cast<const TcpHeader *>(inner + 1);
        const u32 flow = flows_.flow(inner->source.host(), tcp->source_port.host());
        ++seen_;
        if (flow >= backends_.size()) return;
        const u32 backend = outer->destination.host();
        moved_ += backends_[flow] != 0 && backends_[flow] != backend;
        backends_[flow] = backend;
    }

    io::Forwarder &forwarder_;
    const FlowSpace &flows_;
    std::vector<wire::u32> backends_; ///< by flow; 0: not seen yet
    std::uint64_t moved_ = 0, seen_ = 0;
};

} // namespace fairlead::mpps
