// SPDX-License-Identifier: Apache-2.0
// Connections of backends that died: `on_dead: rehash` and `reset`.
#include "tests/unit/core/pipeline_fixture.hpp"

using namespace fairlead;
using namespace fairlead::test;

namespace {

class DeadBackendTest : public PipelineTest {
  protected:
    /// Opens a connection and lets its backend die. @return the backend's slot.
    u16 open_and_kill(u8 state) {
        send(TestFrame::tcp(kClient, 4000, kTcpSyn));
        const u16 slot = decision().slot;
        send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
        snapshot.slots[slot].state = state;
        for (auto &row : snapshot.rows[0])
            if (row == slot) row = static_cast<u16>((slot + 1) % 4);
        adopt();
        return slot;
    }
    static TcpHeader &tcp_of(TestFrame &packet) { return *reinterpret_cast<TcpHeader *>(packet.data() + 34); }
    static TestFrame segment(int flags, u16 payload, u32 sequence, u32 acknowledgement) {
        TestFrame packet = TestFrame::tcp(kClient, 4000, static_cast<u8>(flags), payload);
        tcp_of(packet).sequence = Be32::from_host(sequence);
        tcp_of(packet).acknowledgement = Be32::from_host(acknowledgement);
        packet.data()[11] = 0x77; // the last byte of its link-layer source
        return packet;
    }
    static u32 sum_of(const u8 *bytes, std::size_t size) {
        u32 sum = 0;
        for (std::size_t i = 0; i < size; i += 2) sum += static_cast<u32>(bytes[i] << 8 | bytes[i + 1]);
        return sum;
    }
    static void expect_reset(const Sent &frame) {
        ASSERT_EQ(frame.verdict, Verdict::kReply);
        ASSERT_EQ(frame.length, 54u);
        EXPECT_EQ(frame.data[5], 0x77); // to where the segment came from
        EXPECT_TRUE(std::equal(kPortMac.begin(), kPortMac.end(), frame.data + 6));
        const auto *ip = reinterpret_cast<const Ipv4Header *>(frame.data + 14);
        EXPECT_EQ(ip->source.host(), kVip);
        EXPECT_EQ(ip->destination.host(), kClient);
        EXPECT_EQ(ip->total_length.host(), 40);
        EXPECT_EQ(header_sum(frame.data + 14), 0xffff);
        const u32 sum = sum_of(frame.data + 26, 8) + kIpProtocolTcp + 20 + sum_of(frame.data + 34, 20);
        EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffu);
        const auto *tcp = reinterpret_cast<const TcpHeader *>(frame.data + 34);
        EXPECT_EQ(tcp->source_port.host(), 80);
        EXPECT_EQ(tcp->destination_port.host(), 4000);
    }
    static const TcpHeader &reset_of(const Frame &frame) { return *reinterpret_cast<const TcpHeader *>(frame.data + 34); }
};

TEST_F(DeadBackendTest, RehashSendsItsFlowsToTheirRowsNewOwners) {
    const u16 dead = open_and_kill(kSlotRehash);
    EXPECT_EQ(send(TestFrame::tcp(kClient, 4000, kTcpAck, 1)).verdict, Verdict::kForward);
    EXPECT_EQ(decision().slot, (dead + 1) % 4);
}

TEST_F(DeadBackendTest, ABackendThatReturnsFindsTheConnectionsThatWereSilentMeanwhile) {
    const u16 dead = open_and_kill(kSlotRehash);
    snapshot.slots[dead].state = kSlotUp;
    adopt();
    send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
    EXPECT_EQ(decision().slot, dead);
    EXPECT_EQ(decision().source, Source::kConnection);
}

