// SPDX-License-Identifier: Apache-2.0
// What perf/instructions/count has counted: bursts through the packet path as the dataplane compiles it, over mbufs, one way per run.
// IPv4 TCP over GUE, 1,000 flows, 100 backends.
//
//   count_path established   their packets in mid-flow
//   count_path many          the same of 1,000 backends, whose lines are not all near
//   count_path new           SYNs of flows that nobody knows yet
//   count_path compiler      prints what compiled it, and the packets that a run counts
#include "dataplane/core/packet_path.hpp"
#include "dataplane/io/mbuf_access.hpp"

#include "perf/bench/offer.hpp"
#include "tests/unit/core/snapshot_fixture.hpp"
#include "tests/unit/core/worker_fixture.hpp"

#include <array>
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

constexpr unsigned kBursts = 1000;
constexpr unsigned kBurstSize = core::kBurstSizeMax; // as the worker's loop
constexpr wire::u32 kFlows = 1000;
constexpr std::size_t kTableEntries = 1 << 18; // a quarter full at the end: new flows find room in one of their lines
constexpr wire::u64 kNow_ns = 1'000'000'000;

/// Packet buffers as a pool lays them out, without a pool.
class Packets {
  public:
    Packets() {
        for (unsigned i = 0; i < kBurstSize; ++i) packets_[i] = reinterpret_cast<rte_mbuf *>(memory_.span().data() + i * kSpace);
    }
    [[nodiscard]] std::span<rte_mbuf *> first(unsigned count) { return std::span(packets_).first(count); }
    void write(unsigned i, wire::u32 flow, wire::u8 tcp_flags) {
        rte_mbuf &packet = *packets_[i];
        packet.buf_addr = packets_[i] + 1;
        packet.data_off = RTE_PKTMBUF_HEADROOM;
        packet.nb_segs = 1;
        packet.data_len = kFrameLength;
        packet.pkt_len = kFrameLength;
        write_frame(rte_pktmbuf_mtod(packets_[i], wire::u8 *), flow, tcp_flags);
    }

  private:
    static constexpr std::size_t kSpace = 512;
    HugeMemory memory_{kBurstSize * kSpace};
    std::array<rte_mbuf *, kBurstSize> packets_;
};

/// Which counter tells that packets went the way that is counted.
const wire::u64 &progress(const test::Worker &worker, bool is_new) {
    return is_new ? worker.counters.connections_opened : worker.counters.by_connection;
}

} // namespace

/// The name that count collects under. Not inlined, and no tail call: it would end before what it calls.
extern "C" [[gnu::noinline]] void counted(core::Pipeline &pipeline, const core::Generation &generation, std::span<rte_mbuf *> burst) {
    pipeline.process(&generation, burst, core::MacAddress{}, kNow_ns);
    asm volatile("" ::: "memory");
}

int main(int argument_count, char **arguments) {
    const std::string_view mode = argument_count == 2 ? arguments[1] : "";
    if (mode == "compiler") {
        std::printf("%s\n%u\n", kCompiler, kBursts * kBurstSize);
        return 0;
    }
    if (mode != "established" && mode != "many" && mode != "new") {
        std::fputs("usage: count_path established|many|new|compiler\n", stderr);
        return 2;
    }
    const auto snapshot = test::Snapshot::with_backends(mode == "many" ? 1000 : 100);
    const auto built = snapshot.build();
    test::Worker worker(kTableEntries);
    Packets packets;
    for (wire::u32 flow = 0; flow < kFlows; ++flow)
        for (const wire::u8 flags : {wire::u8{wire::kTcpSyn}, wire::u8{wire::kTcpAck}}) {
            packets.write(0, flow, flags);
            worker.pipeline.process(built.generation.get(), packets.first(1), core::MacAddress{}, kNow_ns);
        }

    const bool is_new = mode == "new";
    const wire::u64 before = progress(worker, is_new);
    wire::u32 flow = is_new ? kFlows : 0;
    for (unsigned burst = 0; burst < kBursts; ++burst) {
        for (unsigned i = 0; i < kBurstSize; ++i, ++flow) packets.write(i, is_new ? flow : flow % kFlows, is_new ? wire::kTcpSyn : wire::kTcpAck);
        counted(worker.pipeline, *built.generation, packets.first(kBurstSize));
    }
    const wire::u64 decided = progress(worker, is_new) - before;
    if (decided == kBursts * kBurstSize) return 0;
    std::fprintf(stderr, "count_path: %s: %llu packets of %u went the way they were to be counted on\n", arguments[1],
                 static_cast<unsigned long long>(decided), kBursts * kBurstSize);
    return 1;
}
