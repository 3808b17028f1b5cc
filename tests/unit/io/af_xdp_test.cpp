// SPDX-License-Identifier: Apache-2.0
// The whole program on AF_XDP over veth. Needs root; skipped without.
#include "bpf/steer.hpp"
#include "tests/unit/io/capture_file.hpp"
#include "tests/unit/io/control_client.hpp"
#include "tests/unit/io/counters_view.hpp"
#include "tests/unit/io/dataplane_process.hpp"
#include "tests/unit/io/temporary_directory.hpp"
#include "tests/unit/io/veth_pair.hpp"

#include <gtest/gtest.h>
#include <sysexits.h>

#include <algorithm>
#include <csignal>

namespace fairlead::io {
namespace {

using namespace test;
using wire::DropReason;

constexpr std::size_t kOuterSize =
    sizeof(wire::EthernetHeader) + sizeof(wire::Ipv4Header) + sizeof(wire::UdpHeader) + sizeof(wire::GueHeader);

class AfXdpTest : public testing::Test {
  protected:
    void SetUp() override {
        if (!enter_own_network()) GTEST_SKIP() << "needs root: a network namespace of its own";
        veth_.emplace("io-lb");
        if (!veth_->is_made()) GTEST_SKIP() << "needs root and veth devices";
    }
    ControlClient connect() {
        auto client = ControlClient::connect(run_ / "dataplane.sock");
        const auto hello = client.receive();
        EXPECT_TRUE(hello && hello->type() == wire::kControlHello);
        return client;
    }
    std::vector<std::string> port() const { return {"--port", "af_xdp:" + veth_->name()}; }

    /// Sends packets of many flows, never more at once than the rings hold, and takes each as it comes back encapsulated.
    void exchange(const SnapshotSample &sample, const CountersView &counters, wire::u32 count) {
        const auto before = counters.forwarded();
        for (wire::u32 sent = 0; sent < count;) {
            const auto window = std::min(count - sent, 512U);
            for (wire::u32 i = 0; i < window; ++i) ASSERT_TRUE(veth_->send(tcp_frame(sample.vip, sent + i, wire::kTcpSyn, (sent + i) % 64)));
            for (wire::u32 i = 0; i < window; ++i) {
                const auto frame = veth_->receive(sample.mac);
                const auto expected = tcp_frame(sample.vip, sent + i, wire::kTcpSyn, (sent + i) % 64);
                ASSERT_EQ(frame.size(), expected.size() - sizeof(wire::EthernetHeader) + kOuterSize) << "packet " << sent + i;
                ASSERT_TRUE(std::ranges::equal(std::span(frame).subspan(kOuterSize), std::span(expected).subspan(sizeof(wire::EthernetHeader))));
                ASSERT_EQ(std::memcmp(frame.data() + 6, veth_->mac().data(), 6), 0) << "the source is the port's own address";
            }
            sent += window;
        }
        EXPECT_TRUE(eventually([&] { return counters.forwarded() - before == count; }));
    }
    bool has_program() const {
        const auto found = bpf::AttachedProgram::find(veth_->index());
        return found && found->has_value();
    }

