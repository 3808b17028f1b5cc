// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/port.hpp"

#include "dataplane/io/interface.hpp"
#include "dataplane/io/log.hpp"
#include "dataplane/io/pci_device.hpp"
#include "dataplane/io/twin.hpp"

#include <fmt/format.h>
#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <utility>

namespace fairlead::io {

namespace {

constexpr std::uint16_t kAfXdpRingSize = 2048;
constexpr std::uint16_t kRingSize = 1024;

Result<PortPlan> plan_af_xdp(PortPlan plan) {
    const auto interface = Interface::look_up(plan.spec.name);
    const auto refuse = [&](const std::string &why) { return std::unexpected(fmt::format("port {}: {}", plan.spec.text, why)); };
    if (!interface) return refuse(interface.error());
    if (!interface->is_up) return refuse(fmt::format("the interface is down; ip link set {} up", plan.spec.name));
    if (const auto missing = missing_capabilities(); !missing.empty()) return refuse(fmt::format("needs root: {} missing", missing));
    if (interface->mtu > PacketPool::af_xdp_mtu_max())
        return refuse(fmt::format("the interface's MTU is {}, AF_XDP takes at most {}", interface->mtu, PacketPool::af_xdp_mtu_max()));
    plan.mtu = interface->mtu;
    plan.queue_count = interface->queue_count;
    return plan;
}

Result<PortPlan> plan_pcap(PortPlan plan) {
    const auto &[rx, tx] = std::pair(plan.spec.rx_file, plan.spec.tx_file);
    if (!rx.empty() && ::access(rx.c_str(), R_OK) != 0)
        return std::unexpected(fmt::format("port {}: cannot read {}: {}", plan.spec.text, rx, std::strerror(errno)));
    const auto directory = tx.empty() ? std::filesystem::path() : std::filesystem::absolute(tx).parent_path();
    if (!tx.empty() && ::access(directory.c_str(), W_OK) != 0)
        return std::unexpected(fmt::format("port {}: cannot write into {}: {}", plan.spec.text, directory.string(), std::strerror(errno)));
    return plan;
}

Result<PortPlan> plan_pci(PortPlan plan, unsigned worker_count, unsigned mtu) {
    const auto refuse = [&](const std::string &why) { return std::unexpected(fmt::format("port {}: {}", plan.spec.text, why)); };
    const auto device = PciDevice::look_up(plan.spec.name);
    if (!device) return refuse(device.error());
    if (auto usable = device->check_usable(); !usable) return refuse(usable.error());
    plan.twin = plan.spec.twin == "none" ? "" : plan.spec.twin.empty() ? fmt::format("fl{}", plan.index) : plan.spec.twin;
    if (!plan.twin.empty())
        if (auto possible = Twin::check(plan.twin); !possible) return refuse(possible.error());
    plan.node = device->node;
    plan.queue_count = worker_count;
    plan.mtu = std::max(plan.mtu, mtu);
    return plan;
}

/// The device that a port is to DPDK: a driver's name with a number, and the driver's arguments.
std::pair<std::string, std::string> virtual_device(const PortPlan &plan) {
    const auto &spec = plan.spec;
    switch (spec.kind) {
    case PortKind::kAfXdp:
        // busy_budget 0: with it, each empty poll would be a system call.
        return {fmt::format("net_af_xdp{}", plan.index),
                fmt::format("iface={},start_queue=0,queue_count={},busy_budget=0{}{}", spec.name, plan.queue_count,
                            plan.steer_object.empty() ? "" : ",xdp_prog=", plan.steer_object.string())};
    case PortKind::kPcap: {
        const auto rx = spec.rx_file.empty() ? std::string() : "rx_pcap=" + spec.rx_file;
        const auto tx = spec.tx_file.empty() ? std::string() : "tx_pcap=" + spec.tx_file;
        return {fmt::format("net_pcap{}", plan.index), rx.empty() || tx.empty() ? rx + tx : rx + "," + tx};
    }
    default: return {fmt::format("net_null{}", plan.index), ""};
    }
}

std::string driver_of(std::uint16_t id) {
    rte_eth_dev_info info{};
    return rte_eth_dev_info_get(id, &info) == 0 && info.driver_name != nullptr ? info.driver_name : "unknown driver";
}

} // namespace

Result<PortPlan> plan_port(const PortSpec &spec, unsigned index, unsigned worker_count, unsigned mtu) {
    PortPlan plan{.spec = spec, .index = index, .queue_count = 1, .mtu = RTE_ETHER_MTU, .steer_object = {}, .twin = {}};
    switch (spec.kind) {
    case PortKind::kAfXdp: return plan_af_xdp(std::move(plan));
    case PortKind::kPcap: return plan_pcap(std::move(plan));
    case PortKind::kPci: return plan_pci(std::move(plan), worker_count, mtu);
    default: return plan;
    }
}

std::unexpected<std::string> Port::cannot(const char *what) const {
    const auto complaint = library_complaint();
    return std::unexpected(fmt::format("port {}: cannot {}{}{}", plan_.spec.text, what, complaint.empty() ? "" : ": ", complaint));
}

Result<Port> Port::open(const PortPlan &plan) {
    forget_library_complaint();
    Port port(plan);
    if (auto attached = port.attach(); !attached) return std::unexpected(attached.error());
    if (auto configured = port.configure(); !configured) return std::unexpected(configured.error());
    return port;
}

Result<void> Port::attach() {
    if (plan_.spec.kind == PortKind::kRing) return attach_rings();
    std::string name = plan_.spec.name;
    if (plan_.spec.kind != PortKind::kPci) {
        std::string arguments;
        std::tie(name, arguments) = virtual_device(plan_);
        if (rte_vdev_init(name.c_str(), arguments.c_str()) != 0) return cannot("make the device");
        device_ = name;
    }
    if (rte_eth_dev_get_port_by_name(name.c_str(), &id_) != 0) return cannot("find the device");
    return {};
}

/// NAME-rx is received from, NAME-tx sent to; whoever shares the process may feed and empty them.
Result<void> Port::attach_rings() {
    for (const char *end : {"-rx", "-tx"}) {
        rings_.emplace_back(rte_ring_create((plan_.spec.name + end).c_str(), kRingSize, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ));
        if (!rings_.back()) return cannot("make the rings");
    }
    rte_ring *const rx[] = {rings_[0].get()};
    rte_ring *const tx[] = {rings_[1].get()};
    const int id = rte_eth_from_rings(plan_.spec.name.c_str(), rx, 1, tx, 1, 0);
    if (id < 0) return cannot("make the device");
    device_ = "net_ring_" + plan_.spec.name;
    id_ = static_cast<std::uint16_t>(id);
    return {};
}

Result<void> Port::configure() {
    rte_eth_dev_info info{};
    if (rte_eth_dev_info_get(id_, &info) != 0) return cannot("ask the device what it can do");
    auto setup = set_up_for(info, {.queue_count = plan_.queue_count, .tx_queue_count = plan_.tx_queue_count, .mtu = plan_.mtu,
                                   .ring_size = plan_.spec.kind == PortKind::kAfXdp ? kAfXdpRingSize : kRingSize,
                                   .is_distributed = plan_.is_distributed,
                                   .is_nic = plan_.spec.kind == PortKind::kPci});
    if (!setup) return std::unexpected(fmt::format("port {}: {}", plan_.spec.text, setup.error()));
    setup_ = std::move(*setup);
    plan_.queue_count = setup_.queue_count;
    if (rte_eth_dev_configure(id_, setup_.queue_count, setup_.tx_queue_count, &setup_.configuration) != 0) return cannot("configure the device");
    if (rte_eth_dev_adjust_nb_rx_tx_desc(id_, &setup_.rx_size, &setup_.tx_size) != 0) return cannot("size the device's rings");
    if (auto done = set_up_queues(static_cast<unsigned>(rte_eth_dev_socket_id(id_))); !done) return done;
    return take_mac();
}

Result<void> Port::set_up_queues(unsigned socket) {
    for (std::uint16_t queue = 0; queue < setup_.queue_count; ++queue) {
        if (queue == pools_.size()) {
            auto pool = PacketPool::create(fmt::format("port{}-queue{}", plan_.index, queue), plan_.spec.kind, plan_.mtu, plan_.held_buffer_count,
                                           plan_.node);
            if (!pool) return std::unexpected(fmt::format("port {}: {}", plan_.spec.text, pool.error()));
            pools_.push_back(std::move(*pool));
        }
        if (rte_eth_rx_queue_setup(id_, queue, setup_.rx_size, socket, nullptr, pools_[queue].get()) != 0) return cannot("set up a queue");
    }
    for (std::uint16_t queue = 0; queue < setup_.tx_queue_count; ++queue)
        if (rte_eth_tx_queue_setup(id_, queue, setup_.tx_size, socket, nullptr) != 0) return cannot("set up a queue");
    return {};
}

Result<void> Port::take_mac() {
    rte_ether_addr address{};
    if (rte_eth_macaddr_get(id_, &address) != 0) return cannot("read the device's address");
    std::ranges::copy(address.addr_bytes, mac_.begin());
    return {};
}

Result<void> Port::start() {
    if (rte_eth_dev_start(id_) != 0) return cannot("start the device");
    if (plan_.spec.kind == PortKind::kPci) {
        spread_flows();
        if (!plan_.twin.empty()) hear_multicast();
        spdlog::info("port {}: {}, {}, MTU {}, {}", plan_.spec.text, driver_of(id_), setup_.describe(), plan_.mtu,
                     plan_.node < 0 ? "no NUMA node" : fmt::format("NUMA node {}", plan_.node));
    }
    serving_->store(id_, std::memory_order_release); // who sees the number sees a device that is set up
    return {};
}

/// Drivers spread evenly themselves; this makes it the same way with each, so that a restart finds flows where they were.
void Port::spread_flows() const {
    if (setup_.spread.empty()) return;
    auto spread = setup_.spread;
    if (rte_eth_dev_rss_reta_update(id_, spread.data(), setup_.spread_size) != 0)
        spdlog::debug("port {}: the driver spreads flows in its own way", plan_.spec.text);
}

/// The kernel wants its groups' packets: IPv6 finds neighbours by them.
void Port::hear_multicast() const {
    if (rte_eth_allmulticast_enable(id_) == 0 || rte_eth_promiscuous_enable(id_) == 0) return;
    spdlog::warn("port {}: the device cannot be told to receive multicast: IPv6 on {} will not work", plan_.spec.text, plan_.twin);
}

void Port::close() {
    if (id_ == kNoId) return;
    withdraw();
    rte_eth_dev_info info{};
    const bool is_known = rte_eth_dev_info_get(id_, &info) == 0;
    rte_eth_dev_stop(id_);
    rte_eth_dev_close(id_);
    id_ = kNoId;
    if (plan_.spec.kind == PortKind::kPci && is_known) rte_dev_remove(info.device);
}

Result<void> Port::reopen() {
    forget_library_complaint();
    const auto [queue_count, mac] = std::pair(plan_.queue_count, mac_);
    if (rte_dev_probe(plan_.spec.name.c_str()) != 0) return cannot("take the device");
    auto opened = attach();
    if (opened) opened = configure();
    if (opened && plan_.queue_count != queue_count)
        opened = std::unexpected(fmt::format("port {}: the device had {} queues, has {} now; restart", plan_.spec.text, queue_count, plan_.queue_count));
    if (opened && mac_ != mac) { // another card in its place: workers and the kernel know the port by its address
        rte_ether_addr address{};
        std::ranges::copy(mac, address.addr_bytes);
        mac_ = mac;
        if (rte_eth_dev_default_mac_addr_set(id_, &address) != 0) opened = cannot("give the device the address that the port had");
    }
    if (opened) opened = start();
    if (opened) return {};
    plan_.queue_count = queue_count;
    mac_ = mac;
    close();
    return opened;
}

Port::Port(Port &&other) noexcept
    : plan_(std::move(other.plan_)), setup_(std::move(other.setup_)), serving_(std::move(other.serving_)), id_(std::exchange(other.id_, kNoId)),
      device_(std::exchange(other.device_, {})), mac_(other.mac_), pools_(std::move(other.pools_)), rings_(std::move(other.rings_)) {}

Port::~Port() {
    if (id_ != kNoId) {
        rte_eth_dev_stop(id_);
        rte_eth_dev_close(id_);
    }
    if (!device_.empty()) rte_vdev_uninit(device_.c_str());
}

} // namespace fairlead::io
