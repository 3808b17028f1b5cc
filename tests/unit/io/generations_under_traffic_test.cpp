// SPDX-License-Identifier: Apache-2.0
// A thousand generations through the real worker loop and the real adoption while packets flow over
// memory-backed rings. Each generation changes the backend's address, the outer source and the DSCP together, so
// every packet that leaves must match exactly one of them: all three, or the packet was decided by a mixture.
#include "controlplane/publish/snapshot_builder.hpp"
#include "dataplane/io/adoption.hpp"
#include "dataplane/io/counters_file.hpp"
#include "dataplane/io/eal.hpp"
#include "dataplane/io/placement.hpp"
#include "dataplane/io/port.hpp"
#include "dataplane/io/worker.hpp"
#include "tests/unit/io/snapshot_sample.hpp"

#include <gtest/gtest.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <map>
#include <thread>

using namespace fairlead;
using namespace fairlead::io;
using namespace std::chrono_literals;

namespace {

constexpr wire::u64 kGenerations = 1000;
constexpr wire::u32 kVip = 0xc633640a;
constexpr wire::u64 kPacketsPerGeneration = 100; ///< at the least
constexpr wire::u64 kInFlightMax = 900;          ///< what the rings hold on either side of the worker

wire::Be32 backend_of(wire::u64 generation) { return wire::Be32::from_host(0x0a630000 | static_cast<wire::u32>(generation)); }
wire::Be32 source_of(wire::u64 generation) { return wire::Be32::from_host(0x0a620000 | static_cast<wire::u32>(generation)); }
wire::u8 dscp_of(wire::u64 generation) { return static_cast<wire::u8>(generation % 64); }

publish::ForwardingState state_of(wire::u64 generation) {
    publish::ForwardingState state;
    state.generation = generation;
    state.hops_segment_id = 10;
    state.source_address = source_of(generation);
    state.gue_port = wire::kGueDefaultPort;
    state.dscp = dscp_of(generation);
    state.services.push_back({.index = 0, .vip = wire::Be32::from_host(kVip), .port = 80, .protocol = wire::kIpProtocolTcp,
                              .forwarding = wire::kForwardingGue, .rows_segment_id = 11, .half_open_timeout_s = 30,
                              .established_timeout_s = 3600, .closing_timeout_s = 60, .udp_timeout_s = 60});
    state.slots.push_back({.slot = 0, .address = backend_of(generation), .epoch = static_cast<std::uint16_t>(generation),
                           .service = 0, .state = wire::kSlotUp, .mac = {2, 0, 0, 0, 0, 9}, .resolved = true});
    return state;
}

std::size_t resident_bytes() {
    std::ifstream statm("/proc/self/statm");
    std::size_t total = 0, resident = 0;
    statm >> total >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// The far side of the rings: offers SYNs and ACKs of many flows, and checks what comes out.
class Traffic {
  public:
    Traffic(const std::string &port, rte_mempool *pool)
        : in_(rte_ring_lookup((port + "-rx").c_str())), out_(rte_ring_lookup((port + "-tx").c_str())), pool_(pool) {}

    /// Offers as many as may be under way.
    void offer() {
        while (offered - returned < kInFlightMax) {
            rte_mbuf *packet = rte_pktmbuf_alloc(pool_);
            ASSERT_TRUE(packet != nullptr && fill(packet));
            ASSERT_EQ(rte_ring_enqueue(in_, packet), 0);
            ++offered;
        }
    }

    void drain() {
        void *packet = nullptr;
        while (rte_ring_dequeue(out_, &packet) == 0) {
            check(static_cast<rte_mbuf *>(packet));
            rte_pktmbuf_free(static_cast<rte_mbuf *>(packet));
        }
    }

    wire::u64 offered = 0, returned = 0, mixed = 0;
    std::map<wire::u64, wire::u64> by_generation;

  private:
    bool fill(rte_mbuf *packet) {
        constexpr wire::u16 kIpLength = sizeof(wire::Ipv4Header) + sizeof(wire::TcpHeader);
        auto *data = reinterpret_cast<wire::u8 *>(rte_pktmbuf_append(packet, sizeof(wire::EthernetHeader) + kIpLength));
        if (data == nullptr) return false;
        const wire::u32 flow = next_flow_++ % 4096;
        const wire::EthernetHeader ethernet{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, wire::Be16::from_host(wire::kEtherTypeIpv4)};
        const wire::Ipv4Header ip{0x45, 0, wire::Be16::from_host(kIpLength), {}, {}, 64, wire::kIpProtocolTcp, {},
                                  wire::Be32::from_host(0x0a0a0000 | flow), wire::Be32::from_host(kVip)};
        const wire::u8 flags = next_flow_ % 3 == 0 ? wire::u8{wire::kTcpSyn} : wire::u8{wire::kTcpAck};
        const wire::TcpHeader tcp{wire::Be16::from_host(40000), wire::Be16::from_host(80), {}, {}, 0x50, flags, {}, {}, {}};
        std::memcpy(data, &ethernet, sizeof ethernet);
        std::memcpy(data + sizeof ethernet, &ip, sizeof ip);
        std::memcpy(data + sizeof ethernet + sizeof ip, &tcp, sizeof tcp);
        return true;
    }

    void check(const rte_mbuf *packet) {
        ++returned;
        const auto *ip = rte_pktmbuf_mtod_offset(packet, const wire::Ipv4Header *, sizeof(wire::EthernetHeader));
        const wire::u64 generation = ip->destination.host() & 0xffff;
        ++by_generation[generation];
        mixed += !(ip->destination == backend_of(generation) && ip->source == source_of(generation) &&
                   ip->dscp_ecn >> 2 == dscp_of(generation));
    }

    rte_ring *in_;
    rte_ring *out_;
    rte_mempool *pool_;
    wire::u32 next_flow_ = 0;
};

TEST(GenerationsUnderTraffic, EveryPacketIsDecidedByExactlyOneAndNoneIsLost) {
    auto placement = place(allowed_cpus(), {}, 1, false);
    ASSERT_TRUE(placement) << placement.error();
    const auto eal = Eal::start({.placement = *placement, .hugepages = false, .memory_bytes = 192U << 20, .pci_addresses = {},
                                 .scratch_directory = testing::TempDir()});
    ASSERT_TRUE(eal) << eal.error();
    auto spec = parse_port_spec("ring:storm");
    ASSERT_TRUE(spec) << spec.error();
    auto plan = plan_port(*spec, 0, 1, 1500);
    ASSERT_TRUE(plan) << plan.error();
    auto port = Port::open(*plan);
    ASSERT_TRUE(port) << port.error();
    const auto counters = CountersFile::create(1);
    ASSERT_TRUE(counters) << counters.error();
    rte_mempool *pool = rte_pktmbuf_pool_create("offer", 8191, 0, 0, RTE_PKTMBUF_HEADROOM + 256, SOCKET_ID_ANY);
    ASSERT_NE(pool, nullptr);

    GenerationStore store(1);
    Adoption adoption(store, counters->header(), {});
    std::atomic<bool> stop{false};
    auto compact = TableMemory::allocate(core::connection_memory_bytes<core::CompactKey>(1 << 16), false);
    auto wide = TableMemory::allocate(core::connection_memory_bytes<core::WideKey>(1 << 10), false);
    ASSERT_TRUE(compact && wide);
    Worker worker({.index = 0, .counters = counters->worker(0), .mtu = 1600, .idle = Idle::kBackoff,
                   .queues = {{.port = &port->serving(), .queue = 0, .mac = port->mac(), .waits_for_generation = true}},
                   .connections = std::move(*compact), .wide_connections = std::move(*wide)}, store, stop);
    ASSERT_TRUE(port->start());
    rte_eal_remote_launch([](void *w) { static_cast<Worker *>(w)->run(); return 0; }, &worker, 1);

    SegmentSet held;
    const std::vector<wire::u16> rows(65537, 0);
    const auto take = [&](const publish::SegmentBytes &bytes, wire::u64 id) {
        const Descriptor file = test::memory_file(bytes);
        return held.take(file.get(), id);
    };
    ASSERT_EQ(take(publish::build_rows_segment(11, rows), 11), "");
    ASSERT_EQ(take(publish::build_hops_segment(state_of(1)), 10), "");

    Traffic traffic("storm", pool);
    [[maybe_unused]] std::size_t resident_early = 0;
    for (wire::u64 generation = 1; generation <= kGenerations; ++generation) {
        const Descriptor root = test::memory_file(publish::build_root_segment(state_of(generation)));
        ASSERT_EQ(adoption.adopt(root.get(), generation, held), "") << generation;
        const auto deadline = std::chrono::steady_clock::now() + 2s;
        while (traffic.by_generation[generation] < kPacketsPerGeneration && std::chrono::steady_clock::now() < deadline) {
            traffic.offer();
            traffic.drain();
        }
        while (!adoption.is_tidy()) { // some 60 can wait; here none, so that memory is comparable
            adoption.tidy();
            traffic.drain();
        }
        if (generation == kGenerations / 10) resident_early = resident_bytes();
    }
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (traffic.returned < traffic.offered && std::chrono::steady_clock::now() < deadline) traffic.drain();
    stop.store(true);
    rte_eal_mp_wait_lcore();

    const wire::WorkerCounters &counted = counters->worker(0).worker;
    wire::u64 drops = 0;
    for (wire::u64 count : counted.drops) drops += count;
    EXPECT_GE(traffic.offered, kGenerations * kPacketsPerGeneration);
    EXPECT_EQ(traffic.returned, traffic.offered);
    EXPECT_EQ(counted.forwarded_packets, traffic.offered);
    EXPECT_EQ(drops, 0U);
    EXPECT_EQ(traffic.mixed, 0U);
    for (wire::u64 generation = 1; generation <= kGenerations; ++generation)
        ASSERT_GE(traffic.by_generation[generation], kPacketsPerGeneration) << generation;
    EXPECT_EQ(counters->header().generations_adopted, kGenerations);
    EXPECT_EQ(counters->header().segments_mapped, 2U);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) // sanitizers keep what was freed
    EXPECT_LT(resident_bytes(), resident_early + (2U << 20));
#endif
    EXPECT_EQ(rte_mempool_in_use_count(pool), 0U);
    std::printf("offered %lu, returned %lu, mixed %lu, generations seen %zu\n", traffic.offered, traffic.returned, traffic.mixed,
                traffic.by_generation.size());
    rte_mempool_free(pool);
}

} // namespace
