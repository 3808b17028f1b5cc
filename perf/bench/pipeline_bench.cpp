// SPDX-License-Identifier: Apache-2.0
// The packet path without ports: established IPv4 TCP flows drawn at random, every packet with headers of its own,
// written just before it is offered. The yardstick swaps MAC addresses on the same frames.
#include "dataplane/core/pipeline.hpp"

#include "tests/unit/core/snapshot_fixture.hpp"
#include "tests/unit/core/worker_fixture.hpp"

#include <benchmark/benchmark.h>

#include <random>

using namespace fairlead;
using namespace fairlead::core;
using namespace fairlead::wire;

namespace {

constexpr unsigned kBurst = 32;
constexpr unsigned kBursts = 64; // frames in rotation: more than L1 holds
constexpr std::size_t kFrameSpace = 256;
constexpr u16 kHeadroom = 128;

/// Frames of 64 bytes in rotation, headers written anew for each burst.
class Offer {
  public:
    explicit Offer(u32 flows) : flows_(flows), memory_(kBursts * kBurst * kFrameSpace) {}

    std::span<Frame> next() {
        for (unsigned i = 0; i < kBurst; ++i) {
            u8 *data = memory_.span().data() ? reinterpret_cast<u8 *>(memory_.span().data()) + (next_ * kBurst + i) * kFrameSpace + kHeadroom : nullptr;
            write(data, static_cast<u32>((u64{static_cast<u32>(random_())} * flows_) >> 32));
            frames_[i] = {data, 60, kHeadroom, {}, {}};
        }
        next_ = (next_ + 1) % kBursts;
        return {frames_.data(), kBurst};
    }

    static void write(u8 *data, u32 flow, u8 flags = kTcpAck) {
        const EthernetHeader ethernet{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, Be16::from_host(kEtherTypeIpv4)};
        const Ipv4Header ip{0x45, 0, Be16::from_host(46), {}, {}, 64, kIpProtocolTcp, {}, Be32::from_host(0x0a000000 + (flow >> 10)), Be32::from_host(0xc633640a)};
        const TcpHeader tcp{Be16::from_host(static_cast<u16>(1024 + (flow & 1023))), Be16::from_host(80), {}, {}, 0x50, flags, {}, {}, {}};
        std::memcpy(data, &ethernet, sizeof ethernet);
        std::memcpy(data + 14, &ip, sizeof ip);
        std::memcpy(data + 34, &tcp, sizeof tcp);
    }

  private:
    u32 flows_;
    test::TableMemory memory_;
    std::array<Frame, kBurst> frames_;
    std::mt19937 random_{1};
    unsigned next_ = 0;
};

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
            Offer::write(packet.data() + kHeadroom, flow, flags);
            Frame frame{packet.data() + kHeadroom, 60, kHeadroom, {}, {}};
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
