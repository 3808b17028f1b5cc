// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/row_sets.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/unit/state/sample_config.hpp"

namespace fairlead::state {
namespace {

using test::backend;
using test::config_with;
using test::service;

/// The state after `before` that has `config`.
DesiredState state_of(const config::Config &config, const DesiredState &before = {}, const HealthRecord &health = {}) {
    DesiredState state;
    state.config = config;
    state.allocation = allocate(before.allocation, config, 1).value();
    state.seed.fill(7);
    state.health = health;
    state.histories = histories_after(before.allocation.services.empty() ? state : before, state);
    return state;
}

std::uint16_t slot_of(const DesiredState &state, std::uint32_t number) {
    return state.allocation.services.at(key_of(state.config.services[0])).slots.at(backend(number).address.host()).slot;
}

bool names(const ServiceRows &rows, std::uint16_t slot) {
    return std::ranges::find(rows.alternates, slot) != rows.alternates.end();
}

const ServiceRows &rows_of(const RowSet &set, const DesiredState &state, std::size_t index = 0) {
    return *set.at(key_of(state.config.services[index]));
}

TEST(RowSets, OnlyWhatChangedIsBuiltAnew) {
    config::Config config = config_with(3);
    config.services.push_back(service("dns", 2, 2));
    RowSets row_sets;
    const DesiredState first = state_of(config);
    const RowSet before = row_sets.build({}, first);

    config.services[0].name = "renamed";
    config.services[0].timeouts.udp_s = 3;
    std::swap(config.services[0].backends[0], config.services[0].backends[2]);
    config.services[1].backends[0].weight = 50;
    const DesiredState second = state_of(config, first);
    const RowSet after = row_sets.build(before, second);
    EXPECT_EQ(&rows_of(after, second, 0), &rows_of(before, first, 0)) << "name, timeouts, order: not the rows";
    EXPECT_NE(rows_of(after, second, 1).segment_id, rows_of(before, first, 1).segment_id);
    EXPECT_NE(rows_of(after, second, 1).rows, rows_of(before, first, 1).rows);
}

TEST(RowSets, SeedAndAlgorithmMakeAnotherTable) {
    RowSets row_sets;
    DesiredState state = state_of(config_with(3));
    const RowSet first = row_sets.build({}, state);
    state.config.services[0].algorithm = tables::Algorithm::kMaglev;
    const RowSet second = row_sets.build(first, state);
    state.seed.fill(8);
    const RowSet third = row_sets.build(second, state);
    EXPECT_NE(rows_of(first, state).digest, rows_of(second, state).digest);
    EXPECT_NE(rows_of(second, state).digest, rows_of(third, state).digest);
    EXPECT_NE(rows_of(second, state).segment_id, rows_of(third, state).segment_id);
}

TEST(RowSets, RebuildingStepByStepEqualsBuildingFromScratch) {
    RowSets stepwise;
    config::Config config = config_with(2);
    DesiredState state = state_of(config);
    RowSet rows = stepwise.build({}, state);
    for (std::uint32_t number = 3; number < 12; ++number) {
        config.services[0].backends.push_back(backend(number));
        if (number % 3 == 0) config.services[0].backends.erase(config.services[0].backends.begin());
        if (number % 4 == 0) config.services[0].backends[0].drain = true;
        state = state_of(config, state);
        rows = stepwise.build(rows, state);
        RowSets scratch;
        const RowSet from_scratch = scratch.build({}, state);
        ASSERT_EQ(rows_of(rows, state).rows, rows_of(from_scratch, state).rows) << number;
        ASSERT_EQ(rows_of(rows, state).alternates, rows_of(from_scratch, state).alternates) << number;
    }
}

TEST(RowSets, ADrainedBackendOwnsNoRowsAndMovesNobodyElses) {
    RowSets row_sets;
    config::Config config = config_with(4);
    const DesiredState first = state_of(config);
    const RowSet before = row_sets.build({}, first);
    config.services[0].backends[1].drain = true;
    const DesiredState second = state_of(config, first);
    const RowSet after = row_sets.build(before, second);
    const std::uint16_t drained = first.allocation.services.begin()->second.slots.at(backend(2).address.host()).slot;
    const tables::Rows &old_rows = rows_of(before, first).rows;
    const tables::Rows &new_rows = rows_of(after, second).rows;
    ASSERT_EQ(old_rows.size(), new_rows.size());
    std::size_t moved = 0;
    for (std::size_t row = 0; row < old_rows.size(); ++row) {
        ASSERT_NE(new_rows[row], drained);
        moved += old_rows[row] != drained && old_rows[row] != new_rows[row];
    }
    EXPECT_LT(moved, old_rows.size() / 50) << "slack lets a few rows of others move";
}

TEST(RowSets, ADrainedBackendIsAnAlternateOfTheRowsItHad) {
    RowSets row_sets;
    config::Config config = config_with(4);
    const DesiredState first = state_of(config);
    const RowSet before = row_sets.build({}, first);
    EXPECT_EQ(rows_of(before, first).alternates, tables::no_alternates(65537));
    config.services[0].backends[1].drain = true;
    const DesiredState second = state_of(config, first);
    const RowSet after = row_sets.build(before, second);
    const std::uint16_t drained = slot_of(first, 2);
    for (std::size_t row = 0; row < 65537; ++row)
        if (rows_of(before, first).rows[row] == drained) {
            ASSERT_EQ(rows_of(after, second).alternates[row * wire::kAlternateCount], drained);
        }

    config.services[0].backends.erase(config.services[0].backends.begin() + 1);
    const DesiredState third = state_of(config, second);
    EXPECT_FALSE(names(rows_of(row_sets.build(after, third), third), drained)) << "who is removed does not live";
}

TEST(RowSets, ABackendThatDiesIsNoAlternateAndThatIsANewSegment) {
    RowSets row_sets;
    const config::Config config = config_with(4);
    const DesiredState first = state_of(config);
    const RowSet up = row_sets.build({}, first);
    HealthRecord health;
    health[health::key_of(config.services[0], backend(2).address)].grade = health::Grade::kFailing;
    const DesiredState second = state_of(config, first, health);
    const RowSet failing = row_sets.build(up, second);
    EXPECT_TRUE(names(rows_of(failing, second), slot_of(first, 2))) << "its connections may well work";

    health.begin()->second.grade = health::Grade::kDead;
    const DesiredState third = state_of(config, second, health);
    EXPECT_EQ(third.histories, second.histories) << "it owned nothing already";
    const RowSet dead = row_sets.build(failing, third);
    EXPECT_FALSE(names(rows_of(dead, third), slot_of(first, 2)));
    EXPECT_EQ(rows_of(dead, third).rows, rows_of(failing, second).rows);
    EXPECT_NE(rows_of(dead, third).segment_id, rows_of(failing, second).segment_id);
    EXPECT_EQ(&rows_of(row_sets.build(dead, third), third), &rows_of(dead, third));
}

TEST(RowSets, OnlyTcpOverGueHasASecondChanceAndMayDoWithoutIt) {
    RowSets row_sets;
    config::Config config = config_with(3);
    config.services.push_back(service("plain", 2, 3));
    config.services.push_back(service("dns", 3, 3));
    config.services.push_back(service("off", 4, 3));
    config.services[1].forwarding = wire::kForwardingIpip;
    config.services[2].protocol = wire::kIpProtocolUdp;
    config.services[3].second_chance = false;
    const DesiredState state = state_of(config);
    const RowSet rows = row_sets.build({}, state);
    EXPECT_EQ(rows_of(rows, state, 0).alternates.size(), 3 * rows_of(rows, state, 0).rows.size());
    for (const std::size_t without : {1u, 2u, 3u}) EXPECT_TRUE(rows_of(rows, state, without).alternates.empty());
    EXPECT_EQ(state.histories.size(), 4u) << "sets are remembered for all, so that it can be turned on later";
}

TEST(RowSets, TurningSecondChanceOffAndOnAgainForgetsNothing) {
    RowSets row_sets;
    config::Config config = config_with(3);
    DesiredState state = state_of(config);
    RowSet rows = row_sets.build({}, state);
    config.services[0].backends.push_back(backend(4));
    state = state_of(config, state);
    rows = row_sets.build(rows, state);
    const tables::Alternates before = rows_of(rows, state).alternates;
    for (const bool is_on : {false, true}) {
        config.services[0].second_chance = is_on;
        state = state_of(config, state);
        rows = row_sets.build(rows, state);
    }
    EXPECT_EQ(rows_of(rows, state).alternates, before);
    EXPECT_NE(before, tables::no_alternates(65537));
}

TEST(RowSets, AnotherSeedForgetsTheSets) {
    RowSets row_sets;
    config::Config config = config_with(3);
    const DesiredState first = state_of(config);
    config.services[0].backends.push_back(backend(4));
    const DesiredState second = state_of(config, first);
    EXPECT_EQ(second.histories.begin()->second.sets().size(), 2u);
    DesiredState third = second;
    third.seed.fill(8);
    third.histories = histories_after(second, third);
    EXPECT_EQ(third.histories.begin()->second.sets().size(), 1u);
    const RowSet rows = row_sets.build(row_sets.build({}, second), third);
    EXPECT_EQ(rows_of(rows, third).alternates, tables::no_alternates(65537));
}

TEST(RowSets, ARemovedServiceIsForgotten) {
    config::Config config = config_with(3);
    const DesiredState first = state_of(config);
    config.services.clear();
    const DesiredState second = state_of(config, first);
    EXPECT_TRUE(second.histories.empty());
}

TEST(RowSets, SegmentIdsOfTwoProcessesDoNotMeet) {
    RowSets one;
    RowSets other;
    EXPECT_GT(one.next_segment_id() ^ other.next_segment_id(), 1u << 20);
}

} // namespace
} // namespace fairlead::state
