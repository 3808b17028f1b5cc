// SPDX-License-Identifier: Apache-2.0
#define ALLOW_EXPERIMENTAL_API // DPDK's events of devices are called so since 2018
#include "dataplane/io/port_watch.hpp"

#include "dataplane/io/pci_device.hpp"

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace fairlead::io {

namespace {

constexpr unsigned kRestsAfterFailure = 4; // looks

void note_link(const rte_eth_link &link, wire::PortCounters &counters) {
    const bool is_up = link.link_status == RTE_ETH_LINK_UP;
    core::set(counters.link_is_up, is_up ? 1 : 0);
    core::set(counters.link_mbps, is_up && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN ? link.link_speed : 0);
}

bool is_gone(const Port &port) {
    const auto device = PciDevice::look_up(port.plan().spec.name);
    return !device || device->driver.empty();
}

} // namespace

int PortWatch::hear_port(std::uint16_t, rte_eth_event_type event, void *heard, void *) {
    if (event == RTE_ETH_EVENT_INTR_RMV) static_cast<Heard *>(heard)->leaves.store(true, std::memory_order_relaxed);
    return 0;
}

void PortWatch::hear_device(const char *, rte_dev_event_type event, void *heard) {
    if (event == RTE_DEV_EVENT_REMOVE) static_cast<Heard *>(heard)->leaves.store(true, std::memory_order_relaxed);
}

PortWatch::PortWatch(std::span<Port> ports, const Twins &twins, const CountersFile &counters, GenerationStore &store) : store_(store) {
    for (auto &port : ports) {
        auto &counted = counters.port(port.plan().index);
        core::set(counted.is_there, 1);
        rte_eth_link link{};
        if (rte_eth_link_get_nowait(port.id(), &link) == 0) note_link(link, counted);
        if (port.plan().spec.kind != PortKind::kPci) continue;
        watched_.push_back({.port = &port, .twin = twins[port.plan().index].get(), .counters = &counted, .heard = std::make_unique<Heard>()});
        listen(watched_.back());
        follow_link(watched_.back());
    }
    // A device that is torn out leaves addresses behind that a worker may just be reading: DPDK puts memory there.
    if (is_needed() && rte_dev_hotplug_handle_enable() != 0) spdlog::warn("DPDK cannot watch for devices that are torn out");
}

PortWatch::~PortWatch() {
    for (const auto &watched : watched_) {
        rte_dev_event_callback_unregister(watched.port->plan().spec.name.c_str(), hear_device, watched.heard.get());
        if (watched.port->id() == Port::kNoId) continue;
        rte_eth_dev_callback_unregister(watched.port->id(), RTE_ETH_EVENT_INTR_RMV, hear_port, watched.heard.get());
    }
    if (is_needed()) rte_dev_hotplug_handle_disable();
}

void PortWatch::listen(const Watched &watched) {
    // vfio asks for a device that is to be unbound or removed, and waits until it is given back.
    rte_dev_event_callback_register(watched.port->plan().spec.name.c_str(), hear_device, watched.heard.get());
    rte_eth_dev_callback_register(watched.port->id(), RTE_ETH_EVENT_INTR_RMV, hear_port, watched.heard.get());
}

void PortWatch::look() {
    for (auto &watched : watched_) {
        switch (watched.state) {
        case State::kServed:
            if (watched.heard->leaves.exchange(false, std::memory_order_relaxed)) withdraw(watched, "is asked for by the kernel");
            else if (is_gone(*watched.port)) withdraw(watched, "is gone");
            else follow_link(watched);
            break;
        case State::kWithdrawn:
            if (store_.has_passed(watched.grace)) give_back(watched);
            break;
        case State::kAway: look_for(watched); break;
        }
    }
}

void PortWatch::follow_link(Watched &watched) {
    rte_eth_link link{};
    if (rte_eth_link_get_nowait(watched.port->id(), &link) != 0) return;
    note_link(link, *watched.counters);
    const bool is_up = link.link_status == RTE_ETH_LINK_UP;
    if (is_up == watched.link_is_up) return;
    core::add(watched.counters->link_changes);
    watched.link_is_up = is_up;
    const auto &name = watched.port->plan().spec.text;
    if (!is_up) spdlog::warn("port {}: its link is down", name);
    else if (link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN) spdlog::info("port {}: its link is up", name);
    else spdlog::info("port {}: its link is up, {} Mb/s", name, link.link_speed);
    if (watched.twin != nullptr) watched.twin->set_carrier(is_up);
}

void PortWatch::withdraw(Watched &watched, const char *why) {
    spdlog::warn("port {}: its device {}; it is served no more until that is back", watched.port->plan().spec.text, why);
    watched.port->withdraw();
    watched.grace = store_.start_grace();
    watched.state = State::kWithdrawn;
    watched.link_is_up = false;
    if (watched.twin != nullptr) watched.twin->set_carrier(false);
    core::add(watched.counters->removals);
    core::set(watched.counters->is_there, 0);
    core::set(watched.counters->link_is_up, 0);
    core::set(watched.counters->link_mbps, 0);
}

void PortWatch::give_back(Watched &watched) {
    rte_eth_dev_callback_unregister(watched.port->id(), RTE_ETH_EVENT_INTR_RMV, hear_port, watched.heard.get());
    rte_dev_event_callback_unregister(watched.port->plan().spec.name.c_str(), hear_device, watched.heard.get());
    watched.port->close();
    watched.state = State::kAway;
    watched.obstacle.clear();
    spdlog::info("port {}: its device is given back", watched.port->plan().spec.text);
}

void PortWatch::look_for(Watched &watched) {
    if (watched.rests_for != 0) {
        --watched.rests_for;
        return;
    }
    const auto device = PciDevice::look_up(watched.port->plan().spec.name);
    if (!device || device->driver.empty() || !device->check_usable()) return;
    watched.heard->leaves.store(false, std::memory_order_relaxed);
    if (const auto opened = watched.port->reopen(); !opened) {
        watched.rests_for = kRestsAfterFailure;
        if (std::exchange(watched.obstacle, opened.error()) != watched.obstacle) spdlog::warn("{}", opened.error());
        return;
    }
    watched.state = State::kServed;
    core::set(watched.counters->is_there, 1);
    listen(watched);
    spdlog::info("port {}: its device is back and served again", watched.port->plan().spec.text);
    follow_link(watched);
}

} // namespace fairlead::io
