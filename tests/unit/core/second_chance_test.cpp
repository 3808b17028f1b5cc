// SPDX-License-Identifier: Apache-2.0
// Connections that the balancer finds without their beginning: unsure, with the row's former owners as hops.
#include "tests/unit/core/pipeline_fixture.hpp"

#include "dataplane/core/encapsulate.hpp"

using namespace fairlead;
using namespace fairlead::test;

namespace {

constexpr std::size_t kOuter = 46; // Ethernet, IPv4, UDP, GUE

class SecondChanceTest : public PipelineTest {
  protected:
    SecondChanceTest() {
        snapshot = Snapshot::with_alternates(4, 2);
        built = snapshot.build();
    }
    static u32 address_of(u16 slot) { return 0x0a14001fu + slot; }
    /// The hops that a frame carries, host order.
    static std::vector<u32> hops_of(const Frame &frame) {
        const unsigned words = frame.data[kOuter - 4] & kGueHlenMask;
        if (words == 0) return {};
        GueHops header;
        std::memcpy(&header, frame.data + kOuter, sizeof header);
        EXPECT_EQ(header.type.host(), kGueHopsIpv4);
        EXPECT_EQ(header.next_hop, 0);
        EXPECT_EQ(words, 1u + header.hop_count);
        std::vector<u32> hops;
        for (unsigned i = 0; i < header.hop_count; ++i) {
            Be32 hop;
            std::memcpy(&hop, frame.data + kOuter + sizeof header + 4 * i, sizeof hop);
            hops.push_back(hop.host());
        }
        return hops;
    }
    static u32 outer_destination(const Frame &frame) {
        return reinterpret_cast<const Ipv4Header *>(frame.data + 14)->destination.host();
    }
    void give_all_rows_to(u16 owner, std::initializer_list<u16> alternates) {
        snapshot.rows[0].assign(snapshot.rows[0].size(), owner);
        snapshot.alternates[0].clear();
        for (std::size_t row = 0; row < snapshot.rows[0].size(); ++row)
            for (unsigned i = 0; i < kAlternateCount; ++i)
                snapshot.alternates[0].push_back(i < alternates.size() ? alternates.begin()[i] : u16{kNoSlot});
        adopt();
    }
};

TEST_F(SecondChanceTest, ASynAndItsFollowersCarryNoHops) {
    const Frame syn = send(TestFrame::tcp(kClient, 4000, kTcpSyn));
    EXPECT_TRUE(hops_of(syn).empty());
    EXPECT_EQ(decision().source, Source::kRow);
    EXPECT_TRUE(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpAck, 10))).empty());
    EXPECT_EQ(decision().source, Source::kConnection);
    EXPECT_EQ(worker.counters.by_hops, 0u);
}

TEST_F(SecondChanceTest, AFlowFoundWithoutItsBeginningCarriesItsRowsAlternatesForEver) {
    for (int i = 0; i < 5; ++i) {
        const Sent frame = send(TestFrame::tcp(kClient, 4000, kTcpAck, 100));
        const u16 slot = decision().slot;
        EXPECT_EQ(decision().source, Source::kHops);
        EXPECT_EQ(outer_destination(frame), address_of(slot));
        EXPECT_EQ(hops_of(frame), (std::vector<u32>{address_of((slot + 1) % 4), address_of((slot + 2) % 4)}));
    }
    EXPECT_EQ(worker.counters.connections_opened, 1u);
    EXPECT_EQ(worker.counters.by_hops, 5u);
}

TEST_F(SecondChanceTest, HopsStandInTheGueHeaderAndAllLengthsCountThem) {
    TestFrame packet = TestFrame::tcp(kClient, 4000, kTcpAck, 100);
    const std::vector<u8> inner(packet.data() + 14, packet.bytes.data() + packet.bytes.size());
    const Sent frame = send(packet);
    const u32 hops = hops_length(2);
    EXPECT_EQ(hops, 12u);
    ASSERT_EQ(frame.length, kOuter + hops + inner.size());
    EXPECT_EQ(header_sum(frame.data + 14), 0xffff);
    EXPECT_EQ(reinterpret_cast<const Ipv4Header *>(frame.data + 14)->total_length.host(), frame.length - 14);
    EXPECT_EQ(reinterpret_cast<const UdpHeader *>(frame.data + 34)->length.host(), frame.length - 34);
    EXPECT_EQ(std::vector<u8>(frame.data + kOuter + hops, frame.data + frame.length), inner);
}

