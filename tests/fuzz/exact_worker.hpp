// SPDX-License-Identifier: Apache-2.0
// A worker whose every buffer is exactly as long as it must be, so that the address sanitizer sees the first byte beyond;
// and what must hold of each burst whatever was in it.
#pragma once

#include "dataplane/core/encapsulate.hpp"
#include "dataplane/core/pipeline.hpp"

#include <sanitizer/asan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

namespace fairlead::fuzz {

inline void require(bool holds, const char *what) {
    if (holds) return;
    std::fprintf(stderr, "invariant broken: %s\n", what);
    std::abort();
}

/// A frame on the heap, of exactly headroom + length bytes, and a copy of how it arrived.
class HeapFrame {
  public:
    HeapFrame(std::span<const wire::u8> bytes, wire::u16 headroom)
        : memory_(new wire::u8[headroom + bytes.size()]), arrived_(bytes.begin(), bytes.end()), headroom_(headroom) {
        std::fill_n(memory_.get(), headroom, wire::u8{0xee});
        std::copy(bytes.begin(), bytes.end(), memory_.get() + headroom);
    }
    [[nodiscard]] core::Frame frame() const {
        return {memory_.get() + headroom_, static_cast<wire::u32>(arrived_.size()), headroom_};
    }
    [[nodiscard]] const wire::u8 *begin() const { return memory_.get(); }
    [[nodiscard]] const std::vector<wire::u8> &arrived() const { return arrived_; }

  private:
    std::unique_ptr<wire::u8[]> memory_;
    std::vector<wire::u8> arrived_;
    wire::u16 headroom_;
};

/// Cache lines, zeroed.
class Lines {
  public:
    explicit Lines(std::size_t bytes) : bytes_(bytes), memory_(static_cast<std::byte *>(std::aligned_alloc(64, bytes)), &std::free) {
        std::memset(memory_.get(), 0, bytes);
    }
    [[nodiscard]] std::span<std::byte> span() const { return {memory_.get(), bytes_}; }

  private:
    std::size_t bytes_;
    std::unique_ptr<std::byte, decltype(&std::free)> memory_;
};

class ExactWorker {
  public:
    /// @param service_count, slot_count the largest of any generation that will be used.
    /// @param connections few, so that tables fill, entries move and are pushed out.
    ExactWorker(std::size_t service_count, std::size_t slot_count, std::size_t connections)
        : slot_count_(slot_count), counters_(std::make_unique<wire::CounterBlock>()), compact_(core::connection_memory_bytes<core::CompactKey>(connections)),
          wide_(core::connection_memory_bytes<core::WideKey>(connections)),
          pipeline_({*counters_, compact_.span(), wide_.span(), kMtu, true}) {
        poison_from(counters_->service_traffic, service_count);
        poison_from(counters_->slot_traffic, slot_count);
        poison_from(counters_->services, service_count);
        poison_from(counters_->slots, slot_count);
    }
    ~ExactWorker() { ASAN_UNPOISON_MEMORY_REGION(counters_.get(), sizeof *counters_); }
    ExactWorker(const ExactWorker &) = delete;
    ExactWorker &operator=(const ExactWorker &) = delete;

    void process(const core::Generation *generation, std::span<const HeapFrame> frames, wire::u64 now_ns) {
        std::vector<core::Frame> burst;
        for (const HeapFrame &frame : frames) burst.push_back(frame.frame());
        pipeline_.process(generation, burst, kSourceMac, now_ns);
        require(pipeline_.burst_size() == frames.size(), "a decision for each frame");
        for (std::size_t i = 0; i < frames.size(); ++i) check_frame(generation, frames[i], burst[i], pipeline_.decision(static_cast<unsigned>(i)));
        check_counters();
    }

    [[nodiscard]] core::Pipeline &pipeline() { return pipeline_; }

    /// After Pipeline::housekeep(): the gauges tell what the tables hold.
    void check_gauges() const {
        const wire::WorkerCounters &worker = counters_->worker;
        const auto live = std::accumulate(slots().begin(), slots().end(), wire::u64{0}, [](auto n, auto &slot) { return n + slot.connections; });
        require(live == worker.connections, "live connections by slot add up to those of the tables");
        require(worker.connections <= worker.connections_opened, "no connection lives that was not opened");
    }

  private:
    static constexpr wire::u32 kMtu = 1500;
    static constexpr core::MacAddress kSourceMac = {2, 0, 0, 0, 0, 0x0b};

