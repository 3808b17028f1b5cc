// SPDX-License-Identifier: Apache-2.0
// What adoption makes of a table that somebody has left: sound entries stay, each once; what nobody can have written goes.
#include "tests/unit/core/connection_fixture.hpp"

#include <gtest/gtest.h>

#include <random>

using namespace fairlead;
using namespace fairlead::core;
using wire::u32;
using wire::u64;

namespace {

template <class Key> class ConnectionTableAdoptionTest : public testing::Test {
  protected:
    static constexpr u32 kCount = 300;
    test::Flows<Key> flows;
    test::TableMemory memory{connection_memory_bytes<Key>(500)};

    void SetUp() override {
        test::Process<Key> before(memory.span());
        for (u32 n = 0; n < kCount; ++n) ASSERT_TRUE(before.table.insert(flows.generation, flows.hash(n), flows.key(n), value(n), 5));
    }
    static Connection value(u32 n) { return test::connection(n, ConnectionState::kEstablished, n); }

    struct Place {
        Line<Key> *line;
        unsigned index;
        u32 other; ///< the line where it may also stand
    };
    Place place_of(u32 n) {
        const auto lines = test::lines_of<Key>(memory.span());
        const u32 count = static_cast<u32>(lines.size()), one = first_line(flows.hash(n), count), two = other_line(one, flows.key(n), count);
        for (auto [line, other] : {std::pair(one, two), {two, one}})
            if (const unsigned bits = lines[line].match(flows.key(n)))
                return {&lines[line], static_cast<unsigned>(std::countr_zero(bits)), other};
        return {};
    }
    /// Makes a copy of an entry in its other line, as a move does before it clears. @return whether there was room.
    bool copy(u32 n, u64 value) {
        const Place place = place_of(n);
        auto &target = test::lines_of<Key>(memory.span())[place.other];
        const unsigned free = target.match(Key{});
        if (free == 0) return false;
        target.value(static_cast<unsigned>(std::countr_zero(free))) = value;
        target.set_key(static_cast<unsigned>(std::countr_zero(free)), flows.key(n));
        return true;
    }
};

using Keys = testing::Types<CompactKey, WideKey>;
TYPED_TEST_SUITE(ConnectionTableAdoptionTest, Keys);

TYPED_TEST(ConnectionTableAdoptionTest, EverythingIsFoundAgainAndCounted) {
    test::Process<TypeParam> after(this->memory.span());
    EXPECT_EQ(after.table.adopt().entries, this->kCount);
    EXPECT_EQ(after.table.size(), this->kCount);
    EXPECT_EQ(after.live(), this->kCount);
    EXPECT_EQ(after.slots[1].connections, this->kCount / 4);
    for (u32 n = 0; n < this->kCount; ++n) {
        const u64 *value = after.table.find(this->flows.hash(n), this->flows.key(n));
        ASSERT_NE(value, nullptr) << n;
        EXPECT_EQ(*value, this->value(n).pack());
    }
}

TYPED_TEST(ConnectionTableAdoptionTest, AnInterruptedMoveLeavesOneEntry) {
    u64 copies = 0;
    for (u32 n = 0; n < this->kCount; n += 3) copies += this->copy(n, this->value(n).pack());
    ASSERT_GT(copies, 10u);
    test::Process<TypeParam> after(this->memory.span());
    const TableAdoption adopted = after.table.adopt();
    EXPECT_EQ(adopted.duplicates, copies);
    EXPECT_EQ(adopted.unsound, 0u);
    EXPECT_EQ(adopted.entries, this->kCount);
    EXPECT_EQ(after.live(), this->kCount);
    for (u32 n = 0; n < this->kCount; ++n) {
        const auto place = this->place_of(n);
        ASSERT_NE(place.line, nullptr) << n;
        EXPECT_EQ(test::lines_of<TypeParam>(this->memory.span())[place.other].match(this->flows.key(n)) &
                      ~(&test::lines_of<TypeParam>(this->memory.span())[place.other] == place.line ? 1u << place.index : 0u), 0u);
    }
}

TYPED_TEST(ConnectionTableAdoptionTest, OfTwoEntriesThatContradictEachOtherNeitherIsBelieved) {
    u32 n = 0;
    while (!this->copy(n, this->value(n + 1).pack())) ++n;
    test::Process<TypeParam> after(this->memory.span());
    EXPECT_EQ(after.table.adopt().entries, this->kCount - 1);
    EXPECT_EQ(after.table.find(this->flows.hash(n), this->flows.key(n)), nullptr);
    EXPECT_EQ(after.live(), this->kCount - 1);
}

TYPED_TEST(ConnectionTableAdoptionTest, WhatNoDataplaneWritesIsDropped) {
    const auto spoil = [&](u32 n, u64 value) { const auto place = this->place_of(n); place.line->value(place.index) = value; };
    spoil(0, this->value(0).pack() | u64{0x04} << 56);      // state bits that are not in use
    spoil(1, this->value(1).pack() | 0xffff);               // no slot
    const auto place = this->place_of(2);
    place.line->set_key(place.index, TypeParam::of(test::flow(2), wire::kServiceCapacity)); // no service
    test::Process<TypeParam> after(this->memory.span());
    const TableAdoption adopted = after.table.adopt();
    EXPECT_EQ(adopted.unsound, 3u);
    EXPECT_EQ(adopted.entries, this->kCount - 3);
    EXPECT_EQ(after.live(), this->kCount - 3);
}

TYPED_TEST(ConnectionTableAdoptionTest, AnyBytesAreSafeToAdopt) {
    std::mt19937_64 random(11);
    for (int round = 0; round < 200; ++round) {
        for (auto &line : test::lines_of<TypeParam>(this->memory.span())) {
            u64 words[8];
            for (auto &word : words) word = random() % 4 ? random() & random() & 0x7f00ffffffff0fff : 0;
            if (random() % 2) std::memcpy(&line, words, sizeof words);
        }
        test::Process<TypeParam> after(this->memory.span());
        const TableAdoption adopted = after.table.adopt();
        ASSERT_EQ(after.live(), adopted.entries);
        after.table.clear();
        ASSERT_EQ(after.table.size(), 0u);
        ASSERT_EQ(after.live(), 0u);
        for (u32 n = 0; n < this->kCount; ++n)
            ASSERT_TRUE(after.table.insert(this->flows.generation, this->flows.hash(n), this->flows.key(n), this->value(n), 5)) << "a place is lost";
        after.table.clear();
    }
}

} // namespace
