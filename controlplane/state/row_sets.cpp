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

/// Two processes' ids meet with a chance of some 2^-40.
std::uint64_t random_id() {
    std::random_device random;
    return (static_cast<std::uint64_t>(random()) << 31 ^ random()) | 1;
}

} // namespace

std::vector<tables::Member> members_of(const config::Service &service, const ServiceLease &lease, const HealthRecord &record) {
    std::vector<tables::Member> members;
    members.reserve(service.backends.size());
    const ServiceHealth health = judge(service, record);
    for (std::size_t i = 0; i < service.backends.size(); ++i) {
        const config::Backend &backend = service.backends[i];
        const bool takes_new = !backend.drain && health.grades[i] == health::Grade::kUp;
        members.push_back({.address = tables::address_of(backend.address),
                           .weight = takes_new ? backend.weight : 0,
                           .slot = lease.slots.at(backend.address.host()).slot});
    }
    // In one order whatever the file's, so that moving lines about builds nothing.
    std::sort(members.begin(), members.end(),
              [](const tables::Member &a, const tables::Member &b) { return a.address < b.address; });
    return members;
}

RowSets::RowSets() : next_segment_id_(random_id()) {}

RowSet RowSets::build(const RowSet &before, const DesiredState &state) {
    RowSet after;
    for (const config::Service &service : state.config.services) {
        const ServiceKey key = key_of(service);
        std::vector<tables::Member> members = members_of(service, state.allocation.services.at(key), state.health);
        const auto old = before.find(key);
        if (old != before.end() && old->second->algorithm == service.algorithm && old->second->seed == state.seed &&
            equal(old->second->members, members)) {
            after.emplace(key, old->second);
            continue;
        }
        tables::Rows rows = build_rows(key, service.algorithm, state.seed, members);
        const std::uint64_t digest = tables::digest_rows(rows, members);
        after.emplace(key, std::make_shared<const ServiceRows>(ServiceRows{.algorithm = service.algorithm,
                                                                           .seed = state.seed,
                                                                           .members = std::move(members),
                                                                           .digest = digest,
                                                                           .rows = std::move(rows),
                                                                           .segment_id = next_segment_id()}));
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
