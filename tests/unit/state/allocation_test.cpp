// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/allocation.hpp"

#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "tests/unit/state/sample_config.hpp"

namespace fairlead::state {
namespace {

using config::Config;
using test::backend;
using test::config_with;
using test::service;

constexpr std::uint64_t kNow = 1000;
constexpr std::uint32_t kPeriod = 6 * 3600; ///< the longest default timeout

Allocation must(std::expected<Allocation, Error> allocation) {
    EXPECT_TRUE(allocation) << allocation.error().format();
    return allocation ? *allocation : Allocation{};
}

SlotLease slot_of(const Allocation &allocation, const Config &config, std::size_t index, std::uint32_t number) {
    return allocation.services.at(key_of(config.services[index])).slots.at(backend(number).address.host());
}

TEST(Allocation, TheFirstConfigurationGetsTheLowestPlacesInItsOrder) {
    Config config = config_with(3);
    config.services.push_back(service("dns", 2, 2));
    const Allocation allocation = must(allocate({}, config, kNow));
    EXPECT_EQ(allocation.services.at(key_of(config.services[0])).index, 0);
    EXPECT_EQ(allocation.services.at(key_of(config.services[1])).index, 1);
    EXPECT_EQ(slot_of(allocation, config, 0, 1).slot, 0);
    EXPECT_EQ(slot_of(allocation, config, 0, 3).slot, 2);
    EXPECT_EQ(slot_of(allocation, config, 1, 1).slot, 3) << "the same server in another service has a slot of its own";
    EXPECT_EQ(must(allocate({}, config, kNow)), allocation) << "lost state begins again in the same way";
}

TEST(Allocation, WhatStaysKeepsItsLeaseWhateverElseChanges) {
    Config config = config_with(5);
    const Allocation before = must(allocate({}, config, kNow));
    config.services[0].backends.erase(config.services[0].backends.begin() + 1); // number 2
    config.services[0].backends.insert(config.services[0].backends.begin(), backend(9));
    config.services[0].backends[3].weight = 7;
    config.services[0].backends[4].drain = true;
    config.services.insert(config.services.begin(), service("first", 7, 3));
    const Allocation after = must(allocate(before, config, kNow + 1));
    for (const std::uint32_t number : {1u, 3u, 4u, 5u})
        EXPECT_EQ(slot_of(after, config, 1, number), before.services.at(key_of(config.services[1])).slots.at(backend(number).address.host()));
    EXPECT_EQ(after.services.at(key_of(config.services[1])).index, 0);
}

TEST(Allocation, RenamingAServiceKeepsItsConnections) {
    Config config = config_with(2);
    const Allocation before = must(allocate({}, config, kNow));
    config.services[0].name = "renamed";
    EXPECT_EQ(must(allocate(before, config, kNow + 1)), before);
}

TEST(Allocation, ExchangingTwoVipsExchangesTheIndices) {
    Config config = config_with(1);
    config.services.push_back(service("dns", 2, 1));
    const Allocation before = must(allocate({}, config, kNow));
    std::swap(config.services[0].vip, config.services[1].vip);
    const Allocation after = must(allocate(before, config, kNow + 1));
    EXPECT_EQ(after, before) << "connections to a VIP stay with that VIP";
}

TEST(Allocation, ABackendRemovedAndAddedAgainIsAnother) {
    Config config = config_with(2);
    const Allocation first = must(allocate({}, config, kNow));
    const SlotLease old_lease = slot_of(first, config, 0, 2);
    config.services[0].backends.pop_back();
    const Allocation without = must(allocate(first, config, kNow + 1));
    config.services[0].backends.push_back(backend(2));
    const Allocation again = must(allocate(without, config, kNow + 2));
    const SlotLease new_lease = slot_of(again, config, 0, 2);
    EXPECT_NE(new_lease.slot, old_lease.slot) << "the old slot rests";
    EXPECT_GT(new_lease.creation_id, old_lease.creation_id);
    EXPECT_NE(new_lease.epoch, old_lease.epoch);
}

TEST(Allocation, ASlotRestsForTheLongestTimeoutOfItsService) {
    Config config = config_with(2);
    config.services[0].timeouts.established_s = 100;
    const Allocation first = must(allocate({}, config, kNow));
    const std::uint16_t slot = slot_of(first, config, 0, 2).slot;
    config.services[0].backends.pop_back();
    const Allocation without = must(allocate(first, config, kNow));
    EXPECT_EQ(without.resting_slots.at(slot), (Quarantine{kNow + 100, 100}));

    config.services[0].backends.push_back(backend(3));
    EXPECT_NE(slot_of(must(allocate(without, config, kNow + 99)), config, 0, 3).slot, slot);
    EXPECT_EQ(slot_of(must(allocate(without, config, kNow + 100)), config, 0, 3).slot, slot);
    EXPECT_TRUE(must(allocate(without, config, kNow + 100)).resting_slots.empty());
}

TEST(Allocation, AShortenedTimeoutDoesNotShortenTheRest) {
    Config config = config_with(1);
    const Allocation first = must(allocate({}, config, kNow));
    config.services[0].timeouts = {1, 1, 1, 1};
    const Allocation second = must(allocate(first, config, kNow));
    config.services.clear();
    const Allocation third = must(allocate(second, config, kNow));
    EXPECT_EQ(third.resting_slots.at(0).period_s, kPeriod);
    EXPECT_EQ(third.resting_services.at(0), (Quarantine{kNow + kPeriod, kPeriod}));
}

TEST(Allocation, AServiceThatMovesToAnotherVipIsAnother) {
    Config config = config_with(1);
    const Allocation before = must(allocate({}, config, kNow));
    config.services[0].vip = wire::Be32::from_host(0xc0000299);
    const Allocation after = must(allocate(before, config, kNow));
    EXPECT_EQ(after.services.at(key_of(config.services[0])).index, 1);
    EXPECT_TRUE(after.resting_services.contains(0));
    EXPECT_TRUE(after.resting_slots.contains(0));
}

TEST(Allocation, ExhaustedSlotsAreAnErrorThatSaysWhenOneIsFree) {
    Config config = config_with(0);
    config.services[0].timeouts = {1, 50, 1, 1};
    for (std::uint32_t i = 1; i <= wire::kSlotCapacity; ++i) config.services[0].backends.push_back(backend(i));
    const Allocation full = must(allocate({}, config, kNow));
    std::set<std::uint16_t> slots;
    for (const auto &[address, lease] : full.services.at(key_of(config.services[0])).slots) slots.insert(lease.slot);
    EXPECT_EQ(slots.size(), std::size_t{wire::kSlotCapacity});
    EXPECT_EQ(*slots.rbegin(), wire::kSlotCapacity - 1);

    config.services[0].backends.front() = backend(100'000);
    const auto refused = allocate(full, config, kNow + 10);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().format(),
              "services[0].backends[0]: no free backend slot: all 65535 are taken; 1 of them rest after a removal, until "
              "connections that may name them have expired; the first is free in 50 s");
    config.services[0].backends.erase(config.services[0].backends.begin());
    const Allocation less = must(allocate(full, config, kNow + 10));
    config.services[0].backends.push_back(backend(100'000));
    EXPECT_TRUE(allocate(less, config, kNow + 60));
}

TEST(Allocation, ExhaustedServiceIndicesAreAnError) {
    Config config = config_with(0);
    config.services.clear();
    for (std::uint32_t i = 0; i < wire::kServiceCapacity; ++i) {
        config.services.push_back(service("s" + std::to_string(i), 1, 0));
        config.services.back().port = static_cast<std::uint16_t>(i + 1);
    }
    const Allocation full = must(allocate({}, config, kNow));
    config.services[0].port = 60'000;
    const auto refused = allocate(full, config, kNow);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().field, "services[0]");
    EXPECT_EQ(refused.error().what, "no free service index: all 4096 are taken");
}

TEST(Allocation, EpochsTellAddressesAndTenanciesApart) {
    // 16 bits: of 2,000 pairs a few collide by chance, not more.
    std::map<std::uint16_t, int> seen;
    for (std::uint32_t number = 0; number < 50; ++number)
        for (std::uint64_t id = 1; id <= 40; ++id) ++seen[epoch_of(backend(number).address, id)];
    EXPECT_GT(seen.size(), 1900u);
}

/// Against the plainest model there is: who held which slot until when.
TEST(Allocation, RandomHistoriesNeverShareASlotNorReuseOneThatRests) {
    std::mt19937 random(3);
    Config config = config_with(0);
    Allocation allocation = must(allocate({}, config, kNow));
    std::uint64_t now = kNow;
    std::map<std::uint16_t, std::uint64_t> free_again; // by slot: when it was given up, plus the timeout
    std::map<std::uint32_t, SlotLease> held;           // by address
    std::uint64_t last_id = 0;
    for (int step = 0; step < 3000; ++step) {
        now += random() % 300;
        config.services[0].timeouts = {1, 1 + static_cast<std::uint32_t>(step % 7) * 100, 1, 1};
        auto &backends = config.services[0].backends;
        if (random() % 2 == 0 || backends.empty()) {
            const config::Backend added = backend(1 + static_cast<std::uint32_t>(random() % 60));
            if (std::find(backends.begin(), backends.end(), added) == backends.end()) backends.push_back(added);
        } else {
            backends.erase(backends.begin() + static_cast<std::ptrdiff_t>(random() % backends.size()));
        }
        allocation = must(allocate(allocation, config, now));
        const auto &leases = allocation.services.at(key_of(config.services[0]));
        ASSERT_EQ(leases.slots.size(), backends.size());
        std::set<std::uint16_t> in_use;
        std::map<std::uint32_t, SlotLease> now_held;
        for (const auto &[address, lease] : leases.slots) {
            ASSERT_TRUE(in_use.insert(lease.slot).second);
            const auto before = held.find(address);
            if (before != held.end()) {
                ASSERT_EQ(lease, before->second);
            } else {
                ASSERT_GT(lease.creation_id, last_id);
                last_id = lease.creation_id;
                const auto free_at = free_again.find(lease.slot);
                ASSERT_TRUE(free_at == free_again.end() || free_at->second <= now);
            }
            now_held.emplace(address, lease);
        }
        for (const auto &[address, lease] : held)
            if (!now_held.contains(address)) free_again[lease.slot] = now + leases.longest_timeout_s;
        held = std::move(now_held);
    }
}

} // namespace
} // namespace fairlead::state