TEST_F(SecondChanceTest, AnUnsureFlowFollowsTheHopsOfTheCurrentGeneration) {
    give_all_rows_to(0, {1});
    EXPECT_EQ(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpAck, 1))), std::vector<u32>{address_of(1)});
    give_all_rows_to(2, {0, 1});
    // First the entry's backend, then the present owner, then who else owned the row.
    const Sent frame = send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
    EXPECT_EQ(outer_destination(frame), address_of(0));
    EXPECT_EQ(hops_of(frame), (std::vector<u32>{address_of(2), address_of(1)}));
}

TEST_F(SecondChanceTest, WhenAllBackendsDrainAFoundFlowGoesToTheLastOwnerAndANewOneNowhere) {
    for (auto &slot : snapshot.slots) slot.state = kSlotDraining;
    give_all_rows_to(kNoSlot, {2, 0});
    const Sent frame = send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
    EXPECT_EQ(outer_destination(frame), address_of(2));
    EXPECT_EQ(hops_of(frame), std::vector<u32>{address_of(0)});
    EXPECT_EQ(dropped(TestFrame::tcp(kClient, 4001, kTcpSyn)), DropReason::no_backend);
}

TEST_F(SecondChanceTest, UnsureConnectionsAreCountedByServiceWhileTheyLive) {
    send(TestFrame::tcp(kClient, 4000, kTcpSyn));
    EXPECT_EQ(worker.block->services[0].connections_unsure, 0u);
    for (u16 port = 4001; port < 4011; ++port) send(TestFrame::tcp(kClient, port, kTcpAck, 1));
    EXPECT_EQ(worker.block->services[0].connections_unsure, 10u);
    now_ns += 31 * kSecond;
    sweep();
    EXPECT_EQ(worker.block->services[0].connections_unsure, 0u);
}

TEST_F(SecondChanceTest, NoMoreThanThreeHops) {
    give_all_rows_to(0, {});
    send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
    snapshot.slots.push_back(slot_entry(address_of(4), 0, 99));
    snapshot.hops.push_back({{2, 0, 0, 0, 0, 0x50}, 1, 0});
    give_all_rows_to(4, {1, 2, 3});
    EXPECT_EQ(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpAck, 1))),
              (std::vector<u32>{address_of(4), address_of(1), address_of(2)}));
}

TEST_F(SecondChanceTest, AnUnsureFlowStaysUnsureThroughSynFinAndReset) {
    for (int flags : {+kTcpAck, +kTcpSyn, kTcpAck | kTcpFin, +kTcpRst, +kTcpAck}) {
        send(TestFrame::tcp(kClient, 4000, flags, 1));
        EXPECT_EQ(decision().source, Source::kHops) << flags;
    }
}

TEST_F(SecondChanceTest, ALastPacketWithoutAnEntryCarriesHopsButMakesNoEntry) {
    EXPECT_FALSE(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpAck | kTcpFin))).empty());
    EXPECT_FALSE(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpRst))).empty());
    EXPECT_EQ(worker.counters.connections_opened, 0u);
}

TEST_F(SecondChanceTest, WhereTheMtuHasNoRoomForHopsThePacketLeavesWithoutThem) {
    Worker narrow(4096, 40 + 1400 + 32 + 4);
    TestFrame packet = TestFrame::tcp(kClient, 4000, kTcpAck, 1400);
    const Sent frame = send_through(narrow, built.generation.get(), packet);
    EXPECT_EQ(frame.verdict, Verdict::kForward);
    EXPECT_TRUE(hops_of(frame).empty());
    EXPECT_EQ(narrow.counters.hops_omitted, 1u);
}

