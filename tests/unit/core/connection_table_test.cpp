// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/connection_table.hpp"

#include "tests/unit/core/snapshot_fixture.hpp"
#include "tests/unit/core/worker_fixture.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

using namespace fairlead;
using namespace fairlead::core;
using wire::FlowBlock;
using wire::FlowHash;
using wire::u16;
using wire::u32;
using wire::u64;

namespace {

FlowBlock flow(u32 n) {
    return {wire::Be32::from_host(0x0a0a0000 + (n >> 14)), wire::Be32::from_host(0xc633640a),
            wire::Be16::from_host(static_cast<u16>(1024 + (n & 0x3fff))), wire::Be16::from_host(80), 6, {}};
}

template <class Key> class ConnectionTableTest : public testing::Test {
  protected:
    static constexpr std::size_t kCapacity = 8192;
    test::Snapshot snapshot = test::Snapshot::with_backends(4);
    Generation::Built built = snapshot.build();
    const Generation &generation = *built.generation;
    test::TableMemory memory{connection_memory_bytes<Key>(kCapacity)};
    std::vector<wire::SlotCounters> slots = std::vector<wire::SlotCounters>(wire::kSlotCapacity + 1);
    ConnectionTable<Key> table{memory.span(), slots.data()};

    FlowHash hash(u32 n) const { return wire::flow_hash(generation.hash_key(), flow(n)); }
    Key key(u32 n, u16 service = 0) const { return Key::of(flow(n), service); }
    bool insert(u32 n, Connection c, u32 now_s) { return table.insert(generation, hash(n), key(n), c, now_s); }
    static Connection connection(u32 n, ConnectionState state, u32 now_s) {
        return {static_cast<u16>(n % 4), static_cast<u16>(7 + n % 4), state, now_s};
    }
    u64 live() const {
        u64 sum = 0;
        for (auto &slot : slots) sum += slot.connections;
        return sum;
    }
};

using Keys = testing::Types<CompactKey, WideKey>;
TYPED_TEST_SUITE(ConnectionTableTest, Keys);

TYPED_TEST(ConnectionTableTest, ConnectionSurvivesPacking) {
    const Connection c{0xfffe, 0xabcd, ConnectionState::kClosing, 0xffffff};
    const Connection d = Connection::unpack(c.pack());
    EXPECT_EQ(d.slot, c.slot);
    EXPECT_EQ(d.epoch, c.epoch);
    EXPECT_EQ(d.state, c.state);
    EXPECT_EQ(d.last_seen_s, c.last_seen_s);
}

TYPED_TEST(ConnectionTableTest, NothingIsGivenUpAtEightyFivePercentLoad) {
    const u32 count = static_cast<u32>(this->table.capacity() * 85 / 100);
    for (u32 n = 0; n < count; ++n)
        ASSERT_TRUE(this->insert(n, this->connection(n, ConnectionState::kEstablished, 100), 100)) << n;
    EXPECT_EQ(this->table.size(), count);
    EXPECT_EQ(this->live(), count);
    u32 in_first = 0;
    for (u32 n = 0; n < count; ++n) {
        u64 *value = this->table.find(this->hash(n), this->key(n));
        ASSERT_NE(value, nullptr) << n;
        EXPECT_EQ(Connection::unpack(*value).slot, n % 4);
        in_first += this->table.find_first(this->hash(n), this->key(n)) != nullptr;
    }
    EXPECT_EQ(this->table.find(this->hash(count + 1), this->key(count + 1)), nullptr);
    EXPECT_GT(in_first, count * 6 / 10);
}

TYPED_TEST(ConnectionTableTest, SynFloodPushesOutNoEstablishedConnection) {
    const u32 now_s = 100;
    const u32 established = static_cast<u32>(this->table.capacity() / 2);
    for (u32 n = 0; n < established; ++n)
        ASSERT_TRUE(this->insert(n, this->connection(n, ConnectionState::kEstablished, now_s), now_s));
    const u32 flood = static_cast<u32>(this->table.capacity() * 10);
    for (u32 n = established; n < established + flood; ++n)
        (void)this->insert(n, this->connection(n, ConnectionState::kHalfOpen, now_s), now_s);
    for (u32 n = 0; n < established; ++n)
        ASSERT_NE(this->table.find(this->hash(n), this->key(n)), nullptr) << n;
    EXPECT_EQ(this->table.size(), this->live());
    EXPECT_LE(this->table.size(), this->table.capacity());
}

TYPED_TEST(ConnectionTableTest, FullOfEstablishedRefusesAndKeepsAll) {
    const u32 now_s = 5;
    std::vector<u32> kept;
    u32 n = 0;
    for (; kept.size() < this->table.capacity() && n < 100 * this->table.capacity(); ++n)
        if (this->insert(n, this->connection(n, ConnectionState::kEstablished, now_s), now_s)) kept.push_back(n);
    const auto size = this->table.size();
    for (u32 more = 0; more < 1000; ++more)
        if (this->insert(n + more, this->connection(more, ConnectionState::kHalfOpen, now_s), now_s)) kept.push_back(n + more);
    EXPECT_GE(this->table.size(), size);
    for (u32 k : kept) ASSERT_NE(this->table.find(this->hash(k), this->key(k)), nullptr);
}

TYPED_TEST(ConnectionTableTest, ExpiresByStateAndNotBefore) {
    ASSERT_TRUE(this->insert(1, this->connection(1, ConnectionState::kHalfOpen, 1000), 1000));
    ASSERT_TRUE(this->insert(2, this->connection(2, ConnectionState::kEstablished, 1000), 1000));
    ASSERT_TRUE(this->insert(3, this->connection(3, ConnectionState::kClosing, 1000), 1000));
    const auto present = [&](u32 n) { return this->table.find(this->hash(n), this->key(n)) != nullptr; };
    const auto sweep_at = [&](u32 now_s) { this->table.sweep(this->generation, this->table.line_count(), now_s); };
    sweep_at(1030);
    EXPECT_TRUE(present(1) && present(2) && present(3));
    sweep_at(1031);
    EXPECT_TRUE(!present(1) && present(2) && present(3));
    sweep_at(1061);
    EXPECT_TRUE(present(2) && !present(3));
    sweep_at(1000 + 6 * 3600);
    EXPECT_TRUE(present(2));
    sweep_at(1001 + 6 * 3600);
    EXPECT_FALSE(present(2));
    EXPECT_EQ(this->live(), 0u);
    EXPECT_EQ(this->table.take_events().expired, 3u);
}

TYPED_TEST(ConnectionTableTest, AgesSurviveTheWrapOfTheClock) {
    ASSERT_TRUE(this->insert(1, this->connection(1, ConnectionState::kHalfOpen, 0xfffff8), 0xfffff8));
    this->table.sweep(this->generation, this->table.line_count(), 20); // 28 s later
    EXPECT_NE(this->table.find(this->hash(1), this->key(1)), nullptr);
    this->table.sweep(this->generation, this->table.line_count(), 30);
    EXPECT_EQ(this->table.find(this->hash(1), this->key(1)), nullptr);
}

TYPED_TEST(ConnectionTableTest, AClockThatStepsBackExpiresNothing) {
    ASSERT_TRUE(this->insert(1, this->connection(1, ConnectionState::kHalfOpen, 1000), 1000));
    this->table.sweep(this->generation, this->table.line_count(), 999);
    EXPECT_NE(this->table.find(this->hash(1), this->key(1)), nullptr);
}

TYPED_TEST(ConnectionTableTest, AgreesWithAMapUnderRandomUse) {
    // Naive oracle: a std::map. The table may refuse an insert, never lose or change what it took.
    std::mt19937 random(42);
    std::map<u32, u16> oracle;
    for (int step = 0; step < 200'000; ++step) {
        const u32 n = random() % static_cast<u32>(this->table.capacity() * 9 / 10);
        u64 *value = this->table.find(this->hash(n), this->key(n));
        const auto expected = oracle.find(n);
        ASSERT_EQ(value != nullptr, expected != oracle.end()) << "step " << step;
        if (value) {
            ASSERT_EQ(Connection::unpack(*value).slot, expected->second);
            if (random() % 3 == 0) {
                this->table.erase(this->hash(n), this->key(n));
                oracle.erase(n);
            }
        } else {
            const Connection c = this->connection(random(), ConnectionState::kEstablished, 1);
            if (this->insert(n, c, 1)) oracle[n] = c.slot;
        }
        ASSERT_EQ(this->table.size(), oracle.size());
    }
    this->table.clear();
    EXPECT_EQ(this->live(), 0u);
    EXPECT_EQ(this->table.size(), 0u);
}

TEST(ConnectionLine, VectorMatchAgreesWithScalar) {
    std::mt19937_64 random(3);
    Line<CompactKey> line{};
    for (int i = 0; i < 100'000; ++i) {
        for (auto &key : line.keys) key.bits = random() % 4 ? random() % 5 : random();
        const CompactKey wanted{random() % 5};
        ASSERT_EQ(line.match(wanted), line.match_scalar(wanted));
    }
}

} // namespace
