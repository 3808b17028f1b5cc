// SPDX-License-Identifier: Apache-2.0
// The whole program on ports that need no privileges: start, adopt, forward, count, end, be killed, start again.
#include "tests/unit/io/capture_file.hpp"
#include "tests/unit/io/control_client.hpp"
#include "tests/unit/io/counters_view.hpp"
#include "tests/unit/io/dataplane_process.hpp"
#include "tests/unit/io/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <sysexits.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>

namespace fairlead::io {
namespace {

using namespace test;
using namespace std::chrono_literals;
using wire::DropReason;

class DataplaneTest : public testing::Test {
  protected:
    std::string pcap(const char *rx, const char *tx) const {
        return "pcap:rx=" + (root_.path() / rx).string() + ",tx=" + (root_.path() / tx).string();
    }
    ControlClient connect() {
        auto client = ControlClient::connect(run_ / "dataplane.sock");
        const auto hello = client.receive();
        EXPECT_TRUE(hello && hello->type() == wire::kControlHello);
        return client;
    }
    TemporaryDirectory root_;
    std::filesystem::path run_ = root_.path() / "run";
};

TEST_F(DataplaneTest, StartsAnswersAndEndsLeavingNothing) {
    DataplaneProcess process(run_, {"--port", "null", "--workers", "2"});
    {
        const auto client = connect();
        const CountersView counters(client);
        ASSERT_TRUE(counters.is_mapped()) << process.said();
        EXPECT_EQ(counters.header().worker_count, 2U);
        // net_null brings empty frames: packets for nobody, each with a name for its end.
        EXPECT_TRUE(eventually([&] { return counters.received() > 1000; }));
        EXPECT_TRUE(eventually([&] { return counters.drops(DropReason::no_snapshot) > 1000; }));
    }
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(), 0) << process.said();
    EXPECT_FALSE(std::filesystem::exists(run_)) << "the directory was made by the program and goes with it";
}

TEST_F(DataplaneTest, AnInterruptEndsItAsWell) {
    DataplaneProcess process(run_, {"--port", "ring:test"});
    ASSERT_TRUE(connect().is_connected());
    process.signal(SIGINT);
    EXPECT_EQ(process.wait(), 0) << process.said();
}

TEST_F(DataplaneTest, AStopOnItsControlSocketEndsItAsWell) {
    DataplaneProcess process(run_, {"--port", "null", "--workers", "2"});
    const auto client = connect();
    ASSERT_TRUE(client.send(message_of<wire::ControlStop>(wire::kControlStop)));
    const auto reply = client.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->type(), wire::kControlStopping);
    EXPECT_EQ(process.wait(), 0) << process.said();
    EXPECT_FALSE(client.receive()) << "the connection ends with it";
    EXPECT_FALSE(std::filesystem::exists(run_ / "dataplane.sock"));
}

TEST_F(DataplaneTest, ForwardsACaptureUnderItsGeneration) {
    const SnapshotSample sample;
    std::vector<FrameBytes> frames;
    for (wire::u32 client = 0; client < 1000; ++client) frames.push_back(tcp_frame(sample.vip, client, client % 2 == 0 ? wire::kTcpSyn : wire::kTcpAck, client % 100));
    frames.push_back(tcp_frame(wire::Be32::from_host(0x01020304), 1, wire::kTcpSyn));  // not for a VIP
    frames.push_back(tcp_frame(sample.vip, 1, wire::kTcpAck, 1460));                   // fits until it is encapsulated
    frames.push_back(tcp_frame(sample.vip, 1, wire::kTcpAck, 4000));                   // in several buffers
    write_capture(root_.path() / "in.pcap", frames);
    DataplaneProcess process(run_, {"--port", pcap("in.pcap", "out.pcap")});
    const auto client = connect();
    const CountersView counters(client);
    ASSERT_TRUE(counters.is_mapped()) << process.said();
    EXPECT_EQ(counters.received(), 0U) << "a capture waits for something to decide by";
    ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
    EXPECT_TRUE(eventually([&] { return counters.received() == frames.size(); })) << counters.received();
    EXPECT_TRUE(eventually([&] { return counters.forwarded() == 1000U; })) << counters.forwarded(); // counted when its burst is through
    EXPECT_EQ(counters.drops(DropReason::not_for_vip), 1U);
    EXPECT_EQ(counters.drops(DropReason::too_big), 1U);
    EXPECT_EQ(counters.drops(DropReason::segmented), 1U);
    process.signal(SIGTERM);
    ASSERT_EQ(process.wait(), 0) << process.said();

    const auto sent = read_capture(root_.path() / "out.pcap");
    ASSERT_EQ(sent.size(), 1000U);
    for (std::size_t i = 0; i < sent.size(); ++i) {
        constexpr std::size_t kOuter = sizeof(wire::EthernetHeader) + sizeof(wire::Ipv4Header) + sizeof(wire::UdpHeader) + sizeof(wire::GueHeader);
        const auto inner = std::span(frames[i]).subspan(sizeof(wire::EthernetHeader));
        ASSERT_EQ(sent[i].size(), kOuter + inner.size()) << i;
        EXPECT_TRUE(std::ranges::equal(std::span(sent[i]).subspan(kOuter), inner)) << "inner packet " << i;
        EXPECT_EQ(std::memcmp(sent[i].data(), sample.mac.data(), sample.mac.size()), 0);
    }
}

