// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/flow_table.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace fairlead::pktgen {
namespace {

constexpr wire::u32 kVip = 0xc633640a;
constexpr SourceNetwork kNetwork{.address = 0xc6120000, .prefix_length = 30};
constexpr wire::u32 kBackend = 0x0a14001f;
constexpr wire::u64 kMac = 0x020000000031;

class FlowTableTest : public testing::Test {
  protected:
    void send(wire::u32 flow, unsigned count = 1) {
        flows_.record(flow).next_sequence += count;
        flows_.record(flow).sent += count;
    }
    Return come_back(wire::u32 flow, wire::u32 sequence, wire::u32 address = kBackend, wire::u64 mac = kMac) {
        return flows_.take_back({.stamp = {.time_ns = 0, .flow = flow, .sequence = sequence}, .destination = {.address = address, .mac = mac}});
    }
    FlowTable flows_{4, 4, kNetwork, kVip};
};

TEST_F(FlowTableTest, TheLastOfTheFlowsAreAlive) {
    for (wire::u32 id = 0; id < 6; ++id) {
        EXPECT_EQ(flows_.room(), id < 4 ? 4 - id : 0);
        EXPECT_EQ(flows_.open(), id);
    }
    std::set<wire::u32> picked;
    for (wire::u32 i = 0; i < 256; ++i) picked.insert(flows_.pick(i << 24));
    EXPECT_EQ(picked, (std::set<wire::u32>{2, 3, 4, 5}));
}

TEST_F(FlowTableTest, ClientsAreDistinctHostsOfTheNetwork) {
    std::set<std::pair<wire::u32, wire::u16>> clients;
    const auto count = kNetwork.host_count() * kClientPortCount;
    for (wire::u32 id = 0; id < count; ++id) {
        const auto client = flows_.client(id);
        ASSERT_TRUE(client.address == 0xc6120001 || client.address == 0xc6120002);
        ASSERT_GE(client.port, kClientPortMin);
        clients.insert({client.address, client.port});
    }
    EXPECT_EQ(clients.size(), count);
    EXPECT_EQ((SourceNetwork{.address = 1, .prefix_length = 32}.host_count()), 1U);
    EXPECT_EQ((SourceNetwork{.address = 2, .prefix_length = 31}.host_count()), 2U);
}

TEST_F(FlowTableTest, CountsLossDuplicatesAndReorderingAsASetDoes) {
    std::mt19937 random(1);
    const auto flow = flows_.open();
    send(flow, 2000);
    std::vector<wire::u32> order;
    for (wire::u32 sequence = 0; sequence < 2000; ++sequence)
        for (unsigned copies = random() % 8; copies < 9; copies += 4) order.push_back(sequence); // one to three
    for (std::size_t i = 0; i + 10 < order.size(); ++i) std::swap(order[i], order[i + random() % 10]);

    std::set<wire::u32> seen;
    wire::u64 duplicates = 0;
    wire::u64 reordered = 0;
    for (const auto sequence : order) {
        reordered += !seen.empty() && !seen.contains(sequence) && sequence < *seen.rbegin();
        const bool is_first = seen.insert(sequence).second;
        duplicates += !is_first;
        EXPECT_EQ(come_back(flow, sequence), is_first ? Return::kFirst : Return::kAgain);
    }
    const auto counts = flows_.counts();
    EXPECT_EQ(counts.returned, seen.size());
    EXPECT_EQ(counts.duplicates, duplicates);
    EXPECT_EQ(counts.reordered, reordered);
    EXPECT_EQ(counts.with_loss, 0U);
}

TEST_F(FlowTableTest, WhatNoFlowOfOursSentIsRefused) {
    const auto flow = flows_.open();
    send(flow);
    EXPECT_EQ(come_back(flow, 1), Return::kUnknown) << "not sent yet";
    EXPECT_EQ(come_back(flow + 8, 0), Return::kUnknown) << "shares the record, but has not opened";
    EXPECT_EQ(come_back(1, 0), Return::kUnknown);
    EXPECT_EQ(come_back(flow, 0), Return::kFirst);
}

TEST_F(FlowTableTest, AFlowThatHasEndedIsStillCounted) {
    for (int i = 0; i < 8; ++i) send(flows_.open());
    EXPECT_EQ(come_back(0, 0), Return::kFirst) << "it ended when flow 4 opened";
    send(flows_.open());
    EXPECT_EQ(come_back(0, 0), Return::kUnknown) << "its record is flow 8's now";
    const auto counts = flows_.counts();
    EXPECT_EQ(counts.flows, 9U);
    EXPECT_EQ(counts.returned, 1U);
    EXPECT_EQ(counts.with_loss, 8U);
}

TEST_F(FlowTableTest, AFlowMovesWhenItsOuterDestinationChanges) {
    const auto flow = flows_.open();
    send(flow, 4);
    come_back(flow, 0);
    come_back(flow, 1, kBackend, kMac + 1); // another router on the way
    EXPECT_EQ(flows_.counts().moved, 0U);
    come_back(flow, 2, kBackend + 1);
    come_back(flow, 3, kBackend);
    EXPECT_EQ(flows_.counts().moved, 1U) << "flows are counted, not moves";
}

TEST_F(FlowTableTest, WithoutEncapsulationTheMacAddressTellsBackendsApart) {
    const auto flow = flows_.open();
    send(flow, 2);
    come_back(flow, 0, kVip, kMac);
    EXPECT_EQ(flows_.record(flow).backend, kIsMac | kMac);
    come_back(flow, 1, kVip, kMac + 1);
    EXPECT_EQ(flows_.counts().moved, 1U);
}

TEST_F(FlowTableTest, ARepliesDestinationIsNoBackend) {
    const auto flow = flows_.open();
    send(flow);
    EXPECT_EQ(come_back(flow, 0, flows_.client(flow).address), Return::kFirst);
    EXPECT_EQ(flows_.record(flow).backend, 0U);
}

TEST_F(FlowTableTest, ATrialStartsFromZeroButFlowsGoOn) {
    const auto flow = flows_.open();
    send(flow, 2);
    come_back(flow, 0);
    flows_.start_trial();
    EXPECT_EQ(flows_.counts().flows, 0U);
    send(flow);
    EXPECT_EQ(come_back(flow, 2, kBackend + 1), Return::kFirst);
    const auto counts = flows_.counts();
    EXPECT_EQ(counts.returned, 1U);
    EXPECT_EQ(counts.with_loss, 0U);
    EXPECT_EQ(counts.moved, 1U) << "away from where it was before the trial";
}

TEST(FlowTable, SaysWhatItNeedsAndWhatThereIs) {
    constexpr std::size_t kMegabyte = 1U << 20;
    EXPECT_TRUE(FlowTable::make(30'000, 1024, kNetwork, kVip, 2 * kMegabyte)) << "32768 records of 64 bytes";
    const auto refused = FlowTable::make(30'000, 1024, kNetwork, kVip, 2 * kMegabyte - 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), "--flows 30000 needs 2 MB of memory, 1 MB are available; fewer --flows");
}

} // namespace
} // namespace fairlead::pktgen