    TemporaryDirectory root_;
    std::filesystem::path run_ = root_.path() / "run";
    std::optional<VethPair> veth_;
};

TEST_F(AfXdpTest, ForwardsVipTrafficAndLeavesTheRestToTheKernel) {
    DataplaneProcess process(run_, port());
    const SnapshotSample sample;
    const auto client = connect();
    ASSERT_TRUE(client.is_connected()) << process.said();
    const CountersView counters(client);
    ASSERT_TRUE(counters.is_mapped());
    ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
    exchange(sample, counters, 20'000); // more than there are buffers: what is sent must come back to the pool

    const auto steer = bpf::Steer::find(veth_->index());
    ASSERT_TRUE(steer) << steer.error();
    const auto before = steer->read_counts().value();
    EXPECT_GE(before[wire::kSteer_redirected], 20'000U);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(veth_->send(tcp_frame(wire::Be32::from_host(0x01020304), 1, wire::kTcpSyn)));
    EXPECT_TRUE(eventually([&] { return steer->read_counts().value()[wire::kSteer_passed] >= before[wire::kSteer_passed] + 100; }));
    EXPECT_EQ(counters.received(), 20'000U);
    EXPECT_EQ(steer->read_counts().value()[wire::kSteer_no_socket], 0U);

    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(), 0) << process.said();
    EXPECT_FALSE(has_program());
    EXPECT_FALSE(std::filesystem::exists(run_));
}

TEST_F(AfXdpTest, SteersTheAddressesOfTheRunningGeneration) {
    DataplaneProcess process(run_, port());
    const auto client = connect();
    ASSERT_TRUE(client.is_connected()) << process.said();
    const auto steer = bpf::Steer::find(veth_->index());
    ASSERT_TRUE(steer) << steer.error();
    EXPECT_TRUE(steer->list_vips().value().empty());
    SnapshotSample sample;
    ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
    const auto is_steered = [&](wire::Be32 vip) {
        const auto vips = steer->list_vips().value();
        const auto key = bpf::key_of(vip);
        return std::ranges::any_of(vips, [&](const auto &other) { return std::memcmp(&other, &key, sizeof(key)) == 0; });
    };
    EXPECT_TRUE(is_steered(sample.vip));
    const auto old_vip = sample.vip;
    sample.generation = 2;
    sample.vip = wire::Be32::from_host(0xc6336402);
    ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
    EXPECT_TRUE(is_steered(sample.vip));
    EXPECT_TRUE(eventually([&] { return !is_steered(old_vip); }));
}

TEST_F(AfXdpTest, AKilledOneIsReplacedByAPlainRestart) {
    const SnapshotSample sample;
    for (int round = 0; round < 3; ++round) {
        DataplaneProcess process(run_, port());
        const auto client = connect();
        ASSERT_TRUE(client.is_connected()) << process.said();
        const CountersView counters(client);
        ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
        exchange(sample, counters, 1000);
        process.signal(SIGKILL);
        EXPECT_EQ(process.wait(), 128 + SIGKILL);
        EXPECT_TRUE(has_program()) << "what the restart has to deal with";
    }
    DataplaneProcess process(run_, port());
    ASSERT_TRUE(connect().is_connected()) << process.said();
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(), 0) << process.said();
    EXPECT_FALSE(has_program());
    EXPECT_TRUE(std::filesystem::is_empty(run_));
}

TEST_F(AfXdpTest, ARestartOnOtherPortsClearsTheOldOnes) {
    {
        DataplaneProcess process(run_, port());
        ASSERT_TRUE(connect().is_connected()) << process.said();
        process.signal(SIGKILL);
        EXPECT_EQ(process.wait(), 128 + SIGKILL);
    }
    EXPECT_TRUE(has_program());
    EXPECT_TRUE(std::filesystem::exists(run_ / "steer-io-lb.bpf.o"));
    DataplaneProcess process(run_, {"--port", "ring:other"});
    ASSERT_TRUE(connect().is_connected()) << process.said();
    EXPECT_FALSE(has_program());
    EXPECT_FALSE(std::filesystem::exists(run_ / "steer-io-lb.bpf.o"));
}

TEST_F(AfXdpTest, ServesSeveralPorts) {
    const VethPair second("io-lb2");
    DataplaneProcess process(run_, {"--port", "af_xdp:io-lb", "--port", "af_xdp:io-lb2", "--workers", "2"});
    const SnapshotSample sample;
    const auto client = connect();
    ASSERT_TRUE(client.is_connected()) << process.said();
    const CountersView counters(client);
    ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
    exchange(sample, counters, 100);
    ASSERT_TRUE(second.send(tcp_frame(sample.vip, 1, wire::kTcpSyn)));
    EXPECT_FALSE(second.receive(sample.mac).empty()) << "out of the port it came in on";
    EXPECT_EQ(CountersView::read(counters.worker(0).forwarded_packets), 100U);
    EXPECT_EQ(CountersView::read(counters.worker(1).forwarded_packets), 1U);
}

TEST_F(AfXdpTest, NamesWhatTheReceiveQueueHadNoRoomFor) {
    DataplaneProcess process(run_, port());
    const SnapshotSample sample;
    const auto client = connect();
    ASSERT_TRUE(client.is_connected()) << process.said();
    const CountersView counters(client);
    ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
    constexpr unsigned kSent = 10'000; // more than the queue's 2048 buffers
    process.signal(SIGSTOP);
    for (unsigned i = 0; i < kSent; ++i) ASSERT_TRUE(veth_->send(tcp_frame(sample.vip, i, wire::kTcpSyn)));
    const auto steer = bpf::Steer::find(veth_->index());
    ASSERT_TRUE(steer) << steer.error();
    EXPECT_TRUE(eventually([&] { return steer->read_counts().value()[wire::kSteer_redirected] == kSent; }));
    process.signal(SIGCONT);
    EXPECT_TRUE(eventually([&] { return counters.received() + counters.drops(DropReason::rx_missed) == kSent; }))
        << counters.received() << " received, " << counters.drops(DropReason::rx_missed) << " missed";
    EXPECT_GT(counters.drops(DropReason::rx_missed), 0U);
}

TEST_F(AfXdpTest, WhatItLacksIsOneLine) {
    const auto expect_line = [&](const std::filesystem::path &run, const std::vector<std::string> &arguments, const std::string &part) {
        DataplaneProcess process(run, arguments);
        EXPECT_EQ(process.wait(), EX_CONFIG);
        const auto said = process.said();
        EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
        EXPECT_NE(said.find(part), std::string::npos) << said;
    };
    DataplaneProcess owner(run_, port());
    ASSERT_TRUE(connect().is_connected()) << owner.said();
    expect_line(root_.path() / "other", port(), "in use by another dataplane, process " + std::to_string(owner.pid()));
    EXPECT_TRUE(has_program());
    const VethPair down("io-down");
    ASSERT_EQ(std::system("ip link set io-down down"), 0);
    expect_line(root_.path() / "other", {"--port", "af_xdp:io-down"}, "the interface is down");
}

} // namespace
} // namespace fairlead::io
