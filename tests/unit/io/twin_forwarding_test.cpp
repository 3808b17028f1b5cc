// SPDX-License-Identifier: Apache-2.0
// A port with a twin, served by the real worker: what is for a VIP leaves encapsulated, the rest is the kernel's, which answers by
// the port; and a port that is withdrawn is left alone from a grace period on. The NIC is a pair of rings, the kernel is real.
// Needs root; skipped without.
#include "dataplane/io/adoption.hpp"
#include "dataplane/io/counters_file.hpp"
#include "dataplane/io/eal.hpp"
#include "dataplane/io/log.hpp"
#include "dataplane/io/worker.hpp"
#include "tests/unit/io/arp_request.hpp"
#include "tests/unit/io/capture_file.hpp"
#include "tests/unit/io/counters_view.hpp"
#include "tests/unit/io/snapshot_sample.hpp"
#include "tests/unit/io/veth_pair.hpp"

#include <gtest/gtest.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

using namespace fairlead;
using namespace fairlead::io;
using namespace fairlead::io::test;

namespace {

constexpr core::MacAddress kNicMac{0x02, 0, 0, 0, 0, 0x17}; // rings have none
constexpr std::size_t kOuterSize = sizeof(wire::EthernetHeader) + sizeof(wire::Ipv4Header) + sizeof(wire::UdpHeader) + sizeof(wire::GueHeader);

/// All of it once: EAL starts once in a process's life.
class TwinForwardingTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (!enter_own_network() || !Twin::check("fl-w")) return;
        start_log("off", "unit_io_twin");
        const auto cpus = allowed_cpus();
        const auto placement = place(cpus, {}, 1, false);
        static auto eal = Eal::start({.placement = *placement, .hugepages = false, .memory_bytes = 128U << 20, .pci_addresses = {},
                                      .scratch_directory = testing::TempDir()});
        ASSERT_TRUE(eal) << eal.error();
        is_possible = true;
    }

    void SetUp() override {
        if (!is_possible) GTEST_SKIP() << "needs root: a network namespace of its own, and /dev/net/tun";
        static int number = 0;
        const auto name = "nic" + std::to_string(number++);
        auto plan = plan_port(*parse_port_spec("ring:" + name), 0, 1, 1500);
        ASSERT_TRUE(plan) << plan.error();
        auto opened = Port::open(*plan);
        ASSERT_TRUE(opened) << opened.error();
        port_.emplace(std::move(*opened));
        const std::string names[] = {"ring:" + name};
        counters_.emplace(CountersFile::create(1, names).value());
        twin_ = Twin::open({.name = "fl-w", .mac = kNicMac, .mtu = 1500, .worker_count = 1, .counters = &counters_->port(0)}).value();
        twin_->set_carrier(true);
        ASSERT_EQ(std::system("ip addr add 10.95.0.1/24 dev fl-w"), 0);
        adoption_.emplace(store_, counters_->header(), std::span<Steering>());
        auto compact = TableMemory::allocate(core::connection_memory_bytes<core::CompactKey>(1 << 10), false);
        auto wide = TableMemory::allocate(core::connection_memory_bytes<core::WideKey>(1 << 10), false);
        ASSERT_TRUE(compact && wide);
        worker_.emplace(Worker::Setup{.index = 0, .counters = counters_->worker(0), .mtu = 1500, .idle = Idle::kBackoff,
                                      .queues = {{.port = &port_->serving(), .queue = 0, .mac = kNicMac, .waits_for_generation = false,
                                                  .twin = twin_.get(), .pool = port_->pool(0)}},
                                      .connections = std::move(*compact), .wide_connections = std::move(*wide)},
                        store_, stop_);
        in_ = rte_ring_lookup((name + "-rx").c_str());
        out_ = rte_ring_lookup((name + "-tx").c_str());
        ASSERT_TRUE(port_->start());
        rte_eal_remote_launch([](void *worker) { static_cast<Worker *>(worker)->run(); return 0; }, &*worker_, 1);
    }
    void TearDown() override {
        stop_.store(true);
        rte_eal_mp_wait_lcore();
    }

    void adopt(const SnapshotSample &sample) {
        SegmentSet held;
        const auto take = [&](const publish::SegmentBytes &bytes, wire::u64 id) { return held.take(memory_file(bytes).get(), id); };
        ASSERT_EQ(take(sample.rows(), sample.rows_id), "");
        ASSERT_EQ(take(sample.hops(), sample.hops_id), "");
        ASSERT_EQ(adoption_->adopt(memory_file(sample.root()).get(), sample.generation, held), "");
    }
    void arrive(const FrameBytes &frame) {
        rte_mbuf *packet = rte_pktmbuf_alloc(port_->pool(0));
        ASSERT_NE(packet, nullptr);
        std::memcpy(rte_pktmbuf_append(packet, static_cast<std::uint16_t>(frame.size())), frame.data(), frame.size());
        ASSERT_EQ(rte_ring_enqueue(in_, packet), 0);
    }
    /// The next frame that leaves by the NIC with this destination address; empty: none within ten seconds.
    FrameBytes next_departure(const core::MacAddress &destination) {
        for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10); std::chrono::steady_clock::now() < end;) {
            void *object = nullptr;
            if (rte_ring_dequeue(out_, &object) != 0) {
                ::usleep(500);
                continue;
            }
            auto *packet = static_cast<rte_mbuf *>(object);
            const auto *data = rte_pktmbuf_mtod(packet, const std::byte *);
            FrameBytes frame(data, data + packet->data_len);
            rte_pktmbuf_free(packet);
            if (std::memcmp(frame.data(), destination.data(), 6) == 0) return frame;
        }
        return {};
    }
    [[nodiscard]] wire::u64 kernel_packets() const { return CountersView::read(counters_->worker(0).worker.kernel_packets); }

    static inline bool is_possible = false;
    GenerationStore store_{1};
    std::atomic<bool> stop_{false};
    std::optional<Port> port_;
    std::optional<CountersFile> counters_;
    std::unique_ptr<Twin> twin_;
    std::optional<Adoption> adoption_;
    std::optional<Worker> worker_;
    rte_ring *in_ = nullptr;
    rte_ring *out_ = nullptr;
};

