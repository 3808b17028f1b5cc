// SPDX-License-Identifier: Apache-2.0
/// What grades mean for rows and slots.
#include "controlplane/state/health_record.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "controlplane/state/forwarding_state.hpp"
#include "tests/unit/state/sample_config.hpp"

namespace fairlead::state {
namespace {

using health::Grade;
using test::backend;
using test::config_with;

DesiredState state_with(std::uint32_t backend_count) {
    DesiredState state;
    state.config = config_with(backend_count);
    state.allocation = allocate({}, state.config, 1).value();
    state.seed.fill(7);
    return state;
}

void set_grade(DesiredState &state, std::uint32_t number, Grade grade) {
    state.health[health::key_of(state.config.services[0], backend(number).address)] = {grade, "a reason, 3 of 3", 1'700'000'000};
}

ServiceHealth judged(const DesiredState &state) { return judge(state.config.services[0], state.health); }

/// Of each backend of the first service, in order, and of each that departed.
std::vector<int> slot_states(const DesiredState &state) {
    RowSets row_sets;
    const auto forwarding = forwarding_state(state, row_sets.build({}, state), 1, {});
    std::vector<int> states;
    for (const publish::ForwardingSlot &slot : forwarding.slots) states.push_back(slot.state);
    return states;
}

bool owns_rows(const DesiredState &state, std::uint32_t number) {
    RowSets row_sets;
    const RowSet set = row_sets.build({}, state);
    const ServiceKey key = key_of(state.config.services[0]);
    const auto &rows = set.at(key)->rows;
    return std::ranges::find(rows, state.allocation.services.at(key).slots.at(backend(number).address.host()).slot) != rows.end();
}

TEST(Grades, AFailingBackendKeepsItsFlowsAndTakesNoNewOnes) {
    DesiredState state = state_with(4);
    set_grade(state, 2, Grade::kFailing);
    EXPECT_EQ(slot_states(state), (std::vector<int>{wire::kSlotUp, wire::kSlotDraining, wire::kSlotUp, wire::kSlotUp}));
    EXPECT_FALSE(owns_rows(state, 2));
    EXPECT_TRUE(owns_rows(state, 1));
}

TEST(Grades, ADeadBackendsFlowsGoByOnDead) {
    DesiredState state = state_with(4);
    set_grade(state, 2, Grade::kDead);
    for (const auto &[on_dead, expected] : {std::pair<config::OnDead, int>{config::OnDead::kRehash, wire::kSlotRehash},
                                           {config::OnDead::kReset, wire::kSlotReset},
                                           {config::OnDead::kKeep, wire::kSlotDraining}}) {
        state.config.services[0].on_dead = on_dead;
        EXPECT_EQ(slot_states(state)[1], expected);
        EXPECT_FALSE(owns_rows(state, 2));
    }
    state.config.services[0].protocol = wire::kIpProtocolUdp; // as it would not pass validate()
    EXPECT_EQ(state_on_dead(state.config.services[0], wire::kSlotRehash), wire::kSlotRehash);
}

TEST(Grades, ADrainedBackendThatDiesIsDeadToo) {
    DesiredState state = state_with(4);
    state.config.services[0].backends[1].drain = true;
    set_grade(state, 2, Grade::kFailing);
    EXPECT_EQ(slot_states(state)[1], wire::kSlotDraining);
    set_grade(state, 2, Grade::kDead);
    EXPECT_EQ(slot_states(state)[1], wire::kSlotRehash);
}

TEST(Panic, BeginsAboveHalfAndEndsAtHalf) {
    DesiredState state = state_with(4);
    set_grade(state, 1, Grade::kDead);
    set_grade(state, 2, Grade::kFailing);
    EXPECT_FALSE(judged(state).is_kept) << "half of them";
    EXPECT_FALSE(owns_rows(state, 1));
    set_grade(state, 3, Grade::kDead);
    const ServiceHealth health = judged(state);
    EXPECT_TRUE(health.is_kept);
    EXPECT_EQ(health.considered, 4u);
    EXPECT_EQ(health.dead, 2u);
    EXPECT_EQ(health.failing, 1u);
    EXPECT_EQ(slot_states(state), std::vector<int>(4, wire::kSlotUp));
    for (std::uint32_t number = 1; number <= 4; ++number) EXPECT_TRUE(owns_rows(state, number));
    EXPECT_EQ(describe_kept(state.config.services[0], health),
              "web: 3 of 4 backends are failing or dead, more than half: all are kept as if up; look at the health check and at "
              "the network to the backends");
    set_grade(state, 2, Grade::kUp);
    EXPECT_FALSE(judged(state).is_kept);
    EXPECT_FALSE(owns_rows(state, 3));
}

TEST(Panic, CountsOnlyThoseThatShouldTakeFlows) {
    DesiredState state = state_with(5);
    state.config.services[0].backends[0].drain = true;
    state.config.services[0].backends[1].weight = 0;
    set_grade(state, 1, Grade::kDead);
    set_grade(state, 2, Grade::kDead);
    set_grade(state, 3, Grade::kDead);
    EXPECT_EQ(judged(state).considered, 3u);
    EXPECT_FALSE(judged(state).is_kept) << "1 of 3";
    set_grade(state, 4, Grade::kFailing);
    EXPECT_TRUE(judged(state).is_kept) << "2 of 3";
    EXPECT_EQ(slot_states(state), (std::vector<int>{wire::kSlotDraining, wire::kSlotDraining, wire::kSlotUp, wire::kSlotUp, wire::kSlotUp}))
        << "what the operator said still holds";
}

TEST(Panic, TheOnlyBackendOfAServiceIsKept) {
    DesiredState state = state_with(1);
    set_grade(state, 1, Grade::kDead);
    EXPECT_EQ(slot_states(state), std::vector<int>{wire::kSlotUp});
    state = state_with(2);
    set_grade(state, 1, Grade::kDead);
    EXPECT_EQ(slot_states(state), (std::vector<int>{wire::kSlotRehash, wire::kSlotUp}));
}

TEST(HealthRecord, KeepsOnlyWhatIsChecked) {
    DesiredState state = state_with(3);
    set_grade(state, 1, Grade::kDead);
    set_grade(state, 3, Grade::kFailing);
    config::Config config = state.config;
    config.services[0].backends.pop_back();
    EXPECT_EQ(keep_checked(state.health, config).size(), 1u) << "a backend that is added again begins as up";
    config.services[0].health.type = config::HealthType::kNone;
    EXPECT_TRUE(keep_checked(state.health, config).empty());
}

TEST(HealthRecord, TakesWhatWasFoundOfBackendsAsTheyAreNow) {
    const DesiredState state = state_with(3);
    const auto targets = targets_of(state.config, state.allocation, {});
    ASSERT_EQ(targets.size(), 3u);
    EXPECT_EQ(targets[0].check.port, 80);
    health::Found found{targets[1], "refused, 3 of 3", 5};
    found.target.grade = Grade::kFailing;
    const HealthRecord record = with_found({}, state.config, state.allocation, {found});
    EXPECT_EQ(record, (HealthRecord{{targets[1].key, {Grade::kFailing, "refused, 3 of 3", 5}}}));
    EXPECT_EQ(describe_changes({}, record, state.config),
              (std::vector<HealthChange>{{Grade::kFailing, "be 10.1.0.2 of web: failing: refused, 3 of 3"}}));

    config::Config other = state.config;
    other.services[0].health.port = 81;
    EXPECT_TRUE(with_found({}, other, state.allocation, {found}).empty()) << "found by another check";
    found.target.incarnation += 100;
    EXPECT_TRUE(with_found({}, state.config, state.allocation, {found}).empty()) << "found of a former backend";
}

/// With slots 0, 1 and 2 for backends 1, 2 and 3; the last one is removed.
DesiredState after_removal(config::OnDead on_dead) {
    DesiredState state = state_with(3);
    state.config.services[0].on_dead = on_dead;
    state.config.services[0].backends.pop_back();
    state.allocation = allocate(state.allocation, state.config, 100).value();
    return state;
}

TEST(Removal, TheSlotOfARemovedBackendGoesByOnDead) {
    EXPECT_EQ(slot_states(after_removal(config::OnDead::kRehash)), (std::vector<int>(2, wire::kSlotUp)));
    for (const auto &[on_dead, expected] : {std::pair<config::OnDead, int>{config::OnDead::kReset, wire::kSlotReset},
                                           {config::OnDead::kKeep, wire::kSlotDraining}}) {
        const DesiredState before = state_with(3);
        const DesiredState state = after_removal(on_dead);
        EXPECT_EQ(slot_states(state), (std::vector<int>{wire::kSlotUp, wire::kSlotUp, expected}));
        RowSets row_sets;
        const auto slot = forwarding_state(state, row_sets.build({}, state), 1, {}).slots.back();
        const SlotLease lease = before.allocation.services.begin()->second.slots.at(backend(3).address.host());
        EXPECT_EQ(slot.slot, lease.slot);
        EXPECT_EQ(slot.epoch, lease.epoch) << "entries still mean it";
        EXPECT_EQ(slot.address, backend(3).address);
        EXPECT_EQ(slot.service, before.allocation.services.begin()->second.index);
        EXPECT_TRUE(slot.resolved);
    }
}

TEST(Removal, TheSlotIsFreeWhenItsQuarantineEndsOrItsServiceGoes) {
    DesiredState state = after_removal(config::OnDead::kKeep);
    const std::uint64_t end_s = 100 + longest_timeout_s(state.config.services[0].timeouts);
    EXPECT_EQ(first_departure_end_s(state.allocation), end_s);
    EXPECT_FALSE(departed_of(allocate(state.allocation, state.config, end_s - 1).value()).empty());
    EXPECT_TRUE(departed_of(allocate(state.allocation, state.config, end_s).value()).empty());
    config::Config without = state.config;
    without.services.clear();
    const Allocation gone = allocate(state.allocation, without, 101).value();
    EXPECT_TRUE(departed_of(gone).empty());
    EXPECT_EQ(first_departure_end_s(gone), std::nullopt);
    EXPECT_TRUE(gone.resting_slots.contains(2)) << "it rests all the same";
}

TEST(Removal, AnAddressThatComesBackIsAnotherBackendBesideTheOld) {
    DesiredState state = after_removal(config::OnDead::kReset);
    state.config.services[0].backends.push_back(backend(3));
    state.allocation = allocate(state.allocation, state.config, 101).value();
    EXPECT_EQ(slot_states(state), (std::vector<int>{wire::kSlotUp, wire::kSlotUp, wire::kSlotUp, wire::kSlotReset}));
    RowSets row_sets;
    const auto slots = forwarding_state(state, row_sets.build({}, state), 1, {}).slots;
    EXPECT_EQ(slots[2].address, slots[3].address);
    EXPECT_NE(slots[2].slot, slots[3].slot);
    EXPECT_NE(slots[2].epoch, slots[3].epoch);
}

} // namespace
} // namespace fairlead::state
