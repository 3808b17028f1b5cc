// SPDX-License-Identifier: Apache-2.0
// The packet path without ports: established IPv4 TCP flows drawn at random, every packet with headers of its own,
// written just before it is offered. The yardstick swaps MAC addresses on the same frames.
#include "dataplane/core/pipeline.hpp"

#include "perf/bench/offer.hpp"
#include "tests/unit/core/snapshot_fixture.hpp"
#include "tests/unit/core/worker_fixture.hpp"

#include <benchmark/benchmark.h>

using namespace fairlead;
using namespace fairlead::bench;
using namespace fairlead::core;
using namespace fairlead::wire;

namespace {

void macswap(benchmark::State &state) {
    Offer offer(static_cast<u32>(state.range(0)));
    for (auto _ : state) {
        for (Frame &frame : offer.next()) {
            u8 swap[6];
            std::memcpy(swap, frame.data, 6);
            std::memcpy(frame.data, frame.data + 6, 6);
            std::memcpy(frame.data + 6, swap, 6);
            benchmark::DoNotOptimize(frame.data);
        }
    }
    state.SetItemsProcessed(state.iterations() * kBurst);
}

void full(benchmark::State &state) {
    const u32 flows = static_cast<u32>(state.range(0));
    const auto snapshot = test::Snapshot::with_backends(100);
    const auto built = snapshot.build();
    test::Worker worker(1 << 24);
    std::vector<u8> packet(kFrameSpace);
    for (u32 flow = 0; flow < flows; ++flow)
        for (u8 flags : {u8{kTcpSyn}, u8{kTcpAck}}) {
            write_frame(packet.data() + kHeadroom, flow, flags);
            Frame frame = frame_at(packet.data() + kHeadroom);
            worker.pipeline.process(built.generation.get(), {&frame, 1}, {}, 1'000'000'000);
        }
    Offer offer(flows);
    u64 hash = 0;
    for (auto _ : state) {
        auto burst = offer.next();
        worker.pipeline.process(built.generation.get(), burst, {}, 1'000'000'000);
        hash += burst[0].data[47];
    }
    state.SetItemsProcessed(state.iterations() * kBurst);
    state.counters["by_connection"] = static_cast<double>(worker.counters.by_connection) / static_cast<double>(worker.counters.forwarded_packets);
    state.counters["result"] = static_cast<double>(hash % 1000);
}

BENCHMARK(macswap)->Arg(1000)->Arg(1'000'000);
BENCHMARK(full)->Arg(1)->Arg(1000)->Arg(100'000)->Arg(1'000'000)->Arg(10'000'000);

} // namespace

BENCHMARK_MAIN();
