// SPDX-License-Identifier: Apache-2.0
/// The generator and meter: one thread that sends what is due and counts what returns.
///
/// Latency is from when a burst of at most 32 packets was made to when the burst that it returned in was read. A trial
/// ends with a second in which nothing is sent: only what is still missing then is lost.
#pragma once

#include "dataplane/io/options.hpp"
#include "dataplane/io/tsc_clock.hpp"
#include "perf/pktgen/flow_table.hpp"
#include "perf/pktgen/frame_template.hpp"
#include "perf/pktgen/pacer.hpp"
#include "perf/pktgen/trial.hpp"
#include "perf/xorshift.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

struct rte_mbuf;
struct rte_mempool;

namespace fairlead::pktgen {

struct ReceiveQueue {
    std::uint16_t port;
    std::uint16_t queue;
};

class Generator {
  public:
    struct Setup {
        std::uint16_t send_port; ///< its queue 0
        rte_mempool *pool;       ///< that queue's
        std::vector<ReceiveQueue> receive_queues;
        std::vector<FrameTemplate> templates;
        std::vector<wire::u8> sizes; ///< which template a packet has, over and over
        double opening_share;        ///< of packets that open a flow, once all are open
        io::Idle idle;
        wire::u64 ticks_per_s;
    };

    /// @param stop set from outside when all is to end.
    Generator(Setup setup, FlowTable &flows, const std::atomic<bool> &stop);
    ~Generator();
    Generator(const Generator &) = delete;
    Generator &operator=(const Generator &) = delete;

    /// Opens the flows that are not open yet, one packet each.
    [[nodiscard]] Trial open_flows(double rate_pps) noexcept;

    [[nodiscard]] Trial run_trial(double rate_pps, double seconds) noexcept;

  private:
    static constexpr std::uint16_t kBurstSize = 32;

    [[nodiscard]] Trial run(double rate_pps, wire::u64 duration_ns) noexcept;
    void drain() noexcept;
    [[nodiscard]] unsigned transmit(Pacer &pacer) noexcept;
    void make_burst(unsigned count) noexcept;
    [[nodiscard]] wire::u32 choose_flow() noexcept; ///< of a packet that is to be made
    [[nodiscard]] unsigned push() noexcept;
    void take_back_unsent() noexcept;
    [[nodiscard]] unsigned receive() noexcept;
    void account(std::span<const Returned> burst, wire::u64 now_ns) noexcept;
    void rest(wire::u64 wait_ns) const noexcept;
    [[nodiscard]] wire::u64 missed() const noexcept;

    Setup setup_;
    FlowTable &flows_;
    const std::atomic<bool> &stop_;
    io::TscClock clock_;
    perf::Xorshift random_{0x9e3779b97f4a7c15};
    std::size_t next_size_ = 0;
    double opening_due_ = 0; ///< flows to open, in parts
    bool is_opening_ = false;
    wire::u64 trial_start_ns_ = 0;
    Trial trial_;

    // Made, and not yet taken by the port; a port that is full gets them again before anything new is made.
    std::array<rte_mbuf *, kBurstSize> packets_{};
    std::array<wire::u32, kBurstSize> packet_flows_{};
    unsigned made_count_ = 0;
    unsigned pushed_count_ = 0;
};

} // namespace fairlead::pktgen
