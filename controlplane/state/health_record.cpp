// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/health_record.hpp"

namespace fairlead::state {

using health::Grade;

namespace {

Grade grade_in(const HealthRecord &record, const health::BackendKey &key) {
    const auto found = record.find(key);
    return found == record.end() ? Grade::kUp : found->second.grade;
}

bool is_checked(const config::Service &service) { return config::check_of(service).type != config::HealthType::kNone; }

} // namespace

ServiceHealth judge(const config::Service &service, const HealthRecord &record) {
    ServiceHealth health;
    health.grades.reserve(service.backends.size());
    for (const config::Backend &backend : service.backends) {
        const Grade grade = record.empty() ? Grade::kUp : grade_in(record, health::key_of(service, backend.address));
        health.grades.push_back(grade);
        if (backend.drain || backend.weight == 0) continue;
        ++health.considered;
        health.failing += grade == Grade::kFailing;
        health.dead += grade == Grade::kDead;
    }
    health.is_kept = 2 * (health.failing + health.dead) > health.considered;
    if (health.is_kept) health.grades.assign(health.grades.size(), Grade::kUp);
    return health;
}

HealthRecord keep_checked(const HealthRecord &record, const config::Config &config) {
    HealthRecord kept;
    if (record.empty()) return kept;
    for (const config::Service &service : config.services) {
        if (!is_checked(service)) continue;
        for (const config::Backend &backend : service.backends)
            if (const auto found = record.find(health::key_of(service, backend.address)); found != record.end()) kept.insert(*found);
    }
    return kept;
}

std::vector<health::Target> targets_of(const config::Config &config, const HealthRecord &record) {
    std::vector<health::Target> targets;
    for (const config::Service &service : config.services) {
        const config::HealthCheck check = config::check_of(service);
        if (check.type == config::HealthType::kNone) continue;
        for (const config::Backend &backend : service.backends) {
            const health::BackendKey key = health::key_of(service, backend.address);
            targets.push_back({key, check, grade_in(record, key)});
        }
    }
    return targets;
}

std::uint8_t state_on_dead(const config::Service &service, std::uint8_t rehash) {
    if (service.protocol == wire::kIpProtocolUdp) return rehash;
    switch (service.on_dead) {
    case config::OnDead::kRehash: return rehash;
    case config::OnDead::kReset: return wire::kSlotReset;
    case config::OnDead::kKeep: return wire::kSlotDraining;
    }
    return rehash;
}

std::uint8_t slot_state_of(const config::Service &service, const config::Backend &backend, Grade grade) {
    if (grade == Grade::kDead) return state_on_dead(service, wire::kSlotRehash);
    const bool takes_new = grade == Grade::kUp && !backend.drain && backend.weight > 0;
    return takes_new ? wire::kSlotUp : wire::kSlotDraining;
}

} // namespace fairlead::state
