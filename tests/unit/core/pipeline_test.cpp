// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/core/pipeline_fixture.hpp"

#include <random>
#include <set>

using namespace fairlead;
using namespace fairlead::core;
using namespace fairlead::wire;
using namespace fairlead::test;

namespace {

TEST_F(PipelineTest, InnerPacketLeavesByteIdentical) {
    for (u16 payload : {0, 1, 5, 6, 7, 100, 1400}) {
        TestFrame packet = TestFrame::tcp(0x0a0a0001, 4000, kTcpSyn, payload);
        const std::vector<u8> inner(packet.data() + 14, packet.bytes.data() + packet.bytes.size());
        const Sent frame = send(packet);
        ASSERT_EQ(frame.verdict, Verdict::kForward);
        ASSERT_EQ(frame.length, 46 + inner.size());
        EXPECT_EQ(std::vector<u8>(frame.data + 46, frame.data + frame.length), inner);
    }
}

TEST_F(PipelineTest, GueHeadersAreRight) {
    const Sent frame = send(TestFrame::tcp(0x0a0a0001, 4000, kTcpSyn, 10));
    ASSERT_EQ(frame.verdict, Verdict::kForward);
    const auto *ethernet = reinterpret_cast<const EthernetHeader *>(frame.data);
    EXPECT_TRUE(std::equal(kPortMac.begin(), kPortMac.end(), ethernet->source));
    EXPECT_EQ(ethernet->destination[5], 0xa0 + decision().slot);
    const auto *ip = reinterpret_cast<const Ipv4Header *>(ethernet + 1);
    EXPECT_EQ(header_sum(frame.data + 14), 0xffff);
    EXPECT_EQ(ip->total_length.host(), frame.length - 14);
    EXPECT_EQ(ip->source.host(), 0x0a14000bu);
    EXPECT_EQ(ip->destination.host(), 0x0a14001fu + decision().slot);
    EXPECT_EQ(ip->protocol, kIpProtocolUdp);
    const auto *udp = reinterpret_cast<const UdpHeader *>(ip + 1);
    EXPECT_EQ(udp->destination_port.host(), 6080);
    EXPECT_GE(udp->source_port.host(), 49152);
    EXPECT_EQ(udp->length.host(), frame.length - 34);
    const auto *gue = reinterpret_cast<const GueHeader *>(udp + 1);
    EXPECT_EQ(gue->version_hlen, 0);
    EXPECT_EQ(gue->protocol, kIpProtocolIpip);
    EXPECT_EQ(gue->flags.host(), 0);
}

TEST_F(PipelineTest, IpipHeadersAreRight) {
    snapshot.services[0].forwarding = kForwardingIpip;
    adopt();
    TestFrame packet = TestFrame::udp(0x0a0a0001, 4000, 33);
    snapshot.services[0].protocol = kIpProtocolUdp;
    adopt();
    const std::vector<u8> inner(packet.data() + 14, packet.bytes.data() + packet.bytes.size());
    const Sent frame = send(packet);
    ASSERT_EQ(frame.verdict, Verdict::kForward);
    EXPECT_EQ(frame.length, 34 + inner.size());
    EXPECT_EQ(frame.data[14 + 9], kIpProtocolIpip);
    EXPECT_EQ(header_sum(frame.data + 14), 0xffff);
    EXPECT_EQ(std::vector<u8>(frame.data + 34, frame.data + frame.length), inner);
}

TEST_F(PipelineTest, LinkPaddingIsCutOff) {
    TestFrame packet = TestFrame::tcp(0x0a0a0001, 4000, kTcpSyn);
    packet.bytes.resize(packet.bytes.size() + 6);
    EXPECT_EQ(send(packet).length, 46u + 40u);
}

TEST_F(PipelineTest, ASynAndItsFollowersGoToOneBackend) {
    for (u16 port = 1024; port < 2048; ++port) {
        ASSERT_EQ(send(TestFrame::tcp(0x0a0a0001, port, kTcpSyn)).verdict, Verdict::kForward);
        EXPECT_EQ(decision().source, Source::kRow);
        const u16 slot = decision().slot;
        for (int flags : {+kTcpAck, kTcpAck | kTcpPsh, kTcpAck | kTcpFin, +kTcpAck}) {
            send(TestFrame::tcp(0x0a0a0001, port, flags, 10));
            ASSERT_EQ(decision().source, Source::kConnection);
            ASSERT_EQ(decision().slot, slot);
        }
    }
}

TEST_F(PipelineTest, OpenConnectionsKeepTheirBackendWhenOthersComeAndGo) {
    std::vector<u16> slots;
    for (u16 port = 0; port < 2000; ++port) {
        send(TestFrame::tcp(0x0a0a0001, port, kTcpSyn));
        slots.push_back(decision().slot);
    }
    snapshot.slots.push_back(test::slot_entry(0x0a140050, 0, 99));
    snapshot.hops.push_back({{2, 0, 0, 0, 0, 0x50}, 1, 0});
    snapshot.slots[1].state = kSlotDraining;
    for (std::size_t i = 0; i < snapshot.rows[0].size(); ++i) snapshot.rows[0][i] = i % 2 ? 4 : 0;
    adopt();
    for (u16 port = 0; port < 2000; ++port) {
        send(TestFrame::tcp(0x0a0a0001, port, kTcpAck, 5));
        ASSERT_EQ(decision().slot, slots[port]);
        ASSERT_EQ(decision().source, Source::kConnection);
    }
}

TEST_F(PipelineTest, AnEntryWhoseBackendWasReplacedIsAMiss) {
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpSyn));
    const u16 slot = decision().slot;
    snapshot.slots[slot].epoch ^= 0x5555; // the same slot, another tenant
    adopt();
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpAck));
    EXPECT_EQ(decision().source, Source::kRow);
    EXPECT_EQ(worker.counters.connections_stale, 1u);
    snapshot.slots.resize(1); // entries that name slots beyond the end
    snapshot.hops.resize(1);
    for (auto &row : snapshot.rows[0]) row = 0;
    adopt();
    for (u16 port = 3000; port < 3100; ++port) {
        send(TestFrame::tcp(0x0a0a0001, port, kTcpAck));
        EXPECT_EQ(decision().slot, 0);
    }
}

