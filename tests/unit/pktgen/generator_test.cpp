// SPDX-License-Identifier: Apache-2.0
// The generator against a device that is made up, over memory-backed rings: what it reports is what the device did.
#include "dataplane/io/eal.hpp"
#include "dataplane/io/placement.hpp"
#include "dataplane/io/port.hpp"
#include "perf/pktgen/generator.hpp"
#include "perf/pktgen/tsc_rate.hpp"

#include <gtest/gtest.h>
#include <rte_launch.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sys/prctl.h>

#include <cstring>
#include <functional>
#include <set>
#include <thread>

namespace fairlead::pktgen {
namespace {

constexpr wire::u32 kVip = 0xc633640a;
constexpr wire::u32 kBackend = 0x0a14001f;
constexpr SourceNetwork kNetwork{.address = 0xc6120000, .prefix_length = 16};
const char *const kPortName = "device";

/// Puts an outer IPv4 header in front, as a balancer with IPIP does.
void encapsulate(rte_mbuf *packet, wire::u32 backend) {
    auto *frame = reinterpret_cast<wire::u8 *>(rte_pktmbuf_prepend(packet, sizeof(wire::Ipv4Header)));
    std::memmove(frame, frame + sizeof(wire::Ipv4Header), sizeof(wire::EthernetHeader));
    wire::Ipv4Header outer{};
    outer.version_ihl = 0x45;
    outer.protocol = wire::kIpProtocolIpip;
    outer.total_length = wire::Be16::from_host(static_cast<wire::u16>(packet->data_len - sizeof(wire::EthernetHeader)));
    outer.destination = wire::Be32::from_host(backend);
    std::memcpy(frame + sizeof(wire::EthernetHeader), &outer, sizeof(outer));
}

/// A TCP packet's flags, in a frame without options or encapsulation.
constexpr std::size_t kTcpFlagsOffset = sizeof(wire::EthernetHeader) + sizeof(wire::Ipv4Header) + 13;
constexpr wire::u8 kSyn = 0x02;

/// What becomes of one packet: how often it comes back, and from where.
struct Fate {
    unsigned copies = 1;
    wire::u32 backend = kBackend;
};
using Device = std::function<Fate(wire::u64 number)>;

class GeneratorTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        static auto placement = io::place(io::allowed_cpus(), {}, 1, false);
        ASSERT_TRUE(placement) << placement.error();
        static auto eal = io::Eal::start({.placement = *placement, .hugepages = false, .memory_bytes = 96U << 20, .pci_addresses = {},
                                          .scratch_directory = testing::TempDir()});
        ASSERT_TRUE(eal) << eal.error();
        const auto plan = io::plan_port(*io::parse_port_spec(std::string("ring:") + kPortName), 0, 1, 1500);
        static auto port = io::Port::open(*plan);
        ASSERT_TRUE(port) << port.error();
        ASSERT_TRUE(port->start());
        port_ = &*port;
    }

    void SetUp() override { ASSERT_NE(port_, nullptr); }

    Generator::Setup setup(double opening_share = 0) const {
        const Target target{.gateway_mac = {2, 0, 0, 0, 0, 1}, .own_mac = port_->mac(), .vip = kVip, .vip_port = 80, .protocol = Protocol::kTcp};
        return {.send_port = port_->id(), .pool = port_->pool(0), .receive_queues = {{port_->id(), 0}},
                .templates = {FrameTemplate(target, 64), FrameTemplate(target, 200)}, .sizes = {0, 1}, .opening_share = opening_share,
                .idle = io::Idle::kBackoff, .ticks_per_s = measure_tsc_rate()};
    }

