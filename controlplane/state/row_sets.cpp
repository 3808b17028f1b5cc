// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/row_sets.hpp"

#include <algorithm>
#include <random>

namespace fairlead::state {

namespace {

bool equal(const std::vector<tables::Member> &a, const std::vector<tables::Member> &b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const tables::Member &x, const tables::Member &y) {
        return x.address == y.address && x.weight == y.weight && x.slot == y.slot;
    });
}

/// Whether packets of flows that a backend has may be sent to it, a drain and a weight of 0 notwithstanding.
bool is_living(health::Grade grade) { return grade != health::Grade::kDead; }

/// Whether services with equal tables have equal alternates too.
bool has_equal_past(const ServiceRows &a, const ServiceRows &b) {
    if (a.has_second_chance != b.has_second_chance) return false;
    return !a.has_second_chance || (equal(a.members.living, b.members.living) && a.list == b.list);
}

/// The former owners of the rows of `now`, from those of `old` where they are a step away.
std::shared_ptr<const tables::RowHistory> history_after(const ServiceRows *old, const ServiceRows &now) {
    const bool owns = now.rows.front() != wire::kNoSlot; // all rows have an owner, or none
    const auto row_count = static_cast<std::uint32_t>(now.rows.size());
    const std::size_t set_count = now.list.sets().size();
    if (set_count == 0 || (set_count == 1 && owns)) return nullptr;
    std::shared_ptr<const tables::RowHistory> history;
    if (old != nullptr && old->seed == now.seed && old->rows.size() == row_count) {
        history = old->history;
        if (!history && old->list.sets().size() == 1 && old->rows.front() != wire::kNoSlot)
            history = std::make_shared<const tables::RowHistory>(old->list, old->rows, old->members.all);
    }
    if (history && history->list() == now.list) return history;
    if (history && owns && history->leads_to(now.list))
        return std::make_shared<const tables::RowHistory>(history->after(now.list, now.rows, now.members.all));
    return std::make_shared<const tables::RowHistory>(tables::RowHistory::rebuild(now.list, row_count, now.seed));
}

/// Two processes' ids meet with a chance of some 2^-40.
std::uint64_t random_id() {
    std::random_device random;
    return (static_cast<std::uint64_t>(random()) << 31 ^ random()) | 1;
}

} // namespace

ServiceMembers members_of(const config::Service &service, const ServiceLease &lease, const HealthRecord &record) {
    ServiceMembers members;
    members.all.reserve(service.backends.size());
    const ServiceHealth health = judge(service, record);
    for (std::size_t i = 0; i < service.backends.size(); ++i) {
        const config::Backend &backend = service.backends[i];
        const bool takes_new = !backend.drain && health.grades[i] == health::Grade::kUp;
        members.all.push_back({.address = tables::address_of(backend.address),
                               .weight = takes_new ? backend.weight : 0,
                               .slot = lease.slots.at(backend.address.host()).slot});
        if (is_living(health.grades[i])) members.living.push_back(members.all.back());
    }
    // In one order whatever the file's, so that moving lines about builds nothing.
    std::ranges::sort(members.all, {}, &tables::Member::address);
    std::ranges::sort(members.living, {}, &tables::Member::address);
    return members;
}

Histories histories_after(const DesiredState &before, const DesiredState &after) {
    Histories histories;
    for (const config::Service &service : after.config.services) {
        const ServiceKey key = key_of(service);
        const std::vector<tables::Member> members = members_of(service, after.allocation.services.at(key), after.health).all;
        tables::BackendSet set = tables::backend_set(service.algorithm, tables::row_count(members.size()), members);
        const auto old = before.histories.find(key);
        const bool is_known = old != before.histories.end() && before.seed == after.seed;
        histories.emplace(key, (is_known ? old->second : tables::SetHistory()).with(std::move(set)));
    }
    return histories;
}

RowSets::RowSets() : next_segment_id_(random_id()) {}

RowSet RowSets::build(const RowSet &before, const DesiredState &state) {
    RowSet after;
    for (const config::Service &service : state.config.services) {
        const ServiceKey key = key_of(service);
        const auto found = before.find(key);
        const ServiceRows *old = found == before.end() ? nullptr : found->second.get();
        const auto history = state.histories.find(key);
        ServiceRows now{.algorithm = service.algorithm,
                        .seed = state.seed,
                        .members = members_of(service, state.allocation.services.at(key), state.health),
                        .has_second_chance = config::has_second_chance(service),
                        .list = history == state.histories.end() ? tables::SetHistory() : history->second};
        const bool has_old_rows = old != nullptr && old->algorithm == now.algorithm && old->seed == now.seed &&
                                  equal(old->members.all, now.members.all);
        if (has_old_rows && has_equal_past(*old, now)) {
            after.emplace(key, found->second);
            continue;
        }
        now.rows = has_old_rows ? old->rows : build_rows(key, now.algorithm, now.seed, now.members.all);
        now.digest = has_old_rows ? old->digest : tables::digest_rows(now.rows, now.members.all);
        if (now.has_second_chance) {
            now.history = history_after(old, now);
            now.alternates = now.history ? now.history->alternates(now.rows, now.members.living)
                                         : tables::no_alternates(now.rows.size());
        }
        now.segment_id = next_segment_id();
        after.emplace(key, std::make_shared<const ServiceRows>(std::move(now)));
    }
    return after;
}

tables::Rows RowSets::build_rows(const ServiceKey &key, tables::Algorithm algorithm, const config::Seed &seed,
                                 const std::vector<tables::Member> &members) {
    auto builder = std::find_if(builders_.begin(), builders_.end(), [&](const Builder &b) { return b.key == key; });
    if (builder != builders_.end() && (builder->table.algorithm() != algorithm || builder->seed != seed)) {
        builders_.erase(builder);
        builder = builders_.end();
    }
    if (builder != builders_.end()) builders_.splice(builders_.begin(), builders_, builder);
    else builders_.push_front({key, seed, tables::TableBuilder(algorithm, seed)});
    while (builders_.size() > kBuilderCountMax) builders_.pop_back();
    return builders_.front().table.build(members);
}

} // namespace fairlead::state
