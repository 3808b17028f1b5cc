// SPDX-License-Identifier: Apache-2.0
/// A worker: one thread that receives, decides and sends; the only code that touches packets.
///
/// It shares nothing that it writes: its queues, its connection tables and its counters are its own. What it
/// reads and others write is the generation (GenerationStore) and the word to stop.
#pragma once

#include "dataplane/core/pipeline.hpp"
#include "dataplane/io/generation_store.hpp"
#include "dataplane/io/options.hpp"
#include "dataplane/io/table_memory.hpp"
#include "dataplane/io/tsc_clock.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

struct rte_mbuf;

namespace fairlead::io {

/// One queue pair that a worker serves.
struct PortQueue {
    std::uint16_t port;
    std::uint16_t queue;
    core::MacAddress mac;      ///< link-layer source of what leaves
    bool waits_for_generation; ///< a capture is not read before there is something to decide by
    wire::u64 missed = 0;      ///< packets that the port has said it missed; asked of queue 0 alone, it counts by port
};

class Worker {
  public:
    struct Setup {
        unsigned index;
        core::CounterBlock counters;
        unsigned mtu;
        Idle idle;
        std::vector<PortQueue> queues;
        TableMemory connections;
        TableMemory wide_connections;
        bool counts_inherited = false; ///< one worker does
    };

    /// @param stop set by the main thread when the worker is to end.
    Worker(Setup setup, GenerationStore &store, const std::atomic<bool> &stop);

    /// Takes over the connections in its tables' memory; on the worker's own lcore, before run().
    void adopt() noexcept { adopted_ = pipeline_.adopt(); }
    [[nodiscard]] const core::TableAdoption &adopted() const { return adopted_; }

    /// The loop, on the worker's own lcore.
    void run() noexcept;

  private:
    static constexpr std::uint16_t kBurstSize = 32;
    static_assert(kBurstSize <= core::kBurstSizeMax);

    [[nodiscard]] unsigned serve(const PortQueue &queue, wire::u64 now_ns) noexcept;
    [[nodiscard]] std::uint16_t fill_frames(std::span<rte_mbuf *> packets, std::span<core::Frame> frames) noexcept;
    [[nodiscard]] std::uint16_t settle(std::span<rte_mbuf *> packets, std::span<const core::Frame> frames) noexcept;
    [[nodiscard]] std::array<TableHeader *, 2> tables() const {
        return {&setup_.connections.header(), &setup_.wide_connections.header()};
    }
    void follow_key(const core::Generation &generation) noexcept;
    void forget_next() noexcept;
    void count_missed() noexcept;
    void rest() noexcept;

    Setup setup_;
    GenerationStore &store_;
    const std::atomic<bool> &stop_;
    TscClock clock_;
    core::Pipeline pipeline_;
    unsigned idle_loops_ = 0;          ///< loops in a row without a packet
    wire::u64 next_housekeeping_ns_ = 0;
    wire::u64 next_count_missed_ns_ = 0;
    core::TableAdoption adopted_;
    wire::u64 key_number_ = 0;         ///< generation whose key was compared last
    wire::u64 key_digest_ = 0;         ///< of that key
    bool is_forgetting_ = false;       ///< the tables were filled under another key
};

} // namespace fairlead::io
