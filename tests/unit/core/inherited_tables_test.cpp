// SPDX-License-Identifier: Apache-2.0
// Inherited tables: flows whose entries another worker of an earlier dataplane has left.
#include "tests/unit/core/connection_fixture.hpp"
#include "tests/unit/core/pipeline_fixture.hpp"

#include "dataplane/core/inherited_tables.hpp"

#include <gtest/gtest.h>

using namespace fairlead;
using namespace fairlead::core;
using wire::u32;
using wire::u64;
using wire::u8;

namespace {

template <class Key> class InheritedTablesTest : public testing::Test {
  protected:
    static constexpr u32 kCount = 400;
    test::Flows<Key> flows;
    test::TableMemory memory[2] = {test::TableMemory{connection_memory_bytes<Key>(500)}, test::TableMemory{connection_memory_bytes<Key>(333)}};
    std::vector<InheritedTable<Key>> tables;

    void SetUp() override {
        for (auto &part : memory) {
            test::Process<Key> before(part.span());
            for (u32 n = &part == memory ? 0 : kCount / 2; n < (&part == memory ? kCount / 2 : kCount); ++n)
                ASSERT_TRUE(before.table.insert(flows.generation, flows.hash(n), flows.key(n),
                                                test::connection(n, ConnectionState::kEstablished, 100), 100));
            tables.emplace_back(part.span());
        }
    }
    typename InheritedTable<Key>::Entry find(u32 n) {
        for (auto &table : tables)
            if (auto entry = table.find(flows.hash(n), flows.key(n))) return entry;
        return {};
    }
    u64 live(u32 now_s, std::vector<u32> &by_slot) {
        by_slot.assign(wire::kSlotCapacity + 1, 0);
        u64 sum = 0;
        for (auto &table : tables) sum += table.count_live(flows.generation, now_s, by_slot);
        return sum;
    }
};

using Keys = testing::Types<CompactKey, WideKey>;
TYPED_TEST_SUITE(InheritedTablesTest, Keys);

TYPED_TEST(InheritedTablesTest, EachEntryIsFoundUntilItIsCleared) {
    for (u32 n = 0; n < this->kCount; ++n) {
        const auto entry = this->find(n);
        ASSERT_TRUE(entry) << n;
        EXPECT_EQ(Connection::unpack(entry.value()).slot, n % 4);
        entry.clear();
        EXPECT_FALSE(this->find(n));
    }
    EXPECT_FALSE(this->find(this->kCount));
}

TYPED_TEST(InheritedTablesTest, WhatLivesIsCountedBySlotUntilItExpires) {
    std::vector<u32> by_slot;
    EXPECT_EQ(this->live(100, by_slot), this->kCount);
    EXPECT_EQ(by_slot[2], this->kCount / 4);
    this->find(2).clear();
    EXPECT_EQ(this->live(100 + 6 * 3600, by_slot), this->kCount - 1);
    EXPECT_EQ(by_slot[2], this->kCount / 4 - 1);
    EXPECT_EQ(this->live(101 + 6 * 3600, by_slot), 0u);
}

TYPED_TEST(InheritedTablesTest, AnEntryOfAnotherTenantDoesNotLive) {
    auto entry = this->find(8);
    Connection other = Connection::unpack(entry.value());
    other.epoch = 999;
    entry.value() = other.pack();
    std::vector<u32> by_slot;
    EXPECT_EQ(this->live(100, by_slot), this->kCount - 1);
}

TEST(InheritedGauge, FollowsEachCountAndTakesItsOwnAway) {
    std::vector<wire::SlotCounters> slots(wire::kSlotCapacity + 1);
    slots[3].connections = 10;
    InheritedGauge gauge(slots.data());
    InheritedTables tables;
    tables.serial = 1;
    tables.live = {{3, 5}, {7, 2}};
    gauge.follow(&tables);
    gauge.follow(&tables);
    EXPECT_EQ(slots[3].connections, 15u);
    EXPECT_EQ(slots[7].connections, 2u);
    EXPECT_EQ(gauge.total(), 7u);
    tables.serial = 2;
    tables.live = {{3, 1}};
    gauge.follow(&tables);
    EXPECT_EQ(slots[3].connections, 11u);
    EXPECT_EQ(slots[7].connections, 0u);
    gauge.follow(nullptr);
    EXPECT_EQ(slots[3].connections, 10u);
    EXPECT_EQ(gauge.total(), 0u);
}

/// A worker whose connections another one inherits.
class InheritingPipelineTest : public test::PipelineTest {
  protected:
    static constexpr u32 kClients = 100;
    test::Worker successor{4096, 1600, true};
    InheritedTables tables;