    /// Runs what the generator is to do on its lcore, and the device on this thread, until that is done.
    void run(const std::function<void()> &work, const Device &device) {
        done_ = false;
        std::pair job{&work, &done_};
        rte_eal_remote_launch(
            [](void *argument) {
                auto &[task, done] = *static_cast<std::pair<const std::function<void()> *, std::atomic<bool> *> *>(argument);
                (*task)();
                done->store(true);
                return 0;
            },
            &job, 1);
        rte_ring *const in = rte_ring_lookup((std::string(kPortName) + "-tx").c_str());
        rte_ring *const out = rte_ring_lookup((std::string(kPortName) + "-rx").c_str());
        std::set<wire::u32> begun;
        for (wire::u64 number = 0; !done_;) {
            void *packet = nullptr;
            if (rte_ring_free_count(out) < 4 || rte_ring_dequeue(in, &packet) != 0) {
                std::this_thread::sleep_for(std::chrono::microseconds(50));
                continue;
            }
            flows_begin_with_a_syn(static_cast<rte_mbuf *>(packet), begun);
            pass(static_cast<rte_mbuf *>(packet), device(number++), out);
        }
        rte_eal_wait_lcore(1);
    }

    /// A balancer may treat what begins without one as a connection that it has lost.
    static void flows_begin_with_a_syn(const rte_mbuf *packet, std::set<wire::u32> &begun) {
        const auto *frame = rte_pktmbuf_mtod(packet, const wire::u8 *);
        const auto found = read_stamp({frame, packet->data_len}, 0);
        ASSERT_TRUE(found);
        const bool is_first = begun.insert(found->stamp.flow).second;
        EXPECT_EQ((frame[kTcpFlagsOffset] & kSyn) != 0, is_first) << "flow " << found->stamp.flow << ", packet " << found->stamp.sequence;
    }

    static void pass(rte_mbuf *packet, const Fate &fate, rte_ring *out) {
        encapsulate(packet, fate.backend);
        for (unsigned copy = 1; copy < fate.copies; ++copy)
            ASSERT_EQ(rte_ring_enqueue(out, rte_pktmbuf_copy(packet, port_->pool(0), 0, UINT32_MAX)), 0);
        if (fate.copies == 0) rte_pktmbuf_free(packet);
        else ASSERT_EQ(rte_ring_enqueue(out, packet), 0);
    }

    /// A trial of 100 flows, opened as fast as it goes: the device's first 100 packets.
    /// @param fate of the device's packets, by their number.
    Trial trial_of(double rate_pps, double seconds, const Device &fate) {
        FlowTable flows(100, 1000, kNetwork, kVip);
        Generator generator(setup(), flows, stop_);
        Trial trial;
        run([&] {
            static_cast<void>(generator.open_flows(0));
            trial = generator.run_trial(rate_pps, seconds);
        }, fate);
        return trial;
    }

    static inline const io::Port *port_ = nullptr;
    std::atomic<bool> done_{false};
    std::atomic<bool> stop_{false};
};

