// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/forwarding_state.hpp"

#include <set>

namespace fairlead::state {

namespace {

publish::ForwardingService service_of(const config::Service &service, const ServiceLease &lease,
                                      std::uint64_t rows_segment_id) {
    return {
        .index = lease.index,
        .vip = service.vip,
        .port = service.port,
        .protocol = service.protocol,
        .forwarding = service.forwarding,
        .rows_segment_id = rows_segment_id,
        .half_open_timeout_s = service.timeouts.half_open_s,
        .established_timeout_s = service.timeouts.established_s,
        .closing_timeout_s = service.timeouts.closing_s,
        .udp_timeout_s = service.timeouts.udp_s,
    };
}

void set_hop(publish::ForwardingSlot &slot, const config::Balancer &balancer, const HopOf &hop_of) {
    if (balancer.next_hop_mac) {
        slot.mac = *balancer.next_hop_mac;
        slot.resolved = true;
    } else {
        const nexthop::NextHop hop = hop_of(slot.address);
        slot.mac = hop.mac;
        slot.resolved = hop.resolved;
    }
}

} // namespace

std::vector<wire::Be32> backends_of(const config::Config &config) {
    std::set<std::uint32_t> addresses;
    for (const config::Service &service : config.services)
        for (const config::Backend &backend : service.backends) addresses.insert(backend.address.host());
    std::vector<wire::Be32> list;
    for (const std::uint32_t address : addresses) list.push_back(wire::Be32::from_host(address));
    return list;
}

publish::ForwardingState forwarding_state(const DesiredState &state, const RowSet &rows,
                                          std::uint64_t hops_segment_id, const HopOf &hop_of) {
    const config::Balancer &balancer = state.config.balancer;
    publish::ForwardingState forwarding{
        .generation = state.generation,
        .hops_segment_id = hops_segment_id,
        .seed = state.seed,
        .source_address = balancer.source_address,
        .gue_port = balancer.gue_port,
        .dscp = balancer.dscp,
        .services = {},
        .slots = {},
    };
    for (const config::Service &service : state.config.services) {
        const ServiceKey key = key_of(service);
        const ServiceLease &lease = state.allocation.services.at(key);
        forwarding.services.push_back(service_of(service, lease, rows.at(key)->segment_id));
        const ServiceHealth health = judge(service, state.health);
        for (std::size_t i = 0; i < service.backends.size(); ++i) {
            const config::Backend &backend = service.backends[i];
            const SlotLease &slot = lease.slots.at(backend.address.host());
            forwarding.slots.push_back({.slot = slot.slot,
                                        .address = backend.address,
                                        .epoch = slot.epoch,
                                        .service = lease.index,
                                        .state = slot_state_of(service, backend, health.grades[i])});
        }
    }
    for (const auto &[number, departed] : departed_of(state.allocation)) {
        const wire::Be32 address = wire::Be32::from_host(departed.address);
        forwarding.slots.push_back({.slot = number,
                                    .address = address,
                                    .epoch = epoch_of(address, departed.creation_id),
                                    .service = departed.service,
                                    .state = departed.state});
    }
    for (publish::ForwardingSlot &slot : forwarding.slots) set_hop(slot, balancer, hop_of);
    return forwarding;
}

} // namespace fairlead::state
