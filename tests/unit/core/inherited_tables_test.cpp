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

} // namespace