TEST_F(TwinForwardingTest, TheKernelHasThePortBeforeThereIsAGeneration) {
    arrive(arp_request("10.95.0.9", "10.95.0.1"));
    EXPECT_EQ(next_departure(kNeighbourMac).size(), 42U) << "the kernel's answer";
    EXPECT_EQ(kernel_packets(), 1U);
}

TEST_F(TwinForwardingTest, VipTrafficIsForwardedAndTheRestTheKernels) {
    const SnapshotSample sample;
    adopt(sample);
    for (wire::u32 flow = 0; flow < 100; ++flow) {
        const auto syn = tcp_frame(sample.vip, flow, wire::kTcpSyn);
        arrive(syn);
        const auto frame = next_departure(sample.mac);
        ASSERT_EQ(frame.size(), syn.size() - sizeof(wire::EthernetHeader) + kOuterSize);
        if (flow % 10 != 0) continue;
        arrive(arp_request("10.95.0.9", "10.95.0.1"));
        ASSERT_EQ(next_departure(kNeighbourMac).size(), 42U);
    }
    EXPECT_EQ(kernel_packets(), 10U);
    EXPECT_EQ(CountersView::read(counters_->worker(0).worker.forwarded_packets), 100U);
    EXPECT_EQ(CountersView::read(counters_->worker(0).worker.drops[static_cast<unsigned>(wire::DropReason::not_for_vip)]), 0U);
}

TEST_F(TwinForwardingTest, AFloodForTheKernelIsCountedAndVipTrafficGoesOn) {
    const SnapshotSample sample;
    adopt(sample);
    wire::u64 offered = 0;
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < 100; ++i, ++offered) arrive(arp_request("10.95.0.9", "10.95.0.1"));
        arrive(tcp_frame(sample.vip, static_cast<wire::u32>(round), wire::kTcpSyn));
        ASSERT_FALSE(next_departure(sample.mac).empty()) << "round " << round;
    }
    EXPECT_TRUE(eventually([&] {
        return kernel_packets() + CountersView::read(counters_->worker(0).worker.drops[static_cast<unsigned>(wire::DropReason::kernel_full)]) == offered;
    })) << kernel_packets() << " of " << offered;
    EXPECT_TRUE(eventually([&] {
        return CountersView::read(counters_->port(0).to_kernel_packets) + CountersView::read(counters_->port(0).to_kernel_refused) == kernel_packets();
    }));
}

TEST_F(TwinForwardingTest, AWithdrawnPortIsLeftAloneAfterAGracePeriodAndServedAgainWhenItIsBack) {
    const SnapshotSample sample;
    adopt(sample);
    for (wire::u32 time = 0; time < 50; ++time) {
        port_->withdraw();
        const auto grace = store_.start_grace();
        ASSERT_TRUE(eventually([&] { return store_.has_passed(grace); }));
        arrive(tcp_frame(sample.vip, time, wire::kTcpSyn));
        ::usleep(2000);
        ASSERT_EQ(rte_ring_count(in_), 1U) << "nobody touches the port";
        ASSERT_TRUE(port_->start());
        ASSERT_FALSE(next_departure(sample.mac).empty()) << "time " << time;
    }
}

} // namespace