    void SetUp() override {
        for (u32 client = 0; client < kClients; ++client) {
            send(test::TestFrame::tcp(0x0a000000 + client, 1000, wire::kTcpSyn));
            send(test::TestFrame::tcp(0x0a000000 + client, 1000, wire::kTcpAck));
            slots.push_back(decision().slot);
        }
        tables.serial = 1;
        tables.compact.emplace_back(worker.compact.span());
        tables.wide.emplace_back(worker.wide.span());
        successor.pipeline.consult(&tables);
    }
    /// Each row has another owner than before.
    void turn_rows() {
        for (auto &row : snapshot.rows[0]) row = static_cast<wire::u16>((row + 1) % 4);
        adopt();
    }
    Decision send_to_successor(u32 client, u8 flags = wire::kTcpAck) {
        kept = test::TestFrame::tcp(0x0a000000 + client, 1000, flags);
        Frame frame = kept.frame();
        successor.pipeline.process(built.generation.get(), {&frame, 1}, test::kPortMac, now_ns);
        return successor.pipeline.decision(0);
    }
    std::vector<wire::u16> slots;
};

TEST_F(InheritingPipelineTest, ConnectionsKeepTheirBackendsAndAreTakenOverOnce) {
    turn_rows();
    for (int round = 0; round < 2; ++round)
        for (u32 client = 0; client < kClients; ++client) {
            const Decision decision = send_to_successor(client);
            ASSERT_EQ(decision.source, Source::kConnection) << client;
            ASSERT_EQ(decision.slot, slots[client]);
        }
    EXPECT_EQ(successor.counters.connections_inherited, kClients);
    EXPECT_EQ(successor.counters.connections_opened, 0u);
    std::vector<u32> by_slot(wire::kSlotCapacity + 1);
    EXPECT_EQ(tables.compact[0].count_live(*built.generation, 1000, by_slot), 0u) << "who moves out leaves nothing behind";
}

TEST_F(InheritingPipelineTest, ASynOnALiveConnectionMovesNothing) {
    turn_rows();
    EXPECT_EQ(send_to_successor(3, wire::kTcpSyn).slot, slots[3]);
    EXPECT_EQ(send_to_successor(3).slot, slots[3]);
}

TEST_F(InheritingPipelineTest, ExpiredConnectionsAreMisses) {
    turn_rows();
    now_ns += (6 * 3600 + 1) * test::kSecond;
    EXPECT_EQ(send_to_successor(3).source, Source::kRow);
    EXPECT_EQ(successor.counters.connections_inherited, 0u);
}

TEST_F(InheritingPipelineTest, AConnectionOfASlotsFormerTenantIsAMiss) {
    for (auto &slot : snapshot.slots) slot.epoch = static_cast<wire::u16>(slot.epoch + 100);
    turn_rows();
    const Decision decision = send_to_successor(3);
    EXPECT_EQ(decision.source, Source::kRow);
    EXPECT_EQ(decision.slot, (slots[3] + 1) % 4);
}

TEST_F(InheritingPipelineTest, WithoutRoomTheyAreFollowedWhereTheyAre) {
    // Fill the successor's table with connections that nothing pushes out.
    for (u32 client = 1000; successor.counters.connections_unrecorded < 5000; ++client)
        for (const u8 flags : {u8{wire::kTcpSyn}, u8{wire::kTcpAck}}) send_to_successor(client, flags);
    turn_rows();
    for (int round = 0; round < 2; ++round)
        for (u32 client = 0; client < kClients; ++client) ASSERT_EQ(send_to_successor(client).slot, slots[client]) << client;
    EXPECT_LT(successor.counters.connections_inherited, kClients);
}

TEST_F(InheritingPipelineTest, LetGoTheyAreForgotten) {
    turn_rows();
    successor.pipeline.consult(nullptr);
    EXPECT_EQ(send_to_successor(3).source, Source::kRow);
}

} // namespace
