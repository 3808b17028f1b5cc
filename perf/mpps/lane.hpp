// SPDX-License-Identifier: Apache-2.0
/// A worker under measurement: its port, what is offered there, and the loop over each pipeline.
#pragma once

#include "dataplane/io/counters_file.hpp"
#include "dataplane/io/port.hpp"
#include "perf/mpps/offer.hpp"
#include "perf/mpps/paths.hpp"

#include <atomic>
#include <cstdint>
#include <optional>

namespace fairlead::mpps {

enum class Pipeline { kFull, kMacswap, kIo, kArithmetic };

class Lane {
  public:
    /// @param stop the word to stop of all lanes' loops.
    Lane(const Options &options, unsigned index, io::Port &port, io::TableMemory connections, wire::CounterBlock &counters, io::GenerationStore &store,
         std::atomic<bool> &stop);

    /// What one round has brought. Work is packets, or turns of the loop of pure arithmetic.
    struct Round {
        std::uint64_t work = 0;
        double seconds = 0;
        [[nodiscard]] double per_second() const { return static_cast<double>(work) / seconds; }
        [[nodiscard]] double ns() const { return 1e9 * seconds / static_cast<double>(work); }
    };

    /// On the lane's own lcore, what was planned, until the word to stop.
    void run();

    // Between rounds.

    void plan(Pipeline pipeline) { pipeline_ = pipeline, pass_flags_.reset(); }
    /// Each flow once, with these TCP flags; stops by itself. Notes each flow's backend.
    void plan_pass(std::uint8_t tcp_flags) { pass_flags_ = tcp_flags; }
    [[nodiscard]] const Round &round() const { return round_; }
    [[nodiscard]] std::uint64_t offered() const { return offer_.offered(); }
    [[nodiscard]] std::uint64_t moved() const { return witness_.moved(); }
    [[nodiscard]] const wire::WorkerCounters &counters() const { return counters_.worker; }
    /// Forgets the flows that were half open in the last round, so that the next finds the same table.
    void forget_new_flows(const core::Generation &generation);

  private:
    template <class Path> [[nodiscard]] io::PollLoop<Path> loop_over(Path &path);

    unsigned index_;
    const io::Port &port_;
    wire::CounterBlock &counters_;
    io::GenerationStore &store_;
    const std::atomic<bool> &stop_;
    io::TscClock clock_;
    Offer offer_;
    io::Forwarder forwarder_;
    WitnessPath witness_;
    MacswapPath macswap_;
    IoPath io_;
    io::PollLoop<io::Forwarder> full_loop_;
    io::PollLoop<WitnessPath> witness_loop_;
    io::PollLoop<MacswapPath> macswap_loop_;
    io::PollLoop<IoPath> io_loop_;
    Pipeline pipeline_ = Pipeline::kFull;
    std::optional<std::uint8_t> pass_flags_; ///< planned: a pass
    Round round_;
};

} // namespace fairlead::mpps
