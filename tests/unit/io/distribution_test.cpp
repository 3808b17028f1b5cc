// SPDX-License-Identifier: Apache-2.0
// More workers than queues: three workers, one pair of rings as the NIC. Each flow is one worker's, its packets leave in the order
// in which they came, and each packet leaves or has a named end.
#include "dataplane/io/distribution.hpp"

#include "dataplane/io/adoption.hpp"
#include "dataplane/io/counters_file.hpp"
#include "dataplane/io/eal.hpp"
#include "dataplane/io/log.hpp"
#include "dataplane/io/worker.hpp"
#include "tests/unit/io/capture_file.hpp"
#include "tests/unit/io/counters_view.hpp"
#include "tests/unit/io/snapshot_sample.hpp"

#include <gtest/gtest.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <cstring>
#include <map>
#include <vector>

using namespace fairlead;
using namespace fairlead::io;
using namespace fairlead::io::test;

namespace {

constexpr unsigned kWorkers = 3;
constexpr wire::u32 kFlows = 300;
constexpr wire::u32 kPackets = 60'000;
constexpr std::size_t kOuterSize = sizeof(wire::EthernetHeader) + sizeof(wire::Ipv4Header) + sizeof(wire::UdpHeader) + sizeof(wire::GueHeader);
constexpr std::size_t kIdAt = 4; // in the IPv4 header: the packet's number in its flow

TEST(FlowOwner, IsTheSameForAFlowAndEvenOverFlows) {
    const SnapshotSample sample;
    std::map<unsigned, unsigned> flows;
    for (wire::u32 client = 0; client < 30'000; ++client) {
        const auto syn = tcp_frame(sample.vip, client, wire::kTcpSyn);
        const auto data = tcp_frame(sample.vip, client, wire::kTcpAck, 500);
        const auto owner = owner_of_flow(syn.data(), static_cast<wire::u32>(syn.size()), 7);
        ASSERT_EQ(owner, owner_of_flow(data.data(), static_cast<wire::u32>(data.size()), 7));
        ++flows[owner];
    }
    ASSERT_EQ(flows.size(), 7U);
    for (const auto &[owner, count] : flows) EXPECT_NEAR(count, 30'000 / 7.0, 300) << owner;
}

TEST(FlowOwner, ReadsNoByteBehindTheFrame) {
    const auto frame = tcp_frame(SnapshotSample().vip, 1, wire::kTcpSyn);
    for (std::size_t length = 0; length <= frame.size(); ++length) {
        const std::vector<std::byte> exact(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length)); // the sanitizer looks
        EXPECT_LT(owner_of_flow(exact.data(), static_cast<wire::u32>(length), 5), 5U);
    }
}

TEST(FlowOwner, FragmentsOfADatagramAreOneWorkers) {
    auto first = tcp_frame(SnapshotSample().vip, 1, wire::kTcpSyn);
    first[14 + 6] = std::byte{0x20}; // more fragments
    auto next = first;
    next[14 + 6] = std::byte{0x00};
    next[14 + 7] = std::byte{0xb9};
    next[14 + 20] ^= std::byte{0xff}; // no port stands here
    EXPECT_EQ(owner_of_flow(first.data(), static_cast<wire::u32>(first.size()), 64), owner_of_flow(next.data(), static_cast<wire::u32>(next.size()), 64));
}

TEST(Distribution, ThreeWorkersServeOneQueueInOrder) {
    start_log("off", "unit_io_distribution");
    const auto cpus = allowed_cpus();
    const auto placement = place(cpus, {}, kWorkers, false);
    const auto eal = Eal::start({.placement = *placement, .hugepages = false, .memory_bytes = 192U << 20, .pci_addresses = {},
                                 .scratch_directory = testing::TempDir()});
    ASSERT_TRUE(eal) << eal.error();
    auto plan = plan_port(*parse_port_spec("ring:hot"), 0, 1, 1500);
    ASSERT_TRUE(plan) << plan.error();
    plan->held_buffer_count = Distribution::held_buffer_count(PortKind::kRing, kWorkers, Distribute::kOn);
    std::vector<Port> ports;
    ports.push_back(Port::open(*plan).value());
    const auto counters = CountersFile::create(kWorkers).value();
    const auto distribution = Distribution::make(ports, {}, kWorkers, Distribute::kOn);
    ASSERT_TRUE(distribution) << distribution.error();
    EXPECT_EQ(Distribution::make(ports, {}, kWorkers, Distribute::kOff)->queues_of(1).size(), 0U);

    GenerationStore store(kWorkers);
    std::atomic<bool> stop{false};
    std::vector<std::unique_ptr<Worker>> workers;
    for (unsigned index = 0; index < kWorkers; ++index) {
        auto compact = TableMemory::allocate(core::connection_memory_bytes<core::CompactKey>(1 << 12), false);
        auto wide = TableMemory::allocate(core::connection_memory_bytes<core::WideKey>(1 << 10), false);
        ASSERT_TRUE(compact && wide);
        workers.push_back(std::make_unique<Worker>(Worker::Setup{.index = index, .counters = counters.worker(index), .mtu = 1500, .idle = Idle::kBackoff,
                                                                 .queues = distribution->queues_of(index), .connections = std::move(*compact),
                                                                 .wide_connections = std::move(*wide)},
                                                   store, stop));
    }
    const SnapshotSample sample;
    Adoption adoption(store, counters.header(), {});
    SegmentSet held;
    const auto take = [&](const publish::SegmentBytes &bytes, wire::u64 id) { return held.take(memory_file(bytes).get(), id); };
    ASSERT_EQ(take(sample.rows(), sample.rows_id), "");
    ASSERT_EQ(take(sample.hops(), sample.hops_id), "");
    ASSERT_EQ(adoption.adopt(memory_file(sample.root()).get(), sample.generation, held), "");
    ASSERT_TRUE(ports[0].start());
    for (unsigned index = 0; index < kWorkers; ++index)
        rte_eal_remote_launch([](void *worker) { static_cast<Worker *>(worker)->run(); return 0; }, workers[index].get(), index + 1);

    rte_ring *in = rte_ring_lookup("hot-rx");
    rte_ring *out = rte_ring_lookup("hot-tx");
    std::vector<wire::u16> sent(kFlows);
    std::map<wire::u32, wire::u16> seen; // flow -> number of its last packet
    wire::u32 offered = 0, returned = 0, disorder = 0;
    const auto drain = [&] {
        for (void *object = nullptr; rte_ring_dequeue(out, &object) == 0; ++returned) {
            auto *packet = static_cast<rte_mbuf *>(object);
            const auto *ip = rte_pktmbuf_mtod_offset(packet, const std::byte *, kOuterSize);
            wire::Be32 source;
            wire::Be16 number, port;
            std::memcpy(&source, ip + 12, sizeof(source));
            std::memcpy(&port, ip + 20, sizeof(port));
            std::memcpy(&number, ip + kIdAt, sizeof(number));
            auto &last = seen[source.host() * 31 + port.host()];
            disorder += number.host() <= last;
            last = number.host();
            rte_pktmbuf_free(packet);
        }
    };
    const auto dropped = [&] {
        wire::u64 sum = 0;
        for (unsigned index = 0; index < kWorkers; ++index)
            for (const auto &count : counters.worker(index).worker.drops) sum += CountersView::read(count);
        return sum;
    };
    while (offered < kPackets) {
        drain();
        if (offered - returned - dropped() > 200) continue; // no ring is full: nothing has to drop
        const auto flow = offered * 7919 % kFlows;
        auto frame = tcp_frame(sample.vip, flow, wire::kTcpAck, flow % 100);
        const auto number = wire::Be16::from_host(++sent[flow]);
        std::memcpy(frame.data() + sizeof(wire::EthernetHeader) + kIdAt, &number, sizeof(number));
        rte_mbuf *packet = rte_pktmbuf_alloc(ports[0].pool(0));
        ASSERT_NE(packet, nullptr);
        std::memcpy(rte_pktmbuf_append(packet, static_cast<std::uint16_t>(frame.size())), frame.data(), frame.size());
        ASSERT_EQ(rte_ring_enqueue(in, packet), 0);
        ++offered;
    }
    EXPECT_TRUE(eventually([&] {
        drain();
        return returned + dropped() == offered;
    })) << returned << " and " << dropped() << " of " << offered;
    EXPECT_EQ(dropped(), 0U);
    EXPECT_EQ(disorder, 0U);
    EXPECT_EQ(seen.size(), kFlows);
    wire::u64 connections = 0;
    for (unsigned index = 0; index < kWorkers; ++index) {
        const auto opened = CountersView::read(counters.worker(index).worker.connections_opened);
        EXPECT_NEAR(static_cast<double>(opened), kFlows / kWorkers, 40) << "worker " << index;
        connections += opened;
    }
    EXPECT_EQ(connections, kFlows) << "no flow is two workers'";
    stop.store(true);
    rte_eal_mp_wait_lcore();
}

} // namespace
