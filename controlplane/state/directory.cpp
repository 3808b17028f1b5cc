// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/directory.hpp"

namespace fairlead::state {

std::shared_ptr<const metrics::Directory> directory_of(const DesiredState &state) {
    auto directory = std::make_shared<metrics::Directory>();
    for (const config::Service &service : state.config.services) {
        const ServiceLease &lease = state.allocation.services.at(key_of(service));
        directory->services.push_back({lease.index, service.name});
        for (const config::Backend &backend : service.backends) {
            const SlotLease &slot = lease.slots.at(backend.address.host());
            directory->backends.push_back({slot.slot, slot.epoch, service.name, config::format_ipv4(backend.address)});
        }
    }
    return directory;
}

std::shared_ptr<const metrics::HealthDirectory> health_directory_of(const DesiredState &state) {
    auto directory = std::make_shared<metrics::HealthDirectory>();
    for (const config::Service &service : state.config.services) {
        if (config::check_of(service).type == config::HealthType::kNone) continue;
        directory->services.push_back({service.name, judge(service, state.health).is_kept, {}});
        for (const config::Backend &backend : service.backends)
            directory->services.back().backends.emplace_back(health::key_of(service, backend.address),
                                                             grade_of(state.health, service, backend));
    }
    return directory;
}

} // namespace fairlead::state