TEST_F(GeneratorTest, OpensItsFlowsAndFindsNothingWrongWithADeviceThatWorks) {
    FlowTable flows(500, 1000, kNetwork, kVip);
    Generator generator(setup(0.1), flows, stop_);
    Trial opening;
    Trial trial;
    run([&] {
        opening = generator.open_flows(20'000);
        trial = generator.run_trial(20'000, 0.3);
    }, [](wire::u64) { return Fate{}; });
    EXPECT_EQ(opening.sent, 500U);
    EXPECT_EQ(opening.returned, 500U);
    EXPECT_GT(trial.sent, 1000U);
    EXPECT_LE(trial.achieved_pps(), 20'000 * 1.01);
    EXPECT_EQ(trial.returned, trial.sent);
    EXPECT_EQ(trial.latency_ns.count(), trial.sent);
    EXPECT_GT(trial.latency_ns.min(), 0U);
    EXPECT_LT(trial.latency_ns.max(), 1'000'000'000U);
    EXPECT_EQ(trial.flows.with_loss + trial.flows.moved + trial.flows.duplicates + trial.flows.reordered, 0U);
    EXPECT_EQ(trial.unrecognised + trial.stale, 0U);
    EXPECT_NEAR(static_cast<double>(trial.sent_bytes), 132.0 * static_cast<double>(trial.sent), 136);
}

TEST_F(GeneratorTest, CountsWhatADeviceLosesAndDoubles) {
    wire::u64 lost = 0;
    wire::u64 doubled = 0;
    const Trial trial = trial_of(10'000, 0.3, [&](wire::u64 number) {
        if (number < 100) return Fate{}; // the flows' first
        lost += number % 10 == 0;
        doubled += number % 10 == 5;
        return Fate{.copies = number % 10 == 0 ? 0U : number % 10 == 5 ? 2U : 1U};
    });
    EXPECT_GT(lost, 0U);
    EXPECT_EQ(trial.sent - trial.returned, lost);
    EXPECT_EQ(trial.flows.duplicates, doubled);
    EXPECT_GT(trial.flows.with_loss, 0U);
}

TEST_F(GeneratorTest, CountsTheFlowsThatADeviceMoves) {
    const Trial trial = trial_of(0, 0.2, [](wire::u64 number) { return Fate{.backend = kBackend + (number < 100 ? 0 : 1)}; });
    EXPECT_EQ(trial.flows.flows, 100U);
    EXPECT_EQ(trial.flows.moved, 100U);
    EXPECT_EQ(trial.returned, trial.sent) << "as fast as it goes: what the port does not take is not counted as sent";
}

TEST_F(GeneratorTest, WaitsForWhatIsMissingWhateverCameTwice) {
    const Trial trial = trial_of(1000, 1.0, [](wire::u64 number) {
        if (number < 100) return Fate{}; // the flows' first
        if (number == 320) std::this_thread::sleep_for(std::chrono::milliseconds(1200)); // a device that stalls
        return Fate{.copies = number < 320 ? 3U : 1U};
    });
    EXPECT_GT(trial.sent, 220U) << "the device has not stalled before all was sent";
    EXPECT_EQ(trial.returned, trial.sent);
    EXPECT_EQ(trial.flows.duplicates, 440U);
}

TEST_F(GeneratorTest, OpensLaterWhatItCouldNotOpen) {
    FlowTable flows(5000, 1000, kNetwork, kVip);
    Generator generator(setup(), flows, stop_);
    std::atomic<bool> has_given_up{false};
    Trial opening;
    Trial trial;
    run([&] {
        opening = generator.open_flows(0);
        has_given_up = true;
        stop_ = false;
        trial = generator.run_trial(20'000, 0.5);
    }, [&](wire::u64 number) {
        if (number == 5) { // the port is full in the middle of a burst, and stays so for longer than the generator waits
            const rte_ring *const in = rte_ring_lookup((std::string(kPortName) + "-tx").c_str());
            while (!rte_ring_full(in)) std::this_thread::yield();
            stop_ = true;
            while (!has_given_up) std::this_thread::yield();
        }
        return Fate{};
    });
    const wire::u32 alive = 5000 - flows.room();
    ASSERT_LT(opening.sent, alive) << "no flow was left unopened";
    unsigned opened_later = 0;
    for (auto flow = static_cast<wire::u32>(opening.sent); flow < alive; ++flow) opened_later += flows.record(flow).sent > 0;
    EXPECT_GT(opened_later, 0U);
    EXPECT_EQ(trial.flows.with_loss, 0U);
}

TEST_F(GeneratorTest, SleepsNoLongerThanItMeansTo) {
    FlowTable flows(1, 1000, kNetwork, kVip);
    Generator generator(setup(), flows, stop_);
    int slack_ns = 0;
    run([&] {
        static_cast<void>(generator.open_flows(0));
        slack_ns = ::prctl(PR_GET_TIMERSLACK);
    }, [](wire::u64) { return Fate{}; });
    EXPECT_EQ(slack_ns, 1) << "of the thread that sleeps, not of the one that made the generator";
}

TEST_F(GeneratorTest, EndsWhenItIsToldTo) {
    FlowTable flows(10, 1000, kNetwork, kVip);
    Generator generator(setup(), flows, stop_);
    run([&] {
        static_cast<void>(generator.open_flows(0));
        stop_ = true;
        EXPECT_EQ(generator.run_trial(1000, 3600).sent, 0U);
    }, [](wire::u64) { return Fate{}; });
}

} // namespace
} // namespace fairlead::pktgen
