// SPDX-License-Identifier: Apache-2.0
// The twin against the kernel itself, in a network namespace of its own. Needs root; skipped without.
#include "dataplane/io/twin.hpp"

#include "dataplane/io/interface.hpp"
#include "dataplane/wire/packet.h"
#include "tests/unit/io/arp_request.hpp"
#include "tests/unit/io/counters_view.hpp"
#include "tests/unit/io/veth_pair.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

namespace fairlead::io {
namespace {

/// A counter that the twin's thread writes.
wire::u64 counted(const wire::u64 &counter) { return __atomic_load_n(&counter, __ATOMIC_RELAXED); }

using namespace test;

constexpr core::MacAddress kMac{0x02, 0, 0, 0, 0, 0x17};

bool run(const std::string &command) { return std::system((command + " 2>/dev/null").c_str()) == 0; }

class TwinTest : public testing::Test {
  protected:
    void SetUp() override {
        if (!enter_own_network()) GTEST_SKIP() << "needs root: a network namespace of its own";
        if (!Twin::check("x")) GTEST_SKIP() << "needs /dev/net/tun";
    }
    std::unique_ptr<Twin> open(const std::string &name, unsigned worker_count = 1, unsigned mtu = 1500) {
        auto twin = Twin::open({.name = name, .mac = kMac, .mtu = mtu, .worker_count = worker_count, .counters = &counters_});
        EXPECT_TRUE(twin) << twin.error();
        return twin ? std::move(*twin) : nullptr;
    }
    /// The next frame from the kernel of this EtherType; empty: none within ten seconds.
    FrameBytes next_from_kernel(Twin &twin, std::uint16_t type) {
        for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10); std::chrono::steady_clock::now() < end;) {
            const auto front = twin.from_kernel().front();
            if (front.empty()) {
                ::usleep(1000);
                continue;
            }
            FrameBytes frame(front.begin(), front.end());
            twin.from_kernel().pop();
            if (frame.size() > 14 && static_cast<std::uint16_t>(static_cast<unsigned>(frame[12]) << 8 | static_cast<unsigned>(frame[13])) == type) return frame;
        }
        return {};
    }
    wire::PortCounters counters_{};
};

TEST_F(TwinTest, HasTheNicsAddressAndMtuAndIsUp) {
    const auto twin = open("fl-t1", 1, 1400);
    const auto interface = Interface::look_up("fl-t1");
    ASSERT_TRUE(interface) << interface.error();
    EXPECT_EQ(interface->mac, kMac);
    EXPECT_EQ(interface->mtu, 1400U);
    EXPECT_TRUE(interface->is_up);
}

TEST_F(TwinTest, TheKernelAnswersArpThroughIt) {
    const auto twin = open("fl-t2", 2);
    twin->set_carrier(true);
    ASSERT_TRUE(run("ip addr add 10.99.0.1/24 dev fl-t2"));
    for (unsigned worker = 0; worker < 2; ++worker) {
        ASSERT_TRUE(twin->give_kernel(worker, arp_request("10.99.0.9", "10.99.0.1")));
        twin->wake();
        const auto answer = next_from_kernel(*twin, 0x0806);
        ASSERT_GE(answer.size(), 42U) << "no answer for worker " << worker;
        EXPECT_EQ(std::memcmp(answer.data(), kNeighbourMac.data(), 6), 0);
        EXPECT_EQ(std::memcmp(&answer[6], kMac.data(), 6), 0);
        EXPECT_EQ(static_cast<unsigned>(answer[21]), 2U) << "an ARP reply";
    }
    EXPECT_TRUE(eventually([&] { return counted(counters_.to_kernel_packets) == 2; }));
    EXPECT_GE(counted(counters_.from_kernel_packets), 2U);
    EXPECT_EQ(counted(counters_.to_kernel_refused), 0U);
}

TEST_F(TwinTest, TheKernelResolvesNeighboursThroughIt) {
    const auto twin = open("fl-t3");
    twin->set_carrier(true);
    ASSERT_TRUE(run("ip addr add 10.98.0.1/24 dev fl-t3"));
    const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {}, .sin_zero = {}};
    ::inet_pton(AF_INET, "10.98.0.7", &to.sin_addr);
    ASSERT_EQ(::sendto(socket, "x", 1, 0, reinterpret_cast<sockaddr *>(&to), sizeof(to)), 1);
    ::close(socket);
    const auto question = next_from_kernel(*twin, 0x0806);
    ASSERT_GE(question.size(), 42U);
    EXPECT_EQ(std::memcmp(&question[38], &to.sin_addr, 4), 0) << "who has 10.98.0.7?";
}

TEST_F(TwinTest, SaysWhenTheLinkIsDown) {
    const auto twin = open("fl-t4");
    const auto is_running = [] { return run("ip -o link show fl-t4 | grep -q LOWER_UP"); };
    EXPECT_FALSE(is_running());
    twin->set_carrier(true);
    EXPECT_TRUE(is_running());
    twin->set_carrier(false);
    EXPECT_FALSE(is_running());
}

TEST_F(TwinTest, WhatTheKernelDoesNotTakeIsCounted) {
    const auto twin = open("fl-t5");
    ASSERT_TRUE(run("ip link set fl-t5 down"));
    ASSERT_TRUE(twin->give_kernel(0, arp_request("10.99.0.9", "10.99.0.1")));
    twin->wake();
    EXPECT_TRUE(eventually([&] { return counted(counters_.to_kernel_refused) == 1; }));
    EXPECT_EQ(counted(counters_.to_kernel_packets), 0U);
}

TEST_F(TwinTest, AFloodIsTakenOrRefusedButNeverLostWithoutAWord) {
    const auto twin = open("fl-t6");
    twin->set_carrier(true);
    wire::u64 given = 0;
    wire::u64 full = 0;
    for (int i = 0; i < 100'000; ++i) {
        twin->give_kernel(0, arp_request("10.99.0.9", "10.97.0.1")) ? ++given : ++full;
        if (i % 32 == 31) twin->wake();
    }
    twin->wake();
    EXPECT_EQ(given + full, 100'000U);
    EXPECT_TRUE(eventually([&] {
        return counted(counters_.to_kernel_packets) + counted(counters_.to_kernel_refused) == given;
    }));
}

TEST_F(TwinTest, GoesWithItsOwnerButNotIfItWasThereBefore) {
    open("fl-t7").reset();
    EXPECT_EQ(::if_nametoindex("fl-t7"), 0U);
    ASSERT_TRUE(run("ip tuntap add dev fl-t8 mode tap && ip addr add 10.96.0.1/24 dev fl-t8"));
    open("fl-t8").reset();
    EXPECT_NE(::if_nametoindex("fl-t8"), 0U);
    EXPECT_TRUE(run("ip -o addr show fl-t8 | grep -q 10.96.0.1")) << "its addresses stay for the next run";
    run("ip link del fl-t8");
}

TEST_F(TwinTest, ANameThatIsTakenIsAnError) {
    ASSERT_TRUE(run("ip link add fl-t9 type veth peer name fl-t9-p"));
    const auto twin = Twin::open({.name = "fl-t9", .mac = kMac, .mtu = 1500, .worker_count = 1, .counters = &counters_});
    ASSERT_FALSE(twin);
    EXPECT_EQ(twin.error(), "the twin cannot be named fl-t9: an interface of another kind is; twin=NAME");
    run("ip link del fl-t9");
}

} // namespace
} // namespace fairlead::io
