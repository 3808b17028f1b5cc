// SPDX-License-Identifier: Apache-2.0
// The connection table against a naive map, under random operations, time and restarts; and the order in which room is made.
#include "tests/unit/core/connection_fixture.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <random>

using namespace fairlead;
using namespace fairlead::core;
using wire::u32;
using wire::u64;

namespace {

constexpr u32 kTimeout_s[] = {30, 6 * 3600, 60, 60}; // the fixture's service, by ConnectionState

bool is_evictable(ConnectionState state) { return state == ConnectionState::kHalfOpen || state == ConnectionState::kClosing; }

template <class Key> class ConnectionTableOracleTest : public testing::Test {
  protected:
    static constexpr u32 kFlows = 1200; ///< more than fit
    test::Flows<Key> flows;
    test::TableMemory memory{connection_memory_bytes<Key>(1001)};
    std::unique_ptr<test::Process<Key>> process = std::make_unique<test::Process<Key>>(memory.span());
    std::map<u32, Connection> oracle; ///< what was recorded; the table may have given up what expired or was evicted
    std::mt19937 random{7};
    u32 now_s = 0xfffff0; ///< soon wraps

    ConnectionTable<Key> &table() { return process->table; }
    u64 *find(u32 n) { return table().find(flows.hash(n), flows.key(n)); }
    [[nodiscard]] bool is_expired(const Connection &c) const {
        return ((now_s - c.last_seen_s) & 0xffffff) > kTimeout_s[static_cast<unsigned>(c.state)];
    }

    /// What stands in the two lines of a flow.
    struct Lines {
        unsigned free = 0, expired = 0, half_open = 0, closing = 0;
    };
    [[nodiscard]] Lines lines_of(u32 n) {
        const auto lines = test::lines_of<Key>(memory.span());
        const u32 count = static_cast<u32>(lines.size()), one = first_line(flows.hash(n), count), two = other_line(one, flows.key(n), count);
        Lines found;
        for (u32 line : {one, two})
            for (unsigned i = 0; i < Line<Key>::kEntries; ++i) {
                const Connection c = Connection::unpack(lines[line].value(i));
                if (lines[line].key(i).empty()) ++found.free;
                else if (is_expired(c)) ++found.expired;
                else if (c.state == ConnectionState::kHalfOpen) ++found.half_open;
                else if (c.state == ConnectionState::kClosing) ++found.closing;
            }
        return found;
    }

    void open(u32 n) {
        const auto state = static_cast<ConnectionState>(random() % 4);
        const Connection c = test::connection(random(), state, now_s);
        const Lines before = lines_of(n);
        (void)table().take_events();
        const bool recorded = table().insert(flows.generation, flows.hash(n), flows.key(n), c, now_s);
        const TableEvents events = table().take_events();
        if (recorded) oracle.insert_or_assign(n, c);
        else ASSERT_EQ(before.free + before.expired + before.half_open + before.closing, 0u) << "gives up what it has room for";
        ASSERT_LE(events.evicted, 1u);
        if (before.free + before.expired > 0) {
            ASSERT_EQ(events.evicted, 0u) << "evicts where there is room";
        }
        if (events.evicted == 0) return;
        const Lines after = lines_of(n);
        // The newcomer may be of the kind that made room.
        const unsigned half_open = after.half_open - (state == ConnectionState::kHalfOpen);
        const unsigned closing = after.closing - (state == ConnectionState::kClosing);
        if (before.half_open > 0) {
            ASSERT_LT(half_open, before.half_open);
            ASSERT_EQ(closing, before.closing) << "closing ones go after half-open ones";
        } else ASSERT_LT(closing, before.closing);
    }

    /// Each recorded connection stands as it was recorded, unless it has expired or may have been evicted.
    void check() {
        u64 gone = 0;
        for (auto entry = oracle.begin(); entry != oracle.end();) {
            const u64 *value = find(entry->first);
            if (value) {
                ASSERT_EQ(*value, entry->second.pack()) << entry->first;
                ++entry;
                continue;
            }
            ASSERT_TRUE(is_expired(entry->second) || is_evictable(entry->second.state)) << entry->first << " is lost";
            ++gone;
            entry = oracle.erase(entry);
        }
        ASSERT_EQ(table().size(), oracle.size());
        ASSERT_EQ(process->live(), oracle.size());
    }
};

using Keys = testing::Types<CompactKey, WideKey>;
TYPED_TEST_SUITE(ConnectionTableOracleTest, Keys);

TYPED_TEST(ConnectionTableOracleTest, AgreesUnderRandomUseTimeAndRestarts) {
    for (int step = 0; step < 100'000; ++step) {
        const u32 n = this->random() % this->kFlows;
        u64 *value = this->find(n);
        if (!value) {
            this->oracle.erase(n);
            ASSERT_NO_FATAL_FAILURE(this->open(n)) << "step " << step;
        } else if (this->random() % 4 == 0) {
            this->table().erase(this->flows.hash(n), this->flows.key(n));
            this->oracle.erase(n);
        } else {
            ASSERT_TRUE(this->oracle.contains(n)) << "step " << step << ": a connection that nobody made";
            Connection &c = this->oracle.at(n);
            ASSERT_EQ(*value, c.pack()) << "step " << step;
            c.state = static_cast<ConnectionState>(this->random() % 4);
            c.last_seen_s = this->now_s;
            *value = c.pack();
        }
        if (this->random() % 16 == 0) this->now_s = (this->now_s + this->random() % 4) & 0xffffff;
        if (this->random() % 64 == 0) this->table().sweep(this->flows.generation, this->random() % 32, this->now_s);
        if (this->random() % 2000 == 0) { // a restart: the next process finds the memory, and nothing else
            this->process = std::make_unique<test::Process<TypeParam>>(this->memory.span());
            const TableAdoption adopted = this->table().adopt();
            ASSERT_EQ(adopted.duplicates + adopted.unsound, 0u);
            ASSERT_EQ(adopted.entries, this->table().size());
        }
        if (step % 500 == 0) {
            ASSERT_NO_FATAL_FAILURE(this->check()) << "step " << step;
        }
    }
    ASSERT_NO_FATAL_FAILURE(this->check());
    EXPECT_GT(this->oracle.size(), 300u) << "too little was in the table to prove anything";
}

} // namespace
