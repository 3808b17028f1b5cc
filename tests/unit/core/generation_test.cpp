// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/generation.hpp"

#include "tests/unit/core/snapshot_fixture.hpp"

#include <gtest/gtest.h>

using namespace fairlead;
using namespace fairlead::core;
using test::Snapshot;

namespace {

std::string refusal_of(Snapshot snapshot) {
    snapshot.render();
    return snapshot.build().refusal;
}

TEST(Generation, TakesAWholeSnapshot) {
    const Snapshot snapshot = Snapshot::with_backends(3);
    const auto built = snapshot.build();
    ASSERT_TRUE(built.generation) << built.refusal;
    EXPECT_EQ(built.generation->number(), 1u);
    EXPECT_EQ(built.generation->slot_count(), 3u);
    EXPECT_EQ(built.generation->vips().size(), 1u);
    EXPECT_EQ(built.generation->segment_ids().size(), 2u);
    EXPECT_EQ(built.generation->forwarding(3).state, wire::kSlotFree);
}

TEST(Generation, RefusesEverySingleChangedByte) {
    const Snapshot good = Snapshot::with_backends(2);
    ASSERT_TRUE(good.build().generation);
    for (auto part : {&Snapshot::root_bytes, &Snapshot::hops_bytes}) {
        for (std::size_t i = 0; i < (good.*part).size(); ++i) {
            Snapshot bad = good;
            (bad.*part)[i] ^= std::byte{0x40};
            const auto built = bad.build();
            ASSERT_FALSE(built.generation) << "byte " << i;
            ASSERT_FALSE(built.refusal.empty());
        }
    }
    for (std::size_t i = 0; i < good.rows_bytes[0].size(); ++i) {
        Snapshot bad = good;
        bad.rows_bytes[0][i] ^= std::byte{1};
        ASSERT_FALSE(bad.build().generation) << "byte " << i << " of rows";
    }
}

TEST(Generation, RefusesEveryTruncation) {
    const Snapshot good = Snapshot::with_backends(2);
    for (auto part : {&Snapshot::root_bytes, &Snapshot::hops_bytes}) {
        for (std::size_t size = 0; size < (good.*part).size(); ++size) {
            Snapshot bad = good;
            (bad.*part).resize(size);
            ASSERT_FALSE(bad.build().generation) << size << " bytes";
        }
    }
}

TEST(Generation, RefusesAnotherAbiAndSaysSo) {
    Snapshot snapshot = Snapshot::with_backends(1);
    wire::SegmentHeader header;
    std::memcpy(&header, snapshot.root_bytes.data(), sizeof header);
    header.abi = wire::kSnapshotAbi + 1;
    std::memcpy(snapshot.root_bytes.data(), &header, sizeof header);
    test::seal(snapshot.root_bytes);
    EXPECT_NE(snapshot.build().refusal.find("ABI"), std::string::npos);
}

TEST(Generation, RefusesRowsThatNameASlotOutOfRange) {
    Snapshot snapshot = Snapshot::with_backends(2);
    snapshot.rows[0][17] = 2;
    EXPECT_NE(refusal_of(snapshot).find("slot 2"), std::string::npos);
}

TEST(Generation, RefusesRowsThatNameADrainingBackend) {
    Snapshot snapshot = Snapshot::with_backends(2);
    snapshot.slots[1].state = wire::kSlotDraining;
    EXPECT_NE(refusal_of(snapshot).find("not an up backend"), std::string::npos);
}

TEST(Generation, RefusesRowsThatNameAnotherServicesBackend) {
    Snapshot snapshot = Snapshot::with_backends(2);
    snapshot.services.push_back(test::service_entry(0xc633640b, 80, 6, 100));
    EXPECT_NE(refusal_of(snapshot).find("rows of service 1"), std::string::npos);
}

TEST(Generation, RefusesTwoServicesAtOneAddress) {
    Snapshot snapshot = Snapshot::with_backends(0);
    snapshot.services.push_back(snapshot.services[0]);
    EXPECT_NE(refusal_of(snapshot).find("same VIP"), std::string::npos);
}

TEST(Generation, RefusesMissingSegments) {
    Snapshot snapshot = Snapshot::with_backends(1);
    snapshot.services[0].rows_segment_id = 4711;
    EXPECT_NE(refusal_of(snapshot).find("4711"), std::string::npos);
}

TEST(Generation, RefusesFewerHopsThanSlots) {
    Snapshot snapshot = Snapshot::with_backends(2);
    snapshot.hops.pop_back();
    EXPECT_NE(refusal_of(snapshot).find("hops"), std::string::npos);
}

TEST(Generation, RefusesATimeoutThatAgesCannotHold) {
    Snapshot snapshot = Snapshot::with_backends(1);
    snapshot.services[0].established_timeout_s = wire::kTimeoutMaxS + 1;
    EXPECT_NE(refusal_of(snapshot).find("timeout"), std::string::npos);
}

TEST(Generation, HolesAreNoServicesAndNoBackends) {
    Snapshot snapshot = Snapshot::with_backends(2);
    snapshot.services.insert(snapshot.services.begin(), wire::ServiceEntry{});
    for (auto &slot : snapshot.slots) slot.service = 1;
    snapshot.slots.push_back(wire::SlotEntry{});
    snapshot.hops.push_back(wire::HopEntry{});
    snapshot.render();
    const auto built = snapshot.build();
    ASSERT_TRUE(built.generation) << built.refusal;
    EXPECT_EQ(built.generation->service(0).row_count, 0u);
    EXPECT_EQ(built.generation->service_table().find(ServiceTable::key(wire::Be32::from_host(0xc633640a), wire::Be16::from_host(80), 6)).index, 1);
}

TEST(ServiceTable, APortOfItsOwnComesBeforeAnyPort) {
    Snapshot snapshot = Snapshot::with_backends(0);
    snapshot.services.push_back(test::service_entry(0xc633640a, 0, 6, 100));
    snapshot.render();
    const auto built = snapshot.build();
    ASSERT_TRUE(built.generation) << built.refusal;
    const auto find = [&](wire::u16 port, wire::u8 protocol) {
        return built.generation->service_table().find(ServiceTable::key(wire::Be32::from_host(0xc633640a), wire::Be16::from_host(port), protocol)).index;
    };
    EXPECT_EQ(find(80, 6), 0);
    EXPECT_EQ(find(81, 6), 1);
    EXPECT_EQ(find(0, 6), 1) << "port 0 is a port like others";
    EXPECT_EQ(find(80, 17), ServiceTable::kNone);
}

TEST(ServiceTable, FindsEachOfAThousandServicesAndNoOther) {
    std::vector<wire::ServiceEntry> services;
    for (wire::u32 i = 0; i < 1000; ++i)
        services.push_back(test::service_entry(0xc6336400 + i % 50, static_cast<wire::u16>(1 + i / 50), 6, 1));
    ServiceTable table;
    ASSERT_TRUE(table.build(services));
    for (wire::u32 i = 0; i < 1000; ++i)
        EXPECT_EQ(table.find(ServiceTable::key(wire::Be32::from_host(0xc6336400 + i % 50), wire::Be16::from_host(static_cast<wire::u16>(1 + i / 50)), 6)).index, i);
    EXPECT_EQ(table.find(ServiceTable::key(wire::Be32::from_host(0xc6336400), wire::Be16::from_host(21), 6)).index, ServiceTable::kNone);
    EXPECT_TRUE(table.is_vip(wire::Be32::from_host(0xc6336431)));
    EXPECT_FALSE(table.is_vip(wire::Be32::from_host(0xc6336432)));
}

} // namespace
