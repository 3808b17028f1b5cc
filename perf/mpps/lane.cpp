// SPDX-License-Identifier: Apache-2.0
#include "perf/mpps/lane.hpp"

#include <algorithm>

namespace fairlead::mpps {

namespace {

constexpr unsigned kMtu = 2000; // of the way to the backends: no frame is too big for its outer headers
constexpr wire::u64 kHalfOpenTimeout_ns = 31'000'000'000;

io::TableMemory small_table() {
    auto table = io::TableMemory::allocate(core::connection_memory_bytes<core::WideKey>(1024), false);
    if (!table) throw std::runtime_error(table.error());
    return std::move(*table);
}

/// Nothing that another core, memory or a port has a say in: a chain of multiplications.
std::uint64_t compute(const std::atomic<bool> &stop, std::uint64_t &turns) {
    std::uint64_t x = 1;
    for (turns = 0; !stop.load(std::memory_order_relaxed); turns += 64)
        for (unsigned i = 0; i < 64; ++i) x = x * 0x2545f4914f6cdd1dull + 1;
    return x;
}

} // namespace

Lane::Lane(const Options &options, unsigned index, io::Port &port, io::TableMemory connections, wire::CounterBlock &counters, io::GenerationStore &store,
           std::atomic<bool> &stop)
    : index_(index), port_(port), counters_(counters), store_(store), stop_(stop), offer_(options, index, stop),
      forwarder_({.counters = counters, .mtu = kMtu, .connections = std::move(connections), .wide_connections = small_table()}, store),
      witness_(forwarder_, offer_.flows(), options.flows), full_loop_(loop_over(forwarder_)), witness_loop_(loop_over(witness_)),
      macswap_loop_(loop_over(macswap_)), io_loop_(loop_over(io_)) {
    offer_.attach(port.id());
}

template <class Path> io::PollLoop<Path> Lane::loop_over(Path &path) {
    return io::PollLoop<Path>({.index = index_, .idle = io::Idle::kPoll, .queues = {{.port = &port_.serving(), .queue = 0, .mac = port_.mac(), .waits_for_generation = false}},
                               .counters = &counters_.worker}, path, store_, stop_);
}

void Lane::run() {
    if (pass_flags_) {
        offer_.pass(*pass_flags_);
        witness_loop_.run();
        return;
    }
    offer_.draw();
    std::uint64_t turns = 0;
    const std::uint64_t offered_before = offer_.offered();
    const std::uint64_t begin_ns = clock_.now_ns();
    switch (pipeline_) {
    case Pipeline::kFull: full_loop_.run(); break;
    case Pipeline::kMacswap: macswap_loop_.run(); break;
    case Pipeline::kIo: io_loop_.run(); break;
    case Pipeline::kArithmetic: {
        volatile std::uint64_t result = compute(stop_, turns);
        (void)result;
    }
    }
    const std::uint64_t end_ns = clock_.now_ns();
    round_ = {.work = pipeline_ == Pipeline::kArithmetic ? turns : offer_.offered() - offered_before,
              .seconds = static_cast<double>(end_ns - begin_ns) / 1e9};
}

void Lane::forget_new_flows(const core::Generation &generation) {
    clock_.set_right();
    forwarder_.expire_all(generation, clock_.now_ns() + kHalfOpenTimeout_ns);
}

} // namespace fairlead::mpps
