// SPDX-License-Identifier: Apache-2.0
// What perf/instructions/count has counted: bursts through the packet path, one way per run. IPv4 TCP over GUE, 1,000 flows, 100 backends.
//
//   count_path established   their packets in mid-flow
//   count_path new           SYNs of flows that nobody knows yet
//   count_path compiler      prints what compiled it, and the packets that a run counts
#include "dataplane/core/pipeline.hpp"

#include "perf/bench/offer.hpp"
#include "tests/unit/core/snapshot_fixture.hpp"
#include "tests/unit/core/worker_fixture.hpp"

#include <cstdio>
#include <string_view>

using namespace fairlead;
using namespace fairlead::bench;

namespace {

#ifdef __clang__
constexpr const char *kCompiler = __VERSION__;
#else
constexpr const char *kCompiler = "g++ " __VERSION__;
#endif

constexpr unsigned kBursts = 2000;
constexpr wire::u32 kFlows = 1000;
constexpr std::size_t kTableEntries = 1 << 18; // a quarter full at the end: new flows find room in one of their lines
constexpr wire::u64 kNow_ns = 1'000'000'000;

} // namespace

/// The name that count collects under. Not inlined, and no tail call: it would end before what it calls.
extern "C" [[gnu::noinline]] void counted(core::Pipeline &pipeline, const core::Generation &generation, std::span<core::Frame> burst) {
    pipeline.process(&generation, burst, {}, kNow_ns);
    asm volatile("" ::: "memory");
}

int main(int argument_count, char **arguments) {
    const std::string_view mode = argument_count == 2 ? arguments[1] : "";
    if (mode == "compiler") {
        std::printf("%s\n%u\n", kCompiler, kBursts * kBurst);
        return 0;
    }
    if (mode != "established" && mode != "new") {
        std::fputs("usage: count_path established|new|compiler\n", stderr);
        return 2;
    }
    const auto snapshot = test::Snapshot::with_backends(100);
    const auto built = snapshot.build();
    test::Worker worker(kTableEntries);
    const Buffers buffers(kBurst);
    std::array<core::Frame, kBurst> frames;
    for (wire::u32 flow = 0; flow < kFlows; ++flow)
        for (const wire::u8 flags : {wire::u8{wire::kTcpSyn}, wire::u8{wire::kTcpAck}}) {
            write_frame(buffers.data(0), flow, flags);
            frames[0] = frame_at(buffers.data(0));
            worker.pipeline.process(built.generation.get(), std::span(frames).first(1), {}, kNow_ns);
        }

    const bool is_new = mode == "new";
    const wire::u64 before = is_new ? worker.counters.connections_opened : worker.counters.by_connection;
    wire::u32 flow = is_new ? kFlows : 0;
    for (unsigned burst = 0; burst < kBursts; ++burst) {
        for (unsigned i = 0; i < kBurst; ++i, ++flow) {
            write_frame(buffers.data(i), is_new ? flow : flow % kFlows, is_new ? wire::kTcpSyn : wire::kTcpAck);
            frames[i] = frame_at(buffers.data(i));
        }
        counted(worker.pipeline, *built.generation, frames);
    }
    const wire::u64 decided = (is_new ? worker.counters.connections_opened : worker.counters.by_connection) - before;
    if (decided == kBursts * kBurst) return 0;
    std::fprintf(stderr, "count_path: %s: %llu packets of %u went the way they were to be counted on\n", arguments[1],
                 static_cast<unsigned long long>(decided), kBursts * kBurst);
    return 1;
}