TEST_F(PipelineTest, AHalfOpenFlowLivesLongerOnceItAnswered) {
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpSyn));
    send(TestFrame::tcp(0x0a0a0001, 4001, kTcpSyn));
    send(TestFrame::tcp(0x0a0a0001, 4001, kTcpAck));
    now_ns += 31 * kSecond;
    sweep();
    EXPECT_EQ(worker.counters.connections, 1u);
    EXPECT_EQ(worker.counters.connections_expired, 1u);
    send(TestFrame::tcp(0x0a0a0001, 4001, kTcpAck));
    EXPECT_EQ(decision().source, Source::kConnection);
}

TEST_F(PipelineTest, FinAndRstOnlyShortenAndDataRestores) {
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpSyn));
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpRst)); // forged, say
    EXPECT_EQ(decision().source, Source::kConnection);
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpAck, 1));
    now_ns += 3600 * kSecond;
    sweep();
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpAck, 1));
    EXPECT_EQ(decision().source, Source::kConnection);
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpAck | kTcpFin));
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpAck));
    now_ns += 61 * kSecond;
    sweep();
    EXPECT_EQ(worker.counters.connections, 0u);
}

TEST_F(PipelineTest, AFloodOfDatagramsLeavesRoomForTcp) {
    snapshot.services.push_back(test::service_entry(kVip, 53, kIpProtocolUdp, 101));
    snapshot.slots.push_back(test::slot_entry(0x0a140060, 1, 5));
    snapshot.hops.push_back({{2, 0, 0, 0, 0, 0x60}, 1, 0});
    snapshot.rows.push_back(std::vector<u16>(251, 4));
    adopt();
    std::mt19937 random(9);
    for (int i = 0; i < 50'000; ++i)
        send(TestFrame::udp(static_cast<u32>(random()), static_cast<u16>(random()), 8, kVip, 53));
    EXPECT_EQ(worker.counters.connections_unrecorded, 0u);
    for (u16 port = 0; port < 500; ++port) {
        send(TestFrame::tcp(0x0a0a0001, port, kTcpSyn));
        send(TestFrame::tcp(0x0a0a0001, port, kTcpAck));
        ASSERT_EQ(decision().source, Source::kConnection) << port;
    }
    for (int i = 0; i < 50'000; ++i)
        send(TestFrame::udp(static_cast<u32>(random()), static_cast<u16>(random()), 8, kVip, 53));
    for (u16 port = 0; port < 500; ++port) {
        send(TestFrame::tcp(0x0a0a0001, port, kTcpAck));
        ASSERT_EQ(decision().source, Source::kConnection) << port;
    }
}

TEST_F(PipelineTest, OneFlowTwiceInABurstMakesOneEntry) {
    std::vector<TestFrame> packets;
    std::vector<Frame> burst;
    for (int i = 0; i < 32; ++i) packets.push_back(TestFrame::tcp(0x0a0a0001, static_cast<u16>(4000 + i / 8), kTcpSyn));
    for (auto &packet : packets) burst.push_back(packet.frame());
    worker.pipeline.process(built.generation.get(), burst, kPortMac, now_ns);
    EXPECT_EQ(worker.counters.connections_opened, 4u);
    EXPECT_EQ(worker.counters.by_connection, 28u);
    EXPECT_EQ(worker.counters.forwarded_packets, 32u);
}

TEST_F(PipelineTest, DropsHaveNames) {
    EXPECT_EQ(dropped(TestFrame::tcp(1, 1, kTcpSyn, 0, kVip, 81)), DropReason::no_service);
    EXPECT_EQ(dropped(TestFrame::ip(1, kVip, kIpProtocolIcmp, 60)), DropReason::protocol_unsupported);
    EXPECT_EQ(dropped(TestFrame::tcp(1, 1, kTcpSyn, 1600)), DropReason::too_big);
    TestFrame packet = TestFrame::tcp(1, 1, kTcpSyn);
    packet.header().fragment = Be16::from_host(kIpv4MoreFragments);
    EXPECT_EQ(dropped(packet), DropReason::fragment);
    packet = TestFrame::tcp(1, 1, kTcpSyn);
    packet.header().total_length = Be16::from_host(200);
    EXPECT_EQ(dropped(packet), DropReason::ip_length_bad);
    packet = TestFrame::tcp(1, 1, kTcpSyn);
    packet.header().version_ihl = 0x65;
    EXPECT_EQ(dropped(packet), DropReason::ip_header_bad);
    packet = TestFrame::tcp(1, 1, kTcpSyn);
    packet.data()[34 + 12] = 0xf0;
    EXPECT_EQ(dropped(packet), DropReason::l4_header_bad);
    EXPECT_EQ(worker.counters.forwarded_packets, 0u);
}

TEST_F(PipelineTest, UnresolvedNextHopAndNoBackendAreNamed) {
    for (auto &hop : snapshot.hops) hop.resolved = 0;
    adopt();
    EXPECT_EQ(dropped(TestFrame::tcp(1, 1, kTcpSyn)), DropReason::no_next_hop);
    for (auto &row : snapshot.rows[0]) row = kNoSlot;
    adopt();
    EXPECT_EQ(dropped(TestFrame::tcp(1, 2, kTcpSyn)), DropReason::no_backend);
    EXPECT_EQ(worker.block->services[0].drops[static_cast<u8>(DropReason::no_backend)], 1u);
}

TEST_F(PipelineTest, WhatIsNotForAVipIsTheKernels) {
    TestFrame packet = TestFrame::tcp(1, 1, kTcpSyn, 0, kVip + 1);
    const auto before = packet.bytes;
    EXPECT_EQ(send(packet).verdict, Verdict::kKernel);
    EXPECT_EQ(packet.bytes, before);
    packet = TestFrame::tcp(1, 1, kTcpSyn);
    packet.data()[12] = 0x86;
    packet.data()[13] = 0xdd;
    EXPECT_EQ(send(packet).verdict, Verdict::kKernel);
    packet = TestFrame::tcp(1, 1, kTcpSyn, 0, kVip + 1);
    packet.header().total_length = Be16::from_host(9);
    EXPECT_EQ(send(packet).verdict, Verdict::kKernel);
}

TEST_F(PipelineTest, WhatTheKernelHasNoRoomForDropsUnderAName) {
    worker.pipeline.set_kernel(true, 1);
    TestFrame packet = TestFrame::tcp(1, 1, kTcpSyn, 0, kVip + 1);
    EXPECT_EQ(send(packet).verdict, Verdict::kKernel);
    EXPECT_EQ(dropped(packet), DropReason::kernel_full);
    EXPECT_EQ(worker.counters.kernel_packets, 1u);
    EXPECT_EQ(send(TestFrame::tcp(1, 1, kTcpSyn)).verdict, Verdict::kForward);
}

TEST_F(PipelineTest, EveryTruncationDropsUnderAName) {
    TestFrame packet = TestFrame::tcp(0x0a0a0001, 4000, kTcpSyn, 20);
    const std::size_t full = packet.bytes.size() - TestFrame::kHeadroom;
    for (std::size_t length = 0; length < full; ++length) {
        // An exact allocation, so that the address sanitizer sees one byte too far.
        std::vector<u8> exact(packet.bytes.begin(), packet.bytes.begin() + TestFrame::kHeadroom + static_cast<long>(length));
        Frame frame{exact.data() + TestFrame::kHeadroom, static_cast<u32>(length), TestFrame::kHeadroom};
        worker.pipeline.process(built.generation.get(), {&frame, 1}, kPortMac, now_ns);
        ASSERT_EQ(decision().verdict, Verdict::kDrop) << length;
    }
}

TEST_F(PipelineTest, WithoutAGenerationEverythingIsTheKernels) {
    TestFrame packet = TestFrame::tcp(1, 1, kTcpSyn);
    EXPECT_EQ(send_through(worker, nullptr, packet).verdict, Verdict::kKernel);
}

TEST_F(PipelineTest, WithoutAWayToTheKernelItDropsUnderAName) {
    Worker alone(4096, 1600, false);
    TestFrame packet = TestFrame::tcp(1, 1, kTcpSyn, 0, kVip + 1);
    const Sent sent = send_through(alone, built.generation.get(), packet);
    EXPECT_EQ(sent.verdict, Verdict::kDrop);
    EXPECT_EQ(sent.reason, DropReason::not_for_vip);
    EXPECT_EQ(send_through(alone, nullptr, packet).reason, DropReason::no_snapshot);
    EXPECT_EQ(alone.counters.kernel_packets, 0u);
}

TEST_F(PipelineTest, IpOptionsAreForwardedWhole) {
    TestFrame packet = TestFrame::ip(0x0a0a0001, kVip, kIpProtocolTcp, 24 + 20);
    packet.header().version_ihl = 0x46;
    auto *tcp = reinterpret_cast<TcpHeader *>(packet.data() + 14 + 24);
    *tcp = {Be16::from_host(9), Be16::from_host(80), {}, {}, 0x50, kTcpSyn, {}, {}, {}};
    EXPECT_EQ(send(packet).verdict, Verdict::kForward);
}

TEST_F(PipelineTest, AnyPortServiceKeepsPortsApart) {
    snapshot.services[0].port = {kPortAny};
    adopt();
    std::set<u16> slots;
    for (u16 port = 1; port < 200; ++port) {
        send(TestFrame::tcp(0x0a0a0001, 4000, kTcpSyn, 0, kVip, port));
        EXPECT_EQ(decision().source, Source::kRow);
        slots.insert(decision().slot);
    }
    EXPECT_EQ(slots.size(), 4u);
    EXPECT_EQ(worker.counters.connections_opened, 199u);
    send(TestFrame::tcp(0x0a0a0001, 4000, kTcpAck, 0, kVip, 77));
    EXPECT_EQ(decision().source, Source::kConnection);
}

TEST_F(PipelineTest, CountersAddUp) {
    std::mt19937 random(1);
    for (int i = 0; i < 3000; ++i)
        send(TestFrame::tcp(random() % 500, static_cast<u16>(random() % 4), random() % 2 ? kTcpSyn : kTcpAck, random() % 90,
                            kVip + (random() % 8 == 0), random() % 8 ? 80 : 81));
    const auto &c = worker.counters;
    u64 drops = 0, slot_packets = 0, live = 0;
    for (u64 d : c.drops) drops += d;
    for (auto &slot : worker.block->slot_traffic) slot_packets += slot.packets;
    for (auto &slot : worker.block->slots) live += slot.connections;
    EXPECT_EQ(c.received_packets, 3000u);
    EXPECT_EQ(c.received_packets, c.forwarded_packets + c.kernel_packets + c.resets_sent + drops);
    EXPECT_EQ(c.forwarded_packets, c.by_connection + c.by_row + c.by_hops);
    EXPECT_EQ(c.forwarded_packets, slot_packets);
    EXPECT_EQ(c.connections_opened, live);
    EXPECT_EQ(c.generations[1].packets, 3000u);
}

} // namespace
