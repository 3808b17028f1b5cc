// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/generation_store.hpp"

#include "tests/unit/io/snapshot_sample.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace fairlead::io {
namespace {

using test::memory_file;
using test::SnapshotSample;

AdoptedGeneration make_generation(wire::u64 number) {
    SnapshotSample sample{.generation = number};
    sample.source = wire::Be32::from_host(static_cast<wire::u32>(number));
    sample.backends[0] = wire::Be32::from_host(static_cast<wire::u32>(number));
    AdoptedGeneration adopted;
    EXPECT_EQ(adopted.segments.take(memory_file(sample.rows()).get(), sample.rows_id), "");
    EXPECT_EQ(adopted.segments.take(memory_file(sample.hops()).get(), sample.hops_id), "");
    const auto root = sample.root();
    auto built = core::Generation::build(root, adopted.segments.checked());
    EXPECT_TRUE(built.generation) << built.refusal;
    adopted.generation = std::move(built.generation);
    return adopted;
}

TEST(GenerationStore, BeginsWithNone) {
    GenerationStore store(1);
    EXPECT_EQ(store.current(), nullptr);
    EXPECT_EQ(store.number(), 0U);
    EXPECT_FALSE(store.reclaim());
}

TEST(GenerationStore, KeepsWhatAReaderHoldsUntilItIsQuiescent) {
    GenerationStore store(1);
    store.start_reading(0);
    store.publish(make_generation(1));
    const auto *held = store.current();
    store.publish(make_generation(2));
    EXPECT_FALSE(store.reclaim());
    ASSERT_TRUE(store.has_retired());
    EXPECT_EQ(held->number(), 1U);
    EXPECT_EQ(held->service(0).rows[0], 0U); // its segment is still mapped
    EXPECT_EQ(store.segment_count(), 4U);
    store.quiescent(0);
    EXPECT_TRUE(store.reclaim());
    EXPECT_FALSE(store.has_retired());
    EXPECT_EQ(store.segment_count(), 2U);
    EXPECT_EQ(store.current()->number(), 2U);
    store.stop_reading(0);
}

TEST(GenerationStore, KeepsInheritedTablesUntilNoReaderAsksThem) {
    GenerationStore store(1);
    store.start_reading(0);
    EXPECT_EQ(store.inherited(), nullptr);
    auto memory = TableMemory::allocate(128, false);
    ASSERT_TRUE(memory) << memory.error();
    auto set = std::make_unique<InheritedSet>();
    set->memory.push_back(std::make_shared<const TableMemory>(std::move(*memory)));
    set->tables.compact.emplace_back(set->memory[0]->bytes());
    const std::weak_ptr<const TableMemory> watched = set->memory[0];
    store.publish(std::unique_ptr<const InheritedSet>(std::move(set)));
    const auto *held = store.inherited();
    ASSERT_NE(held, nullptr);
    store.publish(std::unique_ptr<const InheritedSet>());
    EXPECT_EQ(store.inherited(), nullptr);
    EXPECT_FALSE(store.reclaim());
    EXPECT_FALSE(held->find(wire::FlowHash{}, core::CompactKey{5})) << "still mapped";
    store.quiescent(0);
    EXPECT_TRUE(store.reclaim());
    EXPECT_TRUE(watched.expired());
    store.stop_reading(0);
}

TEST(GenerationStore, WaitsForTheSlowestReader) {
    GenerationStore store(2);
    store.start_reading(0);
    store.start_reading(1);
    store.publish(make_generation(1));
    store.publish(make_generation(2));
    store.quiescent(0);
    EXPECT_FALSE(store.reclaim());
    store.quiescent(1);
    EXPECT_TRUE(store.reclaim());
    store.stop_reading(0);
    store.stop_reading(1);
}

TEST(GenerationStore, WaitsForNobodyWhoSleepsOrIsGone) {
    GenerationStore store(2);
    store.start_reading(0);
    store.publish(make_generation(1));
    store.pause(0);
    store.publish(make_generation(2));
    EXPECT_TRUE(store.reclaim());
    store.resume(0);
    store.publish(make_generation(3));
    EXPECT_FALSE(store.reclaim());
    store.stop_reading(0);
    EXPECT_TRUE(store.reclaim());
}

TEST(GenerationStore, SaysWhenAReaderHangs) {
    GenerationStore store(1);
    store.start_reading(0);
    for (wire::u64 number = 1; number <= GenerationStore::kRetiredCountMax + 1; ++number) {
        EXPECT_FALSE(store.is_full());
        store.publish(make_generation(number));
    }
    EXPECT_TRUE(store.is_full());
    store.stop_reading(0);
}

/// Each generation carries its number in three places; a reader that ever sees two numbers at once, or freed
/// memory (under the address and thread sanitizers), has caught a generation that was not whole.
TEST(GenerationStore, AReaderOnlyEverSeesWholeGenerations) {
    constexpr unsigned kReaders = 2;
    constexpr wire::u64 kGenerations = 300;
    GenerationStore store(kReaders);
    std::atomic<bool> stop{false};
    std::atomic<wire::u64> torn{0};
    std::atomic<wire::u64> seen_newest{0};
    std::vector<std::thread> readers;
    for (unsigned reader = 0; reader < kReaders; ++reader)
        readers.emplace_back([&, reader] {
            store.start_reading(reader);
            wire::u64 newest = 0;
            for (unsigned loop = 0; !stop.load(std::memory_order_relaxed); ++loop) {
                if (const auto *generation = store.current()) {
                    const wire::u8 *headers = generation->forwarding(0).outer();
                    wire::Ipv4Header ip;
                    std::memcpy(&ip, headers + sizeof(wire::EthernetHeader), sizeof(ip));
                    const bool whole = ip.source.host() == generation->number() && ip.destination.host() == generation->number() &&
                                       generation->service(0).rows[generation->number() % generation->service(0).row_count] == 0;
                    if (!whole || generation->number() < newest) torn.fetch_add(1);
                    newest = generation->number();
                }
                store.quiescent(reader);
                if (loop % 64 == 0) {
                    store.pause(reader);
                    std::this_thread::yield();
                    store.resume(reader);
                }
            }
            store.stop_reading(reader);
            if (newest > seen_newest.load()) seen_newest.store(newest);
        });
    for (wire::u64 number = 1; number <= kGenerations; ++number) {
        while (store.is_full()) {
            store.reclaim();
            std::this_thread::yield();
        }
        store.publish(make_generation(number));
        store.reclaim();
    }
    while (store.has_retired()) { // every reader gets to see the last one before it may end
        store.reclaim();
        std::this_thread::yield();
    }
    stop.store(true);
    for (auto &reader : readers) reader.join();
    EXPECT_EQ(torn.load(), 0U);
    EXPECT_GT(seen_newest.load(), 0U);
    EXPECT_EQ(store.segment_count(), 2U);
}

} // namespace
} // namespace fairlead::io
