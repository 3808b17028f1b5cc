// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/worker.hpp"

#include "dataplane/core/key_digest.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace fairlead::io {

namespace {

constexpr wire::u64 kHousekeepingPeriod_ns = 1'000'000;
constexpr wire::u64 kCountMissedPeriod_ns = 500'000'000; // a system call a port on AF_XDP

// Sleeping gives the CPU to others for little latency: longest 100 us, in which 50,000 packets a second bring 5.
constexpr unsigned kLoopsBeforeSleep = 64;
constexpr long kSleepMin_ns = 10'000;
constexpr long kSleepMax_ns = 100'000;

} // namespace

Worker::Worker(Setup setup, GenerationStore &store, const std::atomic<bool> &stop)
    : setup_(std::move(setup)), store_(store), stop_(stop),
      pipeline_({.counters = setup_.counters,
                 .connection_memory = setup_.connections.bytes(),
                 .wide_connection_memory = setup_.wide_connections.bytes(),
                 .mtu = setup_.mtu,
                 .has_kernel = false,
                 .counts_inherited = setup_.counts_inherited}) {} // an AF_XDP port's steering program has left the kernel its own already

void Worker::run() noexcept {
    ::prctl(PR_SET_TIMERSLACK, 1UL); // else the kernel rounds short sleeps up by 50 us
    store_.start_reading(setup_.index);
    while (!stop_.load(std::memory_order_relaxed)) {
        const wire::u64 now_ns = clock_.now_ns();
        const core::Generation *generation = store_.current();
        if (generation && generation->number() != key_number_) [[unlikely]] follow_key(*generation);
        if (is_forgetting_) [[unlikely]] forget_next();
        pipeline_.consult(store_.inherited());
        unsigned received = 0;
        for (const auto &queue : setup_.queues) received += serve(queue, now_ns);
        if (now_ns >= next_housekeeping_ns_) {
            next_housekeeping_ns_ = now_ns + kHousekeepingPeriod_ns;
            pipeline_.housekeep(store_.current(), now_ns);
            if (now_ns >= next_count_missed_ns_) {
                count_missed();
                clock_.set_right();
                next_count_missed_ns_ = now_ns + kCountMissedPeriod_ns;
            }
        }
        store_.quiescent(setup_.index);
        if (received != 0) idle_loops_ = 0;
        else rest();
    }
    store_.stop_reading(setup_.index);
}

unsigned Worker::serve(const PortQueue &queue, wire::u64 now_ns) noexcept {
    if (queue.waits_for_generation && store_.current() == nullptr) return 0;
    std::array<rte_mbuf *, kBurstSize> packets;
    const std::uint16_t received = rte_eth_rx_burst(queue.port, queue.queue, packets.data(), kBurstSize);
    if (received == 0) return 0;
    // Once, so that one generation decides all packets of the burst; and after they came, so that none that arrived after
    // the control plane was told of an adoption is decided by an older one.
    const core::Generation *generation = store_.current();

    std::array<core::Frame, kBurstSize> frames;
    const auto count = fill_frames({packets.data(), received}, frames);
    const std::span burst(frames.data(), count);
    pipeline_.process(generation, burst, queue.mac, now_ns);
    const auto sendable = settle({packets.data(), count}, burst);

    const std::uint16_t sent = rte_eth_tx_burst(queue.port, queue.queue, packets.data(), sendable);
    for (unsigned i = sent; i < sendable; ++i) {
        pipeline_.count_drop(wire::DropReason::tx_full);
        rte_pktmbuf_free(packets[i]);
    }
    return received;
}

/// Describes packets to core/. Those that came in several buffers drop here; the rest moves up.
std::uint16_t Worker::fill_frames(std::span<rte_mbuf *> packets, std::span<core::Frame> frames) noexcept {
    std::uint16_t count = 0;
    for (rte_mbuf *packet : packets) {
        if (packet->nb_segs != 1) [[unlikely]] {
            core::add(setup_.counters.worker->received_packets);
            core::add(setup_.counters.worker->received_bytes, packet->pkt_len);
            pipeline_.count_drop(wire::DropReason::segmented);
            rte_pktmbuf_free(packet);
            continue;
        }
        auto *data = rte_pktmbuf_mtod(packet, wire::u8 *);
        rte_prefetch0(data);
        frames[count] = {.data = data, .length = packet->data_len, .headroom = rte_pktmbuf_headroom(packet), .verdict = {}, .reason = {}};
        packets[count++] = packet;
    }
    return count;
}

/// Frees what is not forwarded, counted by core, and moves the rest up, with the frames' new bounds.
std::uint16_t Worker::settle(std::span<rte_mbuf *> packets, std::span<const core::Frame> frames) noexcept {
    std::uint16_t sendable = 0;
    for (std::size_t i = 0; i < packets.size(); ++i) {
        rte_mbuf *packet = packets[i];
        const core::Frame &frame = frames[i];
        if (frame.verdict != core::Verdict::kForward && frame.verdict != core::Verdict::kReply) [[unlikely]] {
            rte_pktmbuf_free(packet);
            continue;
        }
        packet->data_off = static_cast<std::uint16_t>(frame.data - static_cast<const wire::u8 *>(packet->buf_addr));
        packet->data_len = static_cast<std::uint16_t>(frame.length);
        packet->pkt_len = frame.length;
        packets[sendable++] = packet;
    }
    return sendable;
}

/// Tables that were filled under another flow-hash key have each entry in a wrong line: they are emptied between bursts.
/// Their files say which key's they are: none's, while they are being emptied.
void Worker::follow_key(const core::Generation &generation) noexcept {
    key_number_ = generation.number();
    key_digest_ = core::key_digest(generation.hash_key());
    pipeline_.hold_unknown(generation.number() == store_.restored_number());
    if (is_forgetting_) return; // when that is done, the tables are this key's
    is_forgetting_ = std::ranges::any_of(tables(), [this](const TableHeader *table) {
        return table->key_digest != 0 && table->key_digest != key_digest_; // 0: it is empty
    });
    for (TableHeader *table : tables()) table->key_digest = is_forgetting_ ? 0 : key_digest_;
    if (is_forgetting_) pipeline_.start_forgetting();
}

void Worker::forget_next() noexcept {
    if (pipeline_.forget_next()) return;
    is_forgetting_ = false;
    for (TableHeader *table : tables()) table->key_digest = key_digest_;
}

/// What a device dropped for want of room in its receive queue is dropped by us: it gets a name, too.
void Worker::count_missed() noexcept {
    for (auto &queue : setup_.queues) {
        rte_eth_stats stats{};
        if (queue.queue != 0 || rte_eth_stats_get(queue.port, &stats) != 0) continue;
        core::add(setup_.counters.worker->drops[static_cast<unsigned>(wire::DropReason::rx_missed)], stats.imissed - queue.missed);
        queue.missed = stats.imissed;
    }
}

/// After a loop without packets.
void Worker::rest() noexcept {
    core::add(setup_.counters.worker->polls_empty);
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

} // namespace fairlead::io
