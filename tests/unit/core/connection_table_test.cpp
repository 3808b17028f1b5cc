// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/connection_table.hpp"

#include "tests/unit/core/connection_fixture.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

using namespace fairlead;
using namespace fairlead::core;
using wire::FlowHash;
using wire::u16;
using wire::u32;
using wire::u64;

namespace {

template <class Key> class ConnectionTableTest : public testing::Test {
  protected:
    static constexpr std::size_t kCapacity = 8192;
    test::Flows<Key> flows;
    const Generation &generation = flows.generation;
    test::TableMemory memory{connection_memory_bytes<Key>(kCapacity)};
    test::Process<Key> process{memory.span()};
    ConnectionTable<Key> &table = process.table;

    FlowHash hash(u32 n) const { return flows.hash(n); }
    Key key(u32 n, u16 service = 0) const { return flows.key(n, service); }
    bool insert(u32 n, Connection c, u32 now_s) { return table.insert(generation, hash(n), key(n), c, now_s); }
    static Connection connection(u32 n, ConnectionState state, u32 now_s) { return test::connection(n, state, now_s); }
    u64 live() const { return process.live(); }
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

TYPED_TEST(ConnectionTableTest, AKeysTwoLinesLeadToEachOtherInATableOfAnySize) {
    std::mt19937 random(1);
    u32 single = 0;
    for (u32 n = 0; n < 100'000; ++n) {
        const u32 line_count = 2 + (n % 2 ? random() % 10 : random() % 0xfffffff0);
        const u32 line = random() % line_count, other = other_line(line, this->key(n), line_count);
        ASSERT_LT(other, line_count);
        ASSERT_EQ(other_line(other, this->key(n), line_count), line);
        ASSERT_LT(first_line(this->hash(n), line_count), line_count);
        single += line_count > 1000 && line == other;
    }
    EXPECT_LT(single, 200u);
}

TYPED_TEST(ConnectionTableTest, ClearingAPieceAtATimeForgetsAllAndRecordsNothingMeanwhile) {
    const u32 count = static_cast<u32>(this->table.capacity() / 2);
    for (u32 n = 0; n < count; ++n) ASSERT_TRUE(this->insert(n, this->connection(n, ConnectionState::kEstablished, 1), 1));
    this->table.start_clearing();
    u32 pieces = 1;
    for (; this->table.clear_next(100); ++pieces) EXPECT_FALSE(this->insert(count, this->connection(0, ConnectionState::kHalfOpen, 1), 1));
    EXPECT_GT(pieces, this->table.line_count() / 200);
    EXPECT_EQ(this->table.size(), 0u);
    EXPECT_EQ(this->live(), 0u);
    EXPECT_TRUE(this->insert(count, this->connection(0, ConnectionState::kHalfOpen, 1), 1));
    this->table.start_clearing();
    EXPECT_FALSE(this->table.clear_next(this->table.line_count())) << "an almost empty table is soon clear";
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
        in_first += this->table.find_in(this->table.first(this->hash(n)), this->key(n)) != nullptr;
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
