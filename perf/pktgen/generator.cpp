// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/generator.hpp"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <sys/prctl.h>

#include <algorithm>
#include <ctime>

namespace fairlead::pktgen {

using namespace wire;

namespace {

constexpr u64 kSecond_ns = 1'000'000'000;
constexpr u64 kDrain_ns = kSecond_ns;
constexpr u64 kQuiet_ns = 50'000'000; // once all are back: duplicates would have come by then

// What a sender that was late makes up for: a millisecond where the CPU is its own, several time slices where it is not.
constexpr u64 kPollDepth_ns = 1'000'000;
constexpr u64 kBackoffDepth_ns = 20'000'000;

constexpr u64 kSleepMin_ns = 5'000; // shorter ones take longer than they say
constexpr u64 kSleepMax_ns = 50'000;

} // namespace

Generator::Generator(Setup setup, FlowTable &flows, const std::atomic<bool> &stop)
    : setup_(std::move(setup)), flows_(flows), stop_(stop), clock_(setup_.ticks_per_s) {}

Generator::~Generator() { take_back_unsent(); }

Trial Generator::open_flows(double rate_pps) noexcept {
    is_opening_ = true;
    const Trial trial = run(rate_pps, ~u64{0});
    is_opening_ = false;
    return trial;
}

Trial Generator::run_trial(double rate_pps, double seconds) noexcept {
    return run(rate_pps, static_cast<u64>(seconds * static_cast<double>(kSecond_ns)));
}

Trial Generator::run(double rate_pps, u64 duration_ns) noexcept {
    ::prctl(PR_SET_TIMERSLACK, 1UL); // of this thread: else the kernel rounds its short sleeps up by 50 us
    trial_ = {};
    trial_.asked_pps = rate_pps;
    flows_.start_trial();
    const u64 missed_before = missed();
    u64 now_ns = trial_start_ns_ = clock_.now_ns();
    Pacer pacer(rate_pps, now_ns, setup_.idle == io::Idle::kPoll ? kPollDepth_ns : kBackoffDepth_ns);
    while (!stop_.load(std::memory_order_relaxed) && now_ns - trial_start_ns_ < duration_ns && !(is_opening_ && flows_.room() == 0 && pushed_count_ == made_count_)) {
        const unsigned moved = receive() + transmit(pacer);
        now_ns = clock_.now_ns();
        if (moved == 0) rest(pacer.wait_ns(now_ns));
    }
    trial_.seconds = static_cast<double>(now_ns - trial_start_ns_) / static_cast<double>(kSecond_ns);
    drain();
    trial_.receive_missed = missed() - missed_before;
    trial_.flows = flows_.counts();
    return trial_;
}

/// Waits for what is on its way.
void Generator::drain() noexcept {
    const u64 start_ns = clock_.now_ns();
    u64 last_ns = start_ns;
    for (u64 now_ns = start_ns; now_ns - start_ns < kDrain_ns; now_ns = clock_.now_ns()) {
        if (receive() + push() != 0) last_ns = now_ns;
        else rest(kSleepMax_ns);
        if (trial_.returned >= trial_.sent && now_ns - last_ns >= kQuiet_ns && pushed_count_ == made_count_) break;
        if (stop_.load(std::memory_order_relaxed) && now_ns - last_ns >= kQuiet_ns) break;
    }
    take_back_unsent();
}

unsigned Generator::transmit(Pacer &pacer) noexcept {
    if (pushed_count_ == made_count_) {
        const unsigned most = is_opening_ ? std::min<unsigned>(flows_.room(), kBurstSize) : kBurstSize;
        const unsigned count = pacer.due(clock_.now_ns(), most);
        if (count == 0) return 0;
        make_burst(count);
        pacer.take(made_count_);
    }
    return push();
}

/// In two rounds, so that the records of a burst, each a cache miss where there are many flows, come together.
void Generator::make_burst(unsigned count) noexcept {
    made_count_ = pushed_count_ = 0;
    if (rte_pktmbuf_alloc_bulk(setup_.pool, packets_.data(), count) != 0) return; // all are still with the port
    for (unsigned i = 0; i < count; ++i) {
        packet_flows_[i] = choose_flow();
        rte_prefetch0(&flows_.record(packet_flows_[i]));
    }
    const u64 now_ns = clock_.now_ns();
    for (unsigned i = 0; i < count; ++i) {
        const auto &frame = setup_.templates[setup_.sizes[next_size_]];
        next_size_ = next_size_ + 1 < setup_.sizes.size() ? next_size_ + 1 : 0;
        FlowRecord &record = flows_.record(packet_flows_[i]);
        const bool opens = record.next_sequence == 0;
        const Stamp stamp{.time_ns = now_ns, .flow = record.id, .sequence = record.next_sequence++};
        ++record.sent;
        rte_mbuf *packet = packets_[i];
        packet->data_len = frame.length();
        packet->pkt_len = frame.length();
        frame.write(rte_pktmbuf_mtod(packet, u8 *), flows_.client(record.id), stamp, opens);
    }
    made_count_ = count;
}

u32 Generator::choose_flow() noexcept {
    if (is_opening_) return flows_.open();
    opening_due_ += setup_.opening_share;
    if (opening_due_ < 1) return flows_.pick(static_cast<u32>(random_.next() >> 32));
    opening_due_ -= 1;
    return flows_.open();
}

/// Gives the port what it has not taken yet.
unsigned Generator::push() noexcept {
    if (pushed_count_ == made_count_) return 0;
    u64 bytes = 0;
    std::array<std::uint16_t, kBurstSize> lengths; // the port owns what it has taken
    for (unsigned i = pushed_count_; i < made_count_; ++i) lengths[i] = packets_[i]->data_len;
    const unsigned sent = rte_eth_tx_burst(setup_.send_port, 0, packets_.data() + pushed_count_,
                                           static_cast<std::uint16_t>(made_count_ - pushed_count_));
    for (unsigned i = 0; i < sent; ++i) bytes += lengths[pushed_count_ + i] + kCrcSize;
    pushed_count_ += sent;
    trial_.sent += sent;
    trial_.sent_bytes += bytes;
    return sent;
}

/// What the port has not taken was never sent: the last packets of their flows, since a port takes them in order. A flow
/// that has thereby sent nothing opens with the next packet that it gets.
void Generator::take_back_unsent() noexcept {
    for (; pushed_count_ < made_count_; ++pushed_count_) {
        FlowRecord &record = flows_.record(packet_flows_[pushed_count_]);
        --record.sent;
        --record.next_sequence;
        rte_pktmbuf_free(packets_[pushed_count_]);
    }
}

unsigned Generator::receive() noexcept {
    unsigned sum = 0;
    for (const auto &queue : setup_.receive_queues) {
        std::array<rte_mbuf *, kBurstSize> packets;
        const std::uint16_t received = rte_eth_rx_burst(queue.port, queue.queue, packets.data(), kBurstSize);
        if (received == 0) continue;
        const u64 now_ns = clock_.now_ns();
        std::array<Returned, kBurstSize> returned;
        unsigned count = 0;
        for (unsigned i = 0; i < received; ++i) rte_prefetch0(rte_pktmbuf_mtod(packets[i], const void *));
        for (unsigned i = 0; i < received; ++i) {
            const auto found = read_stamp({rte_pktmbuf_mtod(packets[i], const u8 *), packets[i]->data_len}, now_ns);
            if (!found) continue;
            returned[count++] = *found;
            rte_prefetch0(&flows_.record(found->stamp.flow));
        }
        rte_pktmbuf_free_bulk(packets.data(), received);
        trial_.unrecognised += received - count;
        account({returned.data(), count}, now_ns);
        sum += received;
    }
    return sum;
}

void Generator::account(std::span<const Returned> burst, u64 now_ns) noexcept {
    for (const auto &packet : burst) {
        if (packet.stamp.time_ns < trial_start_ns_ || packet.stamp.time_ns > now_ns) {
            ++trial_.stale;
            continue;
        }
        const Return kind = flows_.take_back(packet);
        if (kind == Return::kUnknown) {
            ++trial_.unrecognised;
            continue;
        }
        trial_.returned += kind == Return::kFirst;
        trial_.latency_ns.add(now_ns - packet.stamp.time_ns);
    }
}

/// After a loop in which nothing was to do.
void Generator::rest(u64 wait_ns) const noexcept {
    if (setup_.idle == io::Idle::kPoll || wait_ns < kSleepMin_ns) {
        rte_pause();
        return;
    }
    const timespec sleep{.tv_sec = 0, .tv_nsec = static_cast<long>(std::min(wait_ns, kSleepMax_ns))};
    ::nanosleep(&sleep, nullptr);
}

u64 Generator::missed() const noexcept {
    u64 sum = 0;
    for (const auto &queue : setup_.receive_queues) {
        rte_eth_stats stats{};
        if (queue.queue == 0 && rte_eth_stats_get(queue.port, &stats) == 0) sum += stats.imissed + stats.rx_nombuf;
    }
    return sum;
}

} // namespace fairlead::pktgen
