// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/row_sets.hpp"

#include <gtest/gtest.h>

#include "tests/unit/state/sample_config.hpp"

namespace fairlead::state {
namespace {

using testing::backend;
using testing::config_with;
using testing::service;

DesiredState state_of(const config::Config &config, const Allocation &before = {}) {
    DesiredState state;
    state.config = config;
    state.allocation = allocate(before, config, 1).value();
    state.seed.fill(7);
    return state;
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
    config.services[0].forwarding = wire::kForwardingIpip;
    std::swap(config.services[0].backends[0], config.services[0].backends[2]);
    config.services[1].backends[0].weight = 50;
    const DesiredState second = state_of(config, first.allocation);
    const RowSet after = row_sets.build(before, second);
    EXPECT_EQ(&rows_of(after, second, 0), &rows_of(before, first, 0)) << "name, timeouts, forwarding, order: not the rows";
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
        state = state_of(config, state.allocation);
        rows = stepwise.build(rows, state);
        RowSets scratch;
        ASSERT_EQ(rows_of(rows, state).rows, rows_of(scratch.build({}, state), state).rows) << number;
    }
}

TEST(RowSets, ADrainedBackendOwnsNoRowsAndMovesNobodyElses) {
    RowSets row_sets;
    config::Config config = config_with(4);
    const DesiredState first = state_of(config);
    const RowSet before = row_sets.build({}, first);
    config.services[0].backends[1].drain = true;
    const DesiredState second = state_of(config, first.allocation);
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

TEST(RowSets, SegmentIdsOfTwoProcessesDoNotMeet) {
    RowSets one;
    RowSets other;
    EXPECT_GT(one.next_segment_id() ^ other.next_segment_id(), 1u << 20);
}

} // namespace
} // namespace fairlead::state
