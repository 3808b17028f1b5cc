// SPDX-License-Identifier: Apache-2.0
#include "perf/mpps/offer.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace fairlead::mpps {

using namespace wire;

namespace {

constexpr std::uint16_t kCrcLength = 4;
constexpr std::uint32_t kHeadersLength = sizeof(EthernetHeader) + sizeof(Ipv4Header) + sizeof(TcpHeader);
// "Simple IMIX": of 12 packets 7, 4 and 1 of these lengths, here without the CRC.
constexpr std::array<std::uint16_t, 12> kImixLengths = {60, 60, 60, 60, 60, 60, 60, 590, 590, 590, 590, 1514};

struct PacketHeaders {
    EthernetHeader ethernet;
    Ipv4Header ip;
    TcpHeader tcp;
};
static_assert(sizeof(PacketHeaders) == kHeadersLength);

} // namespace

Offer::Offer(const Options &options, unsigned worker, std::atomic<bool> &stop)
    : flows_(worker, options.services), stop_(stop), flow_count_(options.flows),
      new_flow_below_(static_cast<std::uint32_t>((std::uint64_t{options.new_flows_percent} << 32) / 100)),
      all_new_(options.new_flows_percent == 100), imix_(options.imix), is_cold_(options.headers == Headers::kCold), frame_length_(static_cast<std::uint16_t>(options.size_bytes - kCrcLength)),
      next_new_(options.flows), random_(0x9e3779b97f4a7c15ull * (worker + 1)), template_{} {
    const PacketHeaders headers{
        .ethernet = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, Be16::from_host(kEtherTypeIpv4)},
        .ip = {0x45, 0, {}, {}, Be16::from_host(kIpv4DontFragment), 64, kIpProtocolTcp, {}, {}, {}},
        .tcp = {{}, Be16::from_host(80), {}, {}, sizeof(TcpHeader) / 4 << 4, 0, Be16::from_host(0xffff), {}, {}},
    };
    std::memcpy(template_, &headers, sizeof headers);
}

void Offer::attach(std::uint16_t port) {
    if (rte_eth_add_rx_callback(port, 0, receive, this) == nullptr)
        throw std::runtime_error("this DPDK was built without callbacks (RTE_ETHDEV_RXTX_CALLBACKS)");
}

void Offer::pass(std::uint8_t tcp_flags) {
    pass_flags_ = tcp_flags;
    next_in_pass_ = 0;
}

void Offer::draw() { pass_flags_.reset(); }

std::uint16_t Offer::receive(std::uint16_t, std::uint16_t, rte_mbuf **packets, std::uint16_t count, std::uint16_t, void *offer) {
    auto &self = *static_cast<Offer *>(offer);
    if (self.pass_flags_) count = self.fill_pass(packets, count);
    else {
        self.fill_drawn(packets, count);
        if (self.is_cold_) self.let_cool(packets, count);
    }
    self.offered_ += count;
    return count;
}

std::uint16_t Offer::fill_pass(rte_mbuf **packets, std::uint16_t count) {
    std::uint16_t filled = 0;
    while (filled < count && next_in_pass_ < flow_count_) write(packets[filled++], next_in_pass_++, *pass_flags_, frame_length_);
    for (std::uint16_t i = filled; i < count; ++i) rte_pktmbuf_free(packets[i]);
    if (next_in_pass_ == flow_count_) stop_.store(true, std::memory_order_relaxed);
    return filled;
}

void Offer::fill_drawn(rte_mbuf **packets, std::uint16_t count) {
    for (std::uint16_t i = 0; i < count; ++i) {
        const std::uint64_t drawn = random_.next();
        const bool is_new = all_new_ || static_cast<std::uint32_t>(drawn) < new_flow_below_;
        const std::uint32_t flow = is_new ? next_new_++ : static_cast<std::uint32_t>(((drawn >> 32) * flow_count_) >> 32);
        const std::uint16_t length = imix_ ? kImixLengths[((drawn & 0xffff) * kImixLengths.size()) >> 16] : frame_length_;
        write(packets[i], flow, is_new ? u8{kTcpSyn} : u8{kTcpAck}, length);
    }
}

/// Exchanges a burst just written for the one that waits longest. A NIC's driver writes the mbuf when a packet has come, so the
/// mbuf is written again then; its packet is left alone.
void Offer::let_cool(rte_mbuf **packets, std::uint16_t count) {
    if (cooling_.empty()) { // the first burst, of a round that warms up
        cooling_.resize(kColdDepth);
        if (rte_pktmbuf_alloc_bulk(packets[0]->pool, cooling_.data(), kColdDepth) != 0) std::abort(); // Meter has it made large enough
        fill_drawn(cooling_.data(), kColdDepth);
    }
    for (std::uint16_t i = 0; i < count; ++i) {
        std::swap(packets[i], cooling_[coolest_]);
        rte_prefetch0(cooling_[(coolest_ + count) % kColdDepth]);
        coolest_ = (coolest_ + 1) % kColdDepth;
        packets[i]->pkt_len = packets[i]->data_len;
    }
}

[[gnu::always_inline]] inline void Offer::write(rte_mbuf *packet, std::uint32_t flow, std::uint8_t tcp_flags, std::uint16_t length) const {
    auto *data = rte_pktmbuf_mtod(packet, u8 *);
    std::memcpy(data, template_, sizeof template_);
    auto *headers = reinterpret_cast<PacketHeaders *>(data);
    headers->ip.total_length = Be16::from_host(static_cast<u16>(length - sizeof(EthernetHeader)));
    headers->ip.source = Be32::from_host(flows_.address(flow));
    headers->ip.destination = Be32::from_host(flows_.vip(flow));
    headers->tcp.source_port = Be16::from_host(flows_.port(flow));
    headers->tcp.flags = tcp_flags;
    packet->data_len = length;
    packet->pkt_len = length;
}

} // namespace fairlead::mpps