TEST_F(DeadBackendTest, ResetAnswersWithTheNumberThatTheClientExpects) {
    open_and_kill(kSlotReset);
    const Sent frame = send(segment(kTcpAck | kTcpPsh, 100, 5000, 777'000));
    expect_reset(frame);
    EXPECT_EQ(reset_of(frame).flags, kTcpRst);
    EXPECT_EQ(reset_of(frame).sequence.host(), 777'000u);
    EXPECT_EQ(worker.counters.resets_sent, 1u);
    EXPECT_EQ(worker.counters.forwarded_packets, 2u);
}

TEST_F(DeadBackendTest, ResetOfASegmentWithoutAckAcknowledgesIt) {
    open_and_kill(kSlotReset);
    const Sent frame = send(segment(kTcpFin, 100, 5000, 0));
    expect_reset(frame);
    EXPECT_EQ(reset_of(frame).flags, kTcpRst | kTcpAck);
    EXPECT_EQ(reset_of(frame).sequence.host(), 0u);
    EXPECT_EQ(reset_of(frame).acknowledgement.host(), 5101u);
}

TEST_F(DeadBackendTest, AResetOrTwoMakesNoResetAgain) {
    open_and_kill(kSlotReset);
    EXPECT_EQ(dropped(TestFrame::tcp(kClient, 4000, kTcpRst)), DropReason::backend_dead);
    EXPECT_EQ(worker.counters.resets_sent, 0u);
}

TEST_F(DeadBackendTest, ANewConnectionFromTheSamePortGoesToALivingBackend) {
    const u16 dead = open_and_kill(kSlotReset);
    EXPECT_EQ(send(TestFrame::tcp(kClient, 4000, kTcpSyn)).verdict, Verdict::kForward);
    EXPECT_NE(decision().slot, dead);
    EXPECT_EQ(decision().source, Source::kRow);
}

TEST_F(DeadBackendTest, AnUnsureFlowIsNeverReset) {
    snapshot = Snapshot::with_alternates(4, 2);
    adopt();
    send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
    const u16 dead = decision().slot;
    snapshot.slots[dead].state = kSlotReset;
    for (auto &row : snapshot.rows[0])
        if (row == dead) row = static_cast<u16>((dead + 1) % 4);
    for (auto &slot : snapshot.alternates[0])
        if (slot == dead) slot = kNoSlot;
    adopt();
    EXPECT_EQ(send(TestFrame::tcp(kClient, 4000, kTcpAck, 1)).verdict, Verdict::kForward);
    EXPECT_EQ(decision().source, Source::kHops);
}

TEST_F(DeadBackendTest, ARestoredGenerationThatIsTooOldLosesPacketsButNoConnection) {
    send(TestFrame::tcp(kClient, 4000, kTcpSyn));
    const u16 slot = decision().slot;
    send(TestFrame::tcp(kClient, 4000, kTcpAck, 1));
    const auto slots = snapshot.slots;
    const auto rows = snapshot.rows;
    snapshot.slots[slot].state = kSlotFree; // as before the backend was added
    for (auto &row : snapshot.rows[0])
        if (row == slot) row = static_cast<u16>((slot + 1) % 4);
    adopt();
    worker.pipeline.hold_unknown(true);
    EXPECT_EQ(dropped(TestFrame::tcp(kClient, 4000, kTcpAck, 1)), DropReason::backend_unknown);
    EXPECT_EQ(send(TestFrame::tcp(kClient, 4001, kTcpAck, 1)).verdict, Verdict::kForward);
    snapshot.slots = slots;
    snapshot.rows = rows;
    adopt();
    worker.pipeline.hold_unknown(false);
    EXPECT_EQ(send(TestFrame::tcp(kClient, 4000, kTcpAck, 1)).verdict, Verdict::kForward);
    EXPECT_EQ(decision().slot, slot);
    EXPECT_EQ(decision().source, Source::kConnection);
}

TEST_F(DeadBackendTest, UdpMovesAtOnce) {
    snapshot = Snapshot::with_backends(4, 53, kIpProtocolUdp);
    adopt();
    send(TestFrame::udp(kClient, 4000, 10, kVip, 53));
    const u16 dead = decision().slot;
    snapshot.slots[dead].state = kSlotRehash;
    for (auto &row : snapshot.rows[0])
        if (row == dead) row = static_cast<u16>((dead + 1) % 4);
    adopt();
    EXPECT_EQ(send(TestFrame::udp(kClient, 4000, 10, kVip, 53)).verdict, Verdict::kForward);
    EXPECT_NE(decision().slot, dead);
}

} // namespace
