// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/statistics.hpp"

#include <fmt/format.h>

#include <utility>

namespace fairlead::metrics {
namespace {

/// @param first whether nothing was known of any index before: whoever stands there then has been
/// there since before this process, and what is counted is its own.
template <class Counters, class Tenancies>
void move_in(Tenancies &tenancies, std::uint32_t index, std::string tenant, const Counters &now, bool first) {
    const auto known = tenancies.find(index);
    if (known != tenancies.end() && known->second.tenant == tenant) return;
    tenancies[index] = {std::move(tenant), first ? Counters{} : now};
}

publish::ServiceCounters since(const publish::ServiceCounters &now, const publish::ServiceCounters &before) {
    publish::ServiceCounters counters = now;
    counters.packets -= before.packets;
    counters.bytes -= before.bytes;
    counters.connections_opened -= before.connections_opened;
    for (std::size_t i = 0; i < std::size(counters.drops); ++i) counters.drops[i] -= before.drops[i];
    return counters;
}

publish::SlotCounters since(const publish::SlotCounters &now, const publish::SlotCounters &before) {
    publish::SlotCounters counters = now; // `connections` is a gauge: as it is
    counters.packets -= before.packets;
    counters.bytes -= before.bytes;
    counters.connections_opened -= before.connections_opened;
    return counters;
}

template <class Tenancies> auto before(const Tenancies &tenancies, std::uint32_t index) {
    const auto known = tenancies.find(index);
    return known != tenancies.end() ? known->second.before : decltype(known->second.before){};
}

} // namespace

std::vector<std::string> port_troubles(const Sample &sample) {
    std::vector<std::string> troubles;
    for (const wire::PortCounters &port : sample.ports) {
        if (port.is_there == 0) troubles.push_back(fmt::format("port {}: its device is away; bind it again", port.name));
        else if (port.link_is_up == 0) troubles.push_back(fmt::format("port {}: its link is down", port.name));
    }
    return troubles;
}

Statistics::Statistics(std::shared_ptr<publish::CountersReader> reader)
    : reader_(std::move(reader)), directory_(std::make_shared<const Directory>()) {}

/// Reads on with the dataplane that runs now. A new one counts from nothing, for every tenant.
void Statistics::follow_dataplane() {
    auto counters = reader_->current();
    down_reason_ = counters ? std::string() : counters.error().format();
    if (!counters) return;
    const bool same_run = counters_ && counters_->header().started_unix_ns == (*counters)->header().started_unix_ns;
    counters_ = *counters;
    if (same_run) return;
    for (auto &[index, tenancy] : services_) tenancy.before = {};
    for (auto &[index, tenancy] : slots_) tenancy.before = {};
}

void Statistics::set_directory(std::shared_ptr<const Directory> directory) {
    const std::lock_guard lock(mutex_);
    follow_dataplane();
    // Where there is no dataplane its last counters still tell: they are what it would go on from if only
    // the connection was lost.
    const bool first = !std::exchange(has_directory_, true);
    for (const auto &service : directory->services)
        move_in(services_, service.index, service.name,
                counters_ ? counters_->service(service.index) : publish::ServiceCounters{}, first);
    for (const auto &backend : directory->backends)
        move_in(slots_, backend.slot, fmt::format("{} {} {}", backend.service, backend.address, backend.epoch),
                counters_ ? counters_->slot(backend.slot) : publish::SlotCounters{}, first);
    directory_ = std::move(directory);
}

void Statistics::set_health(std::shared_ptr<const HealthDirectory> directory, std::shared_ptr<const health::Tally> tally) {
    const std::lock_guard lock(mutex_);
    health_ = std::move(directory);
    tally_ = std::move(tally);
}

void Statistics::set_node(const node::Standing &standing) {
    const std::lock_guard lock(mutex_);
    node_ = standing;
}

HealthSample Statistics::health_sample() const {
    HealthSample sample;
    if (!health_) return sample;
    const auto counts = tally_->counts();
    for (const HealthDirectory::Service &service : health_->services) {
        sample.services.push_back({service.name, service.is_kept});
        for (const auto &[key, grade] : service.backends) {
            const auto counted = counts.find(key);
            sample.backends.push_back({service.name, config::format_ipv4(wire::Be32::from_host(key.address)), grade,
                                       counted == counts.end() ? health::Counts{} : counted->second});
        }
    }
    return sample;
}

Sample Statistics::sample() {
    const std::lock_guard lock(mutex_);
    follow_dataplane();
    Sample sample;
    sample.health = health_sample();
    sample.node = node_;
    sample.down_reason = down_reason_;
    if (!down_reason_.empty()) return sample;

    sample.up = true;
    sample.dataplane = counters_->header();
    sample.ports = counters_->ports();
    for (std::uint32_t i = 0; i < counters_->worker_count(); ++i) sample.workers.push_back(counters_->worker(i));
    for (const auto &[index, name] : directory_->services)
        sample.services.push_back({name, since(counters_->service(index), before(services_, index))});
    for (const auto &backend : directory_->backends)
        sample.backends.push_back({backend.service, backend.address,
                                   since(counters_->slot(backend.slot), before(slots_, backend.slot))});
    sample.generations = counters_->generations();
    return sample;
}

} // namespace fairlead::metrics
