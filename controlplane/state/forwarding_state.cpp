// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/forwarding_state.hpp"

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

publish::ForwardingSlot slot_of(const config::Balancer &balancer, const config::Backend &backend,
                                const SlotLease &lease, std::uint16_t service, const HopOf &hop_of) {
    publish::ForwardingSlot slot{
        .slot = lease.slot,
        .address = backend.address,
        .epoch = lease.epoch,
        .service = service,
        .state = backend.drain || backend.weight == 0 ? std::uint8_t{wire::kSlotDraining} : std::uint8_t{wire::kSlotUp},
    };
    if (balancer.next_hop_mac) {
        slot.mac = *balancer.next_hop_mac;
        slot.resolved = true;
    } else {
        const nexthop::NextHop hop = hop_of(backend.address);
        slot.mac = hop.mac;
        slot.resolved = hop.resolved;
    }
    return slot;
}

} // namespace

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
        for (const config::Backend &backend : service.backends)
            forwarding.slots.push_back(slot_of(balancer, backend, lease.slots.at(backend.address.host()), lease.index, hop_of));
    }
    return forwarding;
}

} // namespace fairlead::state
