// SPDX-License-Identifier: Apache-2.0
/// The worker's loop: receive a burst, have it decided, send it; once a millisecond tidy up; say that nothing is held.
///
/// It is written over what decides: the dataplane's is Forwarder, `perf/mpps` measures the same loop over less work. One thread;
/// the loop owns its queues and shares nothing that it writes but its counters, which others read.
#pragma once

#include "dataplane/core/count.hpp"
#include "dataplane/core/frame.hpp"
#include "dataplane/io/generation_store.hpp"
#include "dataplane/io/options.hpp"
#include "dataplane/io/port.hpp"
#include "dataplane/io/tsc_clock.hpp"
#include "dataplane/io/twin.hpp"
#include "dataplane/io/twin_exchange.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
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
    bool waits_for_generation; ///< a capture is not read before there is something to decide by
    Twin *twin = nullptr;        ///< the port's way to the kernel; null: there is none
    rte_mempool *pool = nullptr; ///< with a twin: what the kernel sends goes into these buffers
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
        const std::uint16_t received = rte_eth_rx_burst(port, queue.queue, packets.data(), kBurstSize);
        if (received == 0) return of_kernel;
        // Once, so that one generation decides all packets of the burst; and after they came, so that none that arrived after
        // the control plane was told of an adoption is decided by an older one.
        const core::Generation *generation = store_.current();
        const std::uint16_t sendable = path_.decide(generation, std::span(packets.data(), received), queue, now_ns);
        send(port, queue.queue, std::span(packets.data(), sendable));
        return of_kernel + received;
    }

    void send(std::uint16_t port, std::uint16_t queue, std::span<rte_mbuf *> packets) noexcept {
        const auto size = static_cast<std::uint16_t>(packets.size());
        const std::uint16_t sent = rte_eth_tx_burst(port, queue, packets.data(), size);
        if (sent == size) [[likely]] return;
        count_drops(wire::DropReason::tx_full, size - sent);
        rte_pktmbuf_free_bulk(&packets[sent], size - sent);
    }

    /// What the kernel sends by the port's twin leaves by the port's first queue.
    unsigned send_for_kernel(const PortQueue &queue, std::uint16_t port, std::span<rte_mbuf *> packets) noexcept {
        if (queue.queue != 0 || queue.twin->from_kernel().is_empty()) return 0;
        const auto taken = take_from_kernel(queue.twin->from_kernel(), queue.pool, packets);
        if (taken != 0) send(port, queue.queue, packets.first(taken));
        return taken;
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
            if (queue.queue != 0 || port == Port::kNoId || rte_eth_stats_get(port, &stats) != 0) continue;
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