TEST_F(DataplaneTest, EndsTheMtuWhereTheOptionSays) {
    const SnapshotSample sample;
    write_capture(root_.path() / "in.pcap", std::vector<FrameBytes>{tcp_frame(sample.vip, 1, wire::kTcpSyn, 1000), tcp_frame(sample.vip, 2, wire::kTcpSyn, 900)});
    DataplaneProcess process(run_, {"--port", pcap("in.pcap", "out.pcap"), "--mtu", "1000"});
    const auto client = connect();
    const CountersView counters(client);
    ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
    EXPECT_TRUE(eventually([&] { return counters.received() == 2; }));
    EXPECT_TRUE(eventually([&] { return counters.forwarded() == 1U; })); // counted when its burst is through
    EXPECT_EQ(counters.drops(DropReason::too_big), 1U);
}

TEST_F(DataplaneTest, PortsAreSpreadOverWorkers) {
    const SnapshotSample sample;
    write_capture(root_.path() / "in0.pcap", std::vector<FrameBytes>{tcp_frame(sample.vip, 1, wire::kTcpSyn)});
    write_capture(root_.path() / "in1.pcap", std::vector<FrameBytes>{tcp_frame(sample.vip, 2, wire::kTcpSyn), tcp_frame(sample.vip, 3, wire::kTcpSyn)});
    DataplaneProcess process(run_, {"--port", pcap("in0.pcap", "out0.pcap"), "--port", pcap("in1.pcap", "out1.pcap"), "--workers", "2"});
    const auto client = connect();
    const CountersView counters(client);
    ASSERT_EQ(client.publish(sample)->type(), wire::kControlAdopted);
    EXPECT_TRUE(eventually([&] { return counters.forwarded() == 3; }));
    EXPECT_EQ(CountersView::read(counters.worker(0).forwarded_packets), 1U);
    EXPECT_EQ(CountersView::read(counters.worker(1).forwarded_packets), 2U);
}

TEST_F(DataplaneTest, AKilledOneIsReplacedByAPlainRestart) {
    {
        DataplaneProcess process(run_, {"--port", "null"});
        ASSERT_TRUE(connect().is_connected());
        process.signal(SIGKILL);
        EXPECT_EQ(process.wait(), 128 + SIGKILL);
    }
    EXPECT_TRUE(std::filesystem::exists(run_ / "dataplane.sock"));
    DataplaneProcess process(run_, {"--port", "null"});
    EXPECT_TRUE(eventually([&] { return process.said().find("control socket in") != std::string::npos; })) << process.said();
    ASSERT_TRUE(connect().is_connected());
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(), 0) << process.said();
    EXPECT_FALSE(std::filesystem::exists(run_ / "dataplane.sock"));
    EXPECT_FALSE(std::filesystem::exists(run_ / "dataplane.lock"));
}

TEST_F(DataplaneTest, WhatItLacksIsOneLineAndItsOwnExitCode) {
    DataplaneProcess owner(run_, {"--port", "null"});
    ASSERT_TRUE(connect().is_connected());
    const auto elsewhere = root_.path() / "elsewhere";
    const TemporaryDirectory tmpfs("/dev/shm");
    struct Case {
        std::filesystem::path run;
        std::vector<std::string> arguments;
        std::string part;
    };
    const std::vector<Case> cases{
        {run_, {"--port", "null"}, "in use by process " + std::to_string(owner.pid())},
        {elsewhere, {"--port", "af_xdp:no-such-if"}, "no interface named 'no-such-if'"},
        {elsewhere, {"--port", "pcap:rx=/no-such-file"}, "cannot read /no-such-file"},
        {elsewhere, {"--port", "pcap:tx=/no-such-directory/x"}, "cannot write into /no-such-directory"},
        {elsewhere, {"--port", "pci:ffff:ff:1f.7"}, "no such PCI device"},
        {elsewhere, {"--port", "null", "--lcores", "900"}, "no CPU 900"},
        {elsewhere, {"--port", "null", "--memory", "16"}, "the ports need"},
        {elsewhere, {"--port", "null", "--connections", "1073741824", "--workers", "64"}, "MB of memory"},
        // DPDK's alone: the tables will be in other memory, and take none of it.
        {elsewhere, {"--port", "null", "--hugepages", "on", "--memory", "1048576", "--table-directory", tmpfs.path().string(), "--connections", "1048576"},
         "needs 1048576 MB of hugepages, "},
        // Before DPDK takes what it needs.
        {elsewhere, {"--port", "null", "--table-directory", tmpfs.path().string(), "--connections", "1073741824", "--workers", "64"}, "MB of memory"},
    };
#if defined(__SANITIZE_ADDRESS__)
    constexpr auto kRefusalMax = 5s; // which starts slowly, and looks for leaks at the end
#else
    constexpr auto kRefusalMax = 1s;
#endif
    for (const auto &[run, arguments, part] : cases) {
        std::chrono::steady_clock::duration fastest = 1h; // of three, since others use the CPU, too
        for (int time = 0; time < 3 && fastest > kRefusalMax; ++time) {
            const auto began = std::chrono::steady_clock::now();
            DataplaneProcess process(run, arguments);
            EXPECT_EQ(process.wait(), EX_CONFIG) << part;
            fastest = std::min(fastest, std::chrono::steady_clock::now() - began);
            const auto said = process.said();
            EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
            EXPECT_NE(said.find(part), std::string::npos) << said;
            EXPECT_FALSE(std::filesystem::exists(elsewhere)) << "a start that fails leaves nothing";
        }
        EXPECT_LT(fastest, kRefusalMax) << part;
    }
    DataplaneProcess usage(elsewhere, {"--port", "nonsense"});
    EXPECT_EQ(usage.wait(), EX_USAGE);
}

} // namespace
} // namespace fairlead::io
