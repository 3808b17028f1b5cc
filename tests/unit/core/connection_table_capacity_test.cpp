// SPDX-License-Identifier: Apache-2.0
// How full a connection table gets before it gives up anything, at sizes that are no powers of two. FAIRLEAD_FULL_SIZE=1 in the
// environment: 10 million connections, too.
#include "tests/unit/core/connection_fixture.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

using namespace fairlead;
using namespace fairlead::core;
using wire::u32;
using wire::u64;

namespace {

struct Filled {
    u64 given_up_at_85 = 0, given_up_at_100 = 0; ///< of as many as the table has entries
    double first_line_share = 0;                 ///< found in their first line, at 85 %
    double bytes_each = 0;                       ///< at 85 %
};

/// Fills a table with established connections, so that each that finds no room is given up and none makes room.
template <class Key> Filled fill(std::size_t memory_bytes) {
    const test::Flows<Key> flows;
    const test::TableMemory memory(memory_bytes);
    test::Process<Key> process(memory.span());
    Filled filled;
    const u32 capacity = static_cast<u32>(process.table.capacity()), most = static_cast<u32>(u64{capacity} * 85 / 100);
    u32 in_first = 0;
    for (u32 n = 0; n < capacity; ++n) {
        if (n == most) {
            filled.given_up_at_85 = filled.given_up_at_100;
            for (u32 k = 0; k < n; ++k) in_first += process.table.find_in(process.table.first(flows.hash(k)), flows.key(k)) != nullptr;
        }
        const Connection c = test::connection(n, ConnectionState::kEstablished, 1);
        filled.given_up_at_100 += !process.table.insert(flows.generation, flows.hash(n), flows.key(n), c, 1);
    }
    filled.first_line_share = in_first / static_cast<double>(most);
    filled.bytes_each = static_cast<double>(memory_bytes) / most;
    std::printf("%u entries: given up at 85 %%: %lu, at 100 %%: %.2f %%; in their first line at 85 %%: %.1f %%; %.2f bytes each\n", capacity,
                filled.given_up_at_85, 100.0 * static_cast<double>(filled.given_up_at_100) / capacity, 100 * filled.first_line_share,
                filled.bytes_each);
    EXPECT_EQ(filled.given_up_at_85, 0u);
    EXPECT_EQ(process.table.size(), capacity - filled.given_up_at_100) << "what was given up is the newcomer, nobody else";
    test::Process<Key> successor(memory.span());
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(successor.table.adopt().entries, capacity - filled.given_up_at_100);
    const std::chrono::duration<double, std::milli> elapsed = std::chrono::steady_clock::now() - begin;
    std::printf("    adopted by a successor in %.1f ms\n", elapsed.count());
    EXPECT_LT(filled.given_up_at_100, u64{capacity} * (Line<Key>::kEntries == 4 ? 3 : 8) / 100);
    return filled;
}

TEST(ConnectionTableCapacity, AnyNumberOfLinesHoldsEightyFivePercentAndAlmostAll) {
    for (const std::size_t lines : {1000, 4099, 16384, 99'991}) {
        const auto filled = fill<CompactKey>(lines * 64);
        EXPECT_GT(filled.first_line_share, 0.75);
        EXPECT_LE(filled.bytes_each, 20);
    }
}

TEST(ConnectionTableCapacity, WideKeysFillTheirTablesToo) {
    for (const std::size_t lines : {1000, 16384, 99'991}) EXPECT_LE(fill<WideKey>(lines * 64).bytes_each, 40);
}

TEST(ConnectionTableCapacity, MemoryForConnectionsIsWhatTheyNeedAndNoPowerOfTwo) {
    for (const std::size_t connections : {1000, 65'536, 1'000'003, 10'000'000}) {
        const auto bytes = connection_memory_bytes_for<CompactKey>(connections);
        EXPECT_GE(bytes / 16 * 85, connections * 100);
        EXPECT_LE(bytes, connections * 19 + 64);
    }
}

TEST(ConnectionTableCapacity, TenMillionConnectionsInTwentyBytesEach) {
    if (std::getenv("FAIRLEAD_FULL_SIZE") == nullptr) GTEST_SKIP() << "takes some 15 s and 190 MB: FAIRLEAD_FULL_SIZE=1";
    const auto bytes = connection_memory_bytes_for<CompactKey>(10'000'000);
    EXPECT_LE(bytes, 200'000'000u);
    EXPECT_LE(fill<CompactKey>(bytes).bytes_each, 20);
}

} // namespace
