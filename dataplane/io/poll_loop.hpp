// SPDX-License-Identifier: Apache-2.0
/// The worker's loop: receive a burst, have it decided, send it; once a millisecond tidy up; say that nothing is held.
///
/// It is written over what decides: the dataplane's is Forwarder, `perf/mpps` measures the same loop over less work. One thread;
/// the loop owns its queues and shares nothing that it writes but its counters, which others read.
#pragma once

#include "dataplane/core/count.hpp"
#include "dataplane/core/frame.hpp"
#include "dataplane/io/flow_owner.hpp"
#include "dataplane/io/generation_store.hpp"
#include "dataplane/io/options.hpp"
#include "dataplane/io/packet_pool.hpp"
#include "dataplane/io/port.hpp"
#include "dataplane/io/tsc_clock.hpp"
#include "dataplane/io/twin.hpp"
#include "dataplane/io/twin_exchange.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <ctime>
#include <span>
#include <utility>
#include <vector>

namespace fairlead::io {

/// One queue pair that a worker serves.
struct PortQueue {
    const std::atomic<std::uint16_t> *port; ///< Port::serving(): asked before each burst, since the device may have gone
    std::uint16_t queue;
    core::MacAddress mac;      ///< link-layer source of what leaves
    std::uint16_t headers_at = PacketPool::headers_at(PortKind::kNull); ///< where its packets' first bytes are
    bool waits_for_generation; ///< a capture is not read before there is something to decide by
    unsigned worker = 0;         ///< that serves it
    std::uint16_t tx_queue = kSameQueue; ///< to send by
    Twin *twin = nullptr;        ///< the port's way to the kernel; null: there is none
    rte_mempool *pool = nullptr; ///< with a twin: what the kernel sends goes into these buffers
    // Where the port is distributed (Distribution): rings between this worker and others.
    rte_ring *from = nullptr;          ///< packets come from here, not from the device
    rte_ring *back = nullptr;          ///< packets to send go here, not to the device
    std::vector<rte_ring *> others{};  ///< by worker: whose packets this one receives; empty: they are all its own
    std::vector<rte_ring *> returns{}; ///< to be sent for others
    static constexpr std::uint16_t kSameQueue = 0xffff;
    [[nodiscard]] std::uint16_t sends_by() const { return tx_queue == kSameQueue ? queue : tx_queue; }
    wire::u64 missed = 0;      ///< packets that the port has said it missed; asked of queue 0 alone, it counts by port
};

/// What decides a burst. decide() has the packets to send moved up to the front, frees the others and returns how many are to
/// be sent; begin_round() comes before the queues are asked, housekeep() about once a millisecond.
template <class Path>
concept PacketPath = requires(Path path, const core::Generation *generation, std::span<rte_mbuf *> packets,
                              const PortQueue &queue, wire::u64 now_ns) {
    path.begin_round(generation);
    { path.decide(generation, packets, queue, now_ns) } noexcept -> std::same_as<std::uint16_t>;
    path.housekeep(generation, now_ns);
};

template <PacketPath Path> class PollLoop {
  public:
    static constexpr std::uint16_t kBurstSize = 64;
    static_assert(kBurstSize <= core::kBurstSizeMax);

    struct Setup {
        unsigned index; ///< the reader's, in the store
        Idle idle;
        std::vector<PortQueue> queues;
        wire::WorkerCounters *counters;
    };

    /// @param stop set by the main thread when the loop is to end.
    PollLoop(Setup setup, Path &path, GenerationStore &store, const std::atomic<bool> &stop)
        : setup_(std::move(setup)), path_(path), store_(store), stop_(stop) {}

    /// Runs on the worker's own lcore until it is stopped.
    void run() noexcept {
        ::prctl(PR_SET_TIMERSLACK, 1UL); // else the kernel rounds short sleeps up by 50 us
        store_.start_reading(setup_.index);
        while (!stop_.load(std::memory_order_relaxed)) {
            const wire::u64 now_ns = clock_.now_ns();
            path_.begin_round(store_.current());
            unsigned received = 0;
            for (const auto &queue : setup_.queues) received += serve(queue, now_ns);
            if (now_ns >= next_housekeeping_ns_) housekeep(now_ns);
            store_.quiescent(setup_.index);
            if (received != 0) idle_loops_ = 0;
            else rest();
        }
        store_.stop_reading(setup_.index);
    }

  private:
    static constexpr wire::u64 kHousekeepingPeriod_ns = 1'000'000;
    static constexpr wire::u64 kCountMissedPeriod_ns = 500'000'000; // a system call a port on AF_XDP

    // Sleeping gives the CPU to others for little latency: longest 100 us, in which 50,000 packets a second bring 5.
    static constexpr unsigned kLoopsBeforeSleep = 64;
    static constexpr long kSleepMin_ns = 10'000;
    static constexpr long kSleepMax_ns = 100'000;

    [[nodiscard]] unsigned serve(const PortQueue &queue, wire::u64 now_ns) noexcept {
        if (queue.waits_for_generation && store_.current() == nullptr) return 0;
        // Acquire: who sees the device's number sees it set up. Until the next quiescent state it stays.
        const std::uint16_t port = queue.port->load(std::memory_order_acquire);
        if (port == Port::kNoId) [[unlikely]] return 0;
        std::array<rte_mbuf *, kBurstSize> packets;
        const unsigned of_kernel = queue.twin != nullptr ? send_for_kernel(queue, port, packets) : 0;
        std::uint16_t received = 0;
        if (queue.from == nullptr) [[likely]] received = rte_eth_rx_burst(port, queue.queue, packets.data(), kBurstSize);
        else received = static_cast<std::uint16_t>(rte_ring_sc_dequeue_burst(queue.from, reinterpret_cast<void **>(packets.data()), kBurstSize, nullptr));
        unsigned others = of_kernel;
        if (!queue.others.empty()) [[unlikely]] {
            const auto own = hand_on(queue, std::span(packets.data(), received));
            others += static_cast<unsigned>(received - own) + send_returned(queue, port);
            received = own;
        }
        if (received == 0) return others;
        // Once, so that one generation decides all packets of the burst; and after they came, so that none that arrived after
        // the control plane was told of an adoption is decided by an older one.
        const core::Generation *generation = store_.current();
        const std::uint16_t sendable = path_.decide(generation, std::span(packets.data(), received), queue, now_ns);
        if (queue.back == nullptr) [[likely]] send(port, queue.sends_by(), std::span(packets.data(), sendable));
        else drop(put(queue.back, std::span(packets.data(), sendable)), wire::DropReason::tx_full);
        return others + received;
    }

    void send(std::uint16_t port, std::uint16_t queue, std::span<rte_mbuf *> packets) noexcept {
        const auto size = static_cast<std::uint16_t>(packets.size());
        drop(packets.subspan(rte_eth_tx_burst(port, queue, packets.data(), size)), wire::DropReason::tx_full);
    }

    /// What the kernel sends by the port's twin leaves by the port's first queue.
    unsigned send_for_kernel(const PortQueue &queue, std::uint16_t port, std::span<rte_mbuf *> packets) noexcept {
        if (queue.queue != 0 || queue.from != nullptr || queue.twin->from_kernel().is_empty()) return 0;
        const auto taken = take_from_kernel(queue.twin->from_kernel(), queue.pool, packets);
        if (taken != 0) send(port, queue.sends_by(), packets.first(taken));
        return taken;
    }

    /// Gives each packet that is another worker's to that one. @return how many are left, moved up.
    std::uint16_t hand_on(const PortQueue &queue, std::span<rte_mbuf *> packets) noexcept {
        for (const rte_mbuf *packet : packets) rte_prefetch0(rte_pktmbuf_mtod(packet, const void *));
        const auto worker_count = static_cast<unsigned>(queue.others.size());
        std::array<std::uint8_t, kBurstSize> owners;
        for (std::size_t i = 0; i < packets.size(); ++i)
            owners[i] = static_cast<std::uint8_t>(owner_of_flow(rte_pktmbuf_mtod(packets[i], const std::byte *), packets[i]->data_len, worker_count));
        std::array<rte_mbuf *, kBurstSize> handed;
        for (unsigned other = 0; other < worker_count; ++other) {
            if (queue.others[other] == nullptr) continue;
            std::size_t count = 0;
            for (std::size_t i = 0; i < packets.size(); ++i)
                if (owners[i] == other) handed[count++] = packets[i];
            const auto left = put(queue.others[other], std::span(handed.data(), count));
            count_received(left);
            drop(left, wire::DropReason::worker_behind);
        }
        std::uint16_t own = 0;
        for (std::size_t i = 0; i < packets.size(); ++i)
            if (owners[i] == queue.worker) packets[own++] = packets[i];
        return own;
    }

    /// What others have decided and cannot send themselves.
    unsigned send_returned(const PortQueue &queue, std::uint16_t port) noexcept {
        std::array<rte_mbuf *, kBurstSize> packets;
        unsigned sum = 0;
        for (rte_ring *ring : queue.returns) {
            const auto count = rte_ring_sc_dequeue_burst(ring, reinterpret_cast<void **>(packets.data()), kBurstSize, nullptr);
            if (count != 0) send(port, queue.sends_by(), std::span(packets.data(), count));
            sum += count;
        }
        return sum;
    }

    /// @return what the ring has no room for.
    [[nodiscard]] static std::span<rte_mbuf *> put(rte_ring *ring, std::span<rte_mbuf *> packets) noexcept {
        return packets.subspan(rte_ring_sp_enqueue_burst(ring, reinterpret_cast<void *const *>(packets.data()), static_cast<unsigned>(packets.size()), nullptr));
    }

    void drop(std::span<rte_mbuf *> packets, wire::DropReason reason) noexcept {
        if (packets.empty()) [[likely]] return;
        count_drops(reason, packets.size());
        rte_pktmbuf_free_bulk(packets.data(), static_cast<unsigned>(packets.size()));
    }

    /// Who would have decided these would have counted them.
    void count_received(std::span<rte_mbuf *const> packets) noexcept {
        wire::u64 bytes = 0;
        for (const rte_mbuf *packet : packets) bytes += packet->pkt_len;
        core::add(setup_.counters->received_packets, packets.size());
        core::add(setup_.counters->received_bytes, bytes);
    }

    void housekeep(wire::u64 now_ns) noexcept {
        next_housekeeping_ns_ = now_ns + kHousekeepingPeriod_ns;
        path_.housekeep(store_.current(), now_ns);
        if (now_ns < next_count_missed_ns_) return;
        count_missed();
        clock_.set_right();
        next_count_missed_ns_ = now_ns + kCountMissedPeriod_ns;
    }

    /// What a device dropped for want of room in its receive queue is dropped by us: it gets a name, too.
    void count_missed() noexcept {
        for (auto &queue : setup_.queues) {
            rte_eth_stats stats{};
            const std::uint16_t port = queue.port->load(std::memory_order_acquire);
            if (queue.queue != 0 || queue.from != nullptr || port == Port::kNoId || rte_eth_stats_get(port, &stats) != 0) continue;
            if (stats.imissed < queue.missed) queue.missed = 0; // the device was away and counts anew
            count_drops(wire::DropReason::rx_missed, stats.imissed - queue.missed);
            queue.missed = stats.imissed;
        }
    }

    void count_drops(wire::DropReason reason, wire::u64 n) noexcept {
        core::add(setup_.counters->drops[static_cast<unsigned>(reason)], n);
    }

    /// After a loop without packets.
    void rest() noexcept {
        core::add(setup_.counters->polls_empty);
        ++idle_loops_;
        if (setup_.idle == Idle::kPoll || idle_loops_ < kLoopsBeforeSleep) {
            rte_pause();
            return;
        }
        const unsigned doublings = std::min(idle_loops_ - kLoopsBeforeSleep, 4U);
        const timespec sleep{.tv_sec = 0, .tv_nsec = std::min(kSleepMin_ns << doublings, kSleepMax_ns)};
        store_.pause(setup_.index); // nobody waits for who sleeps
        ::nanosleep(&sleep, nullptr);
        store_.resume(setup_.index);
    }

    Setup setup_;
    Path &path_;
    GenerationStore &store_;
    const std::atomic<bool> &stop_;
    TscClock clock_;
    unsigned idle_loops_ = 0; ///< loops in a row without a packet
    wire::u64 next_housekeeping_ns_ = 0;
    wire::u64 next_count_missed_ns_ = 0;
};

} // namespace fairlead::io