    static void check_frame(const core::Generation *generation, const HeapFrame &given, const core::Frame &frame, const core::Decision &decision) {
        const auto &arrived = given.arrived();
        const wire::u8 *end = given.frame().data + arrived.size();
        if (decision.verdict == core::Verdict::kReply) return check_reset(given, frame);
        if (decision.verdict != core::Verdict::kForward) {
            require(decision.verdict == core::Verdict::kDrop || decision.verdict == core::Verdict::kKernel, "the verdict is one of four");
            require(decision.verdict != core::Verdict::kDrop || decision.reason < wire::DropReason::kCount, "a drop has a name");
            require(frame.data == given.frame().data && frame.length == arrived.size() && std::equal(arrived.begin(), arrived.end(), frame.data),
                    "what is not forwarded stays untouched");
            return;
        }
        require(generation && decision.service < generation->service_count() && decision.slot < generation->slot_count(), "a forwarded packet has a service and a backend");
        require(decision.source != core::Source::kNone, "something chose the backend");
        require(generation->forwarding(decision.slot).is_living(), "the backend lives");
        require(frame.data >= given.begin() && frame.data + frame.length <= end, "the frame lies in its buffer");
        require(frame.length <= kMtu + sizeof(wire::EthernetHeader), "the frame fits the link");
        wire::u32 outer = generation->forwarding(decision.slot).length;
        if (decision.source == core::Source::kHops) outer += check_hops(frame, outer);
        require(frame.length >= outer + sizeof(wire::Ipv4Header), "an inner packet follows the outer headers");
        require(std::equal(frame.data + outer, frame.data + frame.length, arrived.begin() + sizeof(wire::EthernetHeader)), "the inner packet is untouched");
        check_outer(frame);
    }

    /// @return bytes that the hops take.
    static wire::u32 check_hops(const core::Frame &frame, wire::u32 outer) {
        const wire::u32 length = 4u * (reinterpret_cast<const wire::GueHeader *>(frame.data + outer - sizeof(wire::GueHeader))->version_hlen & wire::kGueHlenMask);
        if (length == 0) return 0;
        const auto *hops = reinterpret_cast<const wire::GueHops *>(frame.data + outer);
        require(length == core::hops_length(hops->hop_count) && hops->hop_count >= 1 && hops->hop_count <= wire::kGueHopCountMax, "as many hops as the header has room for");
        require(hops->type.host() == wire::kGueHopsIpv4 && hops->next_hop == 0, "the hops begin at the first");
        return length;
    }

    static void check_reset(const HeapFrame &given, const core::Frame &frame) {
        const auto *was = reinterpret_cast<const wire::Ipv4Header *>(given.arrived().data() + sizeof(wire::EthernetHeader));
        const auto *ip = reinterpret_cast<const wire::Ipv4Header *>(frame.data + sizeof(wire::EthernetHeader));
        require(frame.length == 54 && ip->source == was->destination && ip->destination == was->source, "a reset goes back to the client");
        require((reinterpret_cast<const wire::TcpHeader *>(ip + 1)->flags & wire::kTcpRst) != 0, "an answer is a reset");
    }

    static void check_outer(const core::Frame &frame) {
        const auto *ip = reinterpret_cast<const wire::Ipv4Header *>(frame.data + sizeof(wire::EthernetHeader));
        require(ip->total_length.host() + sizeof(wire::EthernetHeader) == frame.length, "the outer total length is right");
        wire::u32 sum = 0;
        for (unsigned i = 0; i < sizeof *ip; i += 2) sum += static_cast<wire::u32>(reinterpret_cast<const wire::u8 *>(ip)[i] << 8 | reinterpret_cast<const wire::u8 *>(ip)[i + 1]);
        while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
        require(sum == 0xffff, "the outer checksum is right");
        if (ip->protocol != wire::kIpProtocolUdp) return;
        const auto *udp = reinterpret_cast<const wire::UdpHeader *>(ip + 1);
        require(udp->length.host() + sizeof *ip == ip->total_length.host(), "the outer UDP length is right");
    }

    void check_counters() const {
        const wire::WorkerCounters &worker = counters_->worker;
        const auto drops = std::accumulate(std::begin(worker.drops), std::end(worker.drops), wire::u64{0});
        require(worker.received_packets == worker.forwarded_packets + worker.kernel_packets + worker.resets_sent + drops, "every packet is counted once");
        require(worker.forwarded_packets == worker.by_connection + worker.by_row + worker.by_hops, "every forwarded packet has a source");
        const auto traffic = std::span(counters_->slot_traffic).first(slot_count_);
        const auto by_slot = std::accumulate(traffic.begin(), traffic.end(), wire::u64{0}, [](auto n, auto &slot) { return n + slot.packets; });
        require(by_slot == worker.forwarded_packets, "packets by slot add up");
        const auto opened = std::accumulate(slots().begin(), slots().end(), wire::u64{0}, [](auto n, auto &slot) { return n + slot.connections_opened; });
        require(opened == worker.connections_opened, "connections opened by slot add up");
    }

    /// The address sanitizer then sees what counts for a service or a slot that is not there.
    template <class Counters, std::size_t N> static void poison_from(Counters (&counters)[N], std::size_t count) {
        ASAN_POISON_MEMORY_REGION(counters + count, (N - count) * sizeof(Counters));
    }
    [[nodiscard]] std::span<const wire::SlotCounters> slots() const { return std::span(counters_->slots).first(slot_count_); }

    std::size_t slot_count_;
    std::unique_ptr<wire::CounterBlock> counters_;
    Lines compact_, wide_;
    core::Pipeline pipeline_;
};

} // namespace fairlead::fuzz
