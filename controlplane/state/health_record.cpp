// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/health_record.hpp"

#include <utility>

#include <fmt/format.h>

namespace fairlead::state {

using health::Grade;

namespace {

Grade grade_in(const HealthRecord &record, const health::BackendKey &key) {
    const auto found = record.find(key);
    return found == record.end() ? Grade::kUp : found->second.grade;
}

bool is_checked(const config::Service &service) { return config::check_of(service).type != config::HealthType::kNone; }

} // namespace

Grade grade_of(const HealthRecord &record, const config::Service &service, const config::Backend &backend) {
    return record.empty() ? Grade::kUp : grade_in(record, health::key_of(service, backend.address));
}

ServiceHealth judge(const config::Service &service, const HealthRecord &record) {
    ServiceHealth health;
    health.grades.reserve(service.backends.size());
    for (const config::Backend &backend : service.backends) {
        const Grade grade = grade_of(record, service, backend);
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

HealthRecord with_found(HealthRecord record, const config::Config &config, const Allocation &allocation,
                        const std::vector<health::Found> &found) {
    if (found.empty()) return record;
    std::map<health::BackendKey, health::Target> now;
    for (health::Target &target : targets_of(config, allocation, record)) now.emplace(target.key, std::move(target));
    for (const health::Found &each : found) {
        const auto target = now.find(each.target.key);
        if (target == now.end() || !target->second.is_as(each.target)) continue;
        record.insert_or_assign(each.target.key, FoundHealth{each.target.grade, each.reason, each.since_unix_s});
    }
    return record;
}

std::vector<health::Target> targets_of(const config::Config &config, const Allocation &allocation, const HealthRecord &record) {
    std::vector<health::Target> targets;
    for (const config::Service &service : config.services) {
        const config::HealthCheck check = config::check_of(service);
        if (check.type == config::HealthType::kNone) continue;
        const ServiceLease &lease = allocation.services.at(key_of(service));
        for (const config::Backend &backend : service.backends) {
            const health::BackendKey key = health::key_of(service, backend.address);
            targets.push_back({key, lease.slots.at(backend.address.host()).creation_id, check, grade_in(record, key)});
        }
    }
    return targets;
}

std::vector<HealthChange> describe_changes(const HealthRecord &before, const HealthRecord &after, const config::Config &config) {
    std::vector<HealthChange> changes;
    for (const config::Service &service : config.services)
        for (const config::Backend &backend : service.backends) {
            const health::BackendKey key = health::key_of(service, backend.address);
            const auto found = after.find(key);
            if (found == after.end() || found->second.grade == grade_in(before, key)) continue;
            changes.push_back({found->second.grade,
                               fmt::format("be {} of {}: {}: {}", config::format_ipv4(backend.address), service.name,
                                           name_of(found->second.grade), found->second.reason)});
        }
    return changes;
}

std::string describe_kept(const config::Service &service, const ServiceHealth &health) {
    return fmt::format("{}: {} of {} backends are failing or dead, more than half: all are kept as if up; look at the health check "
                       "and at the network to the backends",
                       service.name, health.failing + health.dead, health.considered);
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