TEST_F(SecondChanceTest, UnsureFlowsGoOnWithoutHopsWhenTheirServiceLosesItsAlternates) {
    ASSERT_FALSE(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpAck, 100))).empty());
    const u16 slot = decision().slot;
    snapshot.alternates.clear();
    for (const u8 forwarding : {kForwardingGue, kForwardingIpip}) {
        snapshot.services[0].forwarding = forwarding;
        adopt();
        const Sent frame = send(TestFrame::tcp(kClient, 4000, kTcpAck, 100));
        ASSERT_EQ(frame.verdict, Verdict::kForward);
        EXPECT_EQ(decision().source, Source::kHops);
        EXPECT_EQ(outer_destination(frame), address_of(slot));
        EXPECT_EQ(frame.length, 140u + (forwarding == kForwardingGue ? kOuter : 34u));
    }
}

TEST_F(SecondChanceTest, AServiceWithoutAlternatesHasNoUnsureFlows) {
    snapshot.alternates.clear();
    adopt();
    EXPECT_TRUE(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpAck, 1))).empty());
    EXPECT_EQ(decision().source, Source::kRow);
    EXPECT_TRUE(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpAck, 1))).empty());
    EXPECT_EQ(decision().source, Source::kConnection);
}

TEST_F(SecondChanceTest, ADrainedBackendGetsNoNewConnectionThroughAReusedPort) {
    send(TestFrame::tcp(kClient, 4000, kTcpSyn));
    const u16 drained = decision().slot;
    send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
    send(TestFrame::tcp(kClient, 4000, kTcpAck | kTcpFin));
    snapshot.slots[drained].state = kSlotDraining;
    const u16 other = static_cast<u16>((drained + 1) % 4);
    give_all_rows_to(other, {drained});
    send(TestFrame::tcp(kClient, 4000, kTcpAck)); // the last of the old connection still goes where it was
    EXPECT_EQ(decision().slot, drained);
    const Sent frame = send(TestFrame::tcp(kClient, 4000, kTcpSyn));
    EXPECT_EQ(decision().slot, other);
    // The FIN and the SYN may have been forged: then the new owner hands on what it never saw.
    EXPECT_EQ(hops_of(frame), std::vector<u32>{address_of(drained)});
    EXPECT_EQ(hops_of(send(TestFrame::tcp(kClient, 4000, kTcpAck, 1))), std::vector<u32>{address_of(drained)});
}

TEST_F(SecondChanceTest, ASynOnAnOpenConnectionOfADrainedBackendMovesNothing) {
    send(TestFrame::tcp(kClient, 4000, kTcpSyn));
    const u16 drained = decision().slot;
    send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
    snapshot.slots[drained].state = kSlotDraining;
    give_all_rows_to(static_cast<u16>((drained + 1) % 4), {drained});
    send(TestFrame::tcp(kClient, 4000, kTcpSyn));
    EXPECT_EQ(decision().slot, drained);
    EXPECT_EQ(decision().source, Source::kConnection);
}

TEST_F(SecondChanceTest, AlternatesAreForTcpOverGueAlone) {
    snapshot.services[0].forwarding = kForwardingIpip;
    snapshot.render();
    EXPECT_NE(snapshot.build().refusal.find("alternates"), std::string::npos);
    snapshot.services[0] = service_entry(kVip, 80, kIpProtocolUdp, 100);
    snapshot.render();
    EXPECT_NE(snapshot.build().refusal.find("alternates"), std::string::npos);
}

TEST_F(SecondChanceTest, AlternatesNameLivingBackendsOfTheService) {
    snapshot.slots.push_back(slot_entry(address_of(4), 0, 99, kSlotRehash));
    snapshot.hops.push_back({{2, 0, 0, 0, 0, 0x50}, 1, 0});
    for (const u16 slot : {u16{4}, u16{5}}) {
        snapshot.alternates[0][7] = slot;
        snapshot.render();
        EXPECT_NE(snapshot.build().refusal.find("alternates"), std::string::npos) << slot;
    }
    snapshot.slots[4].state = kSlotDraining;
    snapshot.alternates[0][7] = 4;
    snapshot.render();
    EXPECT_EQ(snapshot.build().refusal, "");
}

} // namespace
