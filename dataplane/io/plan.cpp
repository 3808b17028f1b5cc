// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/plan.hpp"

#include "dataplane/core/connection_table.hpp"
#include "dataplane/io/distribution.hpp"
#include "dataplane/io/memory_supply.hpp"
#include "dataplane/io/numa.hpp"
#include "dataplane/io/pci_device.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <set>

namespace fairlead::io {

namespace {

constexpr std::size_t kEalBaseBytes = 16U << 20; // DPDK's own records, and slack for alignment

/// The NUMA node that all NICs are on; kNoNode: they are on several, or the machine names none.
int common_node(std::span<const PortSpec> ports) {
    std::set<int> nodes;
    for (const auto &port : ports) {
        if (port.kind != PortKind::kPci) continue;
        const auto device = PciDevice::look_up(port.name);
        nodes.insert(device ? device->node : kNoNode);
    }
    if (nodes.size() == 1) return *nodes.begin();
    nodes.erase(kNoNode);
    if (nodes.size() > 1)
        spdlog::warn("the NICs are on NUMA nodes {}: workers serve those of the other node, too; run a dataplane on each, with its own --runtime-dir, "
                     "--state-directory and twin=NAME",
                     fmt::join(nodes, " and "));
    return kNoNode;
}

Result<Placement> place_workers(const Options &options, int node) {
    const auto near = node == kNoNode || node_count() < 2 ? std::vector<unsigned>() : cpus_of_node(node);
    return place_near(node, near, allowed_cpus(), options);
}

/// What DPDK takes on each node; empty where there is one.
std::vector<std::size_t> by_node(std::span<const PortPlan> ports, std::size_t total, int node) {
    std::vector<std::size_t> bytes(node_count());
    if (bytes.size() < 2) return {};
    std::size_t elsewhere = total;
    for (const auto &port : ports) {
        if (port.node < 0 || static_cast<std::size_t>(port.node) >= bytes.size()) continue;
        bytes[static_cast<std::size_t>(port.node)] += port.memory_bytes();
        elsewhere -= port.memory_bytes();
    }
    bytes[static_cast<std::size_t>(std::max(node, 0))] += elsewhere;
    return bytes;
}

bool has_nic(const Plan &plan) {
    return std::ranges::any_of(plan.ports, [](const PortPlan &port) { return port.spec.kind == PortKind::kPci; });
}

/// The tables' part. What is left lies on the plan's node: it names the same NICs.
MemoryNeed table_need(const Plan &plan) {
    MemoryNeed need{.nic = has_nic(plan)};
    for (unsigned worker = 0; worker < plan.tables.worker_count; ++worker)
        for (const auto bytes : {plan.tables.compact_bytes, plan.tables.wide_bytes}) need.tables.push_back({.bytes = bytes + kTableHeaderSize, .node = plan.node});
    return need;
}

void add_eal(const Plan &plan, MemoryNeed &need) {
    if (plan.eal_node_bytes.empty()) need.eal.push_back({plan.eal_bytes});
    for (std::size_t node = 0; node < plan.eal_node_bytes.size(); ++node)
        need.eal.push_back({.bytes = plan.eal_node_bytes[node], .node = static_cast<int>(node)});
}

std::size_t count_left(const TablePlace &place) { return static_cast<std::size_t>(std::ranges::count(place.is_there, true)); }

/// As spread_of names it.
const std::string &spread_name(const PortSpec &spec) { return spec.kind == PortKind::kPci ? spec.name : spec.text; }

/// Cuts the beginning off; where the text itself was cut, it may be only part of that.
bool cut_off(std::string_view &said, std::string_view begin) {
    const auto common = said.substr(0, begin.size());
    if (!begin.starts_with(common)) return false;
    said.remove_prefix(common.size());
    return common.size() == begin.size();
}

} // namespace

Result<Placement> place_near(int node, std::span<const unsigned> near, std::span<const unsigned> allowed, const Options &options) {
    const bool pin = options.idle == Idle::kPoll;
    if (near.empty()) return place(allowed, options.lcores, options.worker_count, pin);
    std::vector<unsigned> foreign;
    std::ranges::set_difference(options.lcores, near, std::back_inserter(foreign));
    std::vector<unsigned> usable;
    std::ranges::set_intersection(allowed, near, std::back_inserter(usable));
    const bool is_any = options.numa == NumaUse::kAny;
    if (!foreign.empty()) {
        // First what does not exist, then what is far away.
        auto placement = place(allowed, options.lcores, options.worker_count, pin);
        if (!placement) return placement;
        const auto said = fmt::format("the NICs are on NUMA node {}: they need workers on its CPUs {}; --lcores has {}", node, format_cpu_list(near),
                                      format_cpu_list(foreign));
        if (!is_any) return std::unexpected(said + "; name others, or --numa any");
        spdlog::warn("{}: each packet crosses the nodes", said);
        return placement;
    }
    if (usable.empty() && options.lcores.empty() && !is_any)
        return std::unexpected(fmt::format("the NICs are on NUMA node {}: they need workers on its CPUs {}; this process may use {}, or --numa any", node,
                                           format_cpu_list(near), format_cpu_list(allowed)));
    return place(allowed, options.lcores, options.worker_count, pin, usable);
}

std::string spread_of(std::span<const Port> ports, unsigned worker_count, Distribute use) {
    std::string text = fmt::format("{} workers", worker_count);
    for (const auto &port : ports) {
        const auto &spec = port.plan().spec;
        text += fmt::format(", {} with {}{}", spread_name(spec), port.setup().describe_spread(),
                            Distribution::is_spread(port, worker_count, use) ? ", handed on" : "");
    }
    return text;
}

bool may_be_spread(std::string_view said, const Plan &plan) {
    const bool is_cut = said.size() == kSpreadTextMax;
    if (!cut_off(said, fmt::format("{} workers", plan.worker_count()))) return false;
    for (const auto &port : plan.ports) {
        if (!cut_off(said, fmt::format(", {} with ", spread_name(port.spec)))) return is_cut && said.empty();
        // Up to the next port, or the end: the device's own part, and whether flows are handed on.
        const auto own = said.substr(0, said.find(", "));
        said.remove_prefix(own.size());
        constexpr std::string_view kHandedOn = ", handed on";
        if (is_cut && kHandedOn.starts_with(said)) return true;
        if (!said.starts_with(kHandedOn)) continue;
        if (!port.is_distributed) return false;
        said.remove_prefix(kHandedOn.size());
    }
    return said.empty() || is_cut;
}

Result<void> check_left_tables(Plan &plan, const TableDirectory &tables) {
    if (plan.left_count == 0) return {};
    const auto is_same = [&](std::string_view said) { return said == std::string_view(plan.tables.spread).substr(0, kSpreadTextMax); };
    const auto places = tables.places(plan.tables, plan.hugepages, is_same);
    if (!places) return std::unexpected(places.error());
    const auto planned = std::ranges::find(*places, plan.place.directory, &TablePlace::directory);
    if (planned != places->end() && count_left(*planned) >= plan.left_count) return {};
    // What DPDK takes it has by now: its need is not among these.
    auto choice = choose_memory(plan.hugepages ? HugepageUse::kOn : HugepageUse::kOff, table_need(plan), MemorySupply::read(), *places, *places);
    if (!choice) return std::unexpected("an earlier run's connection tables do not fit this one: " + choice.error());
    plan.place = std::move(choice->place);
    return {};
}

Result<Plan> make_plan(const Options &options, const TableDirectory &tables) {
    Plan plan;
    plan.node = common_node(options.ports);
    auto placement = place_workers(options, plan.node);
    if (!placement) return std::unexpected(placement.error());
    plan.placement = std::move(*placement);

    std::size_t needed = kEalBaseBytes;
    for (const auto &spec : options.ports) {
        auto port = plan_port(spec, static_cast<unsigned>(plan.ports.size()), plan.worker_count(), options.mtu);
        if (!port) return std::unexpected(port.error());
        if (plan.worker_count() > 1) {
            port->held_buffer_count = Distribution::held_buffer_count(spec.kind, plan.worker_count(), options.distribute);
            port->is_distributed = port->held_buffer_count != 0;
            if (port->is_distributed) port->tx_queue_count = plan.worker_count();
        }
        needed += port->memory_bytes();
        plan.ports.push_back(std::move(*port));
    }
    plan.eal_bytes = options.memory_mb != 0 ? std::size_t{options.memory_mb} << 20 : needed;
    if (plan.eal_bytes < needed)
        return std::unexpected(fmt::format("--memory {}: the ports need {} MB", options.memory_mb, (needed >> 20) + 1));
    plan.eal_node_bytes = by_node(plan.ports, plan.eal_bytes, plan.node);

    plan.tables = {.worker_count = plan.worker_count(),
                   .compact_bytes = core::connection_memory_bytes_for<core::CompactKey>(options.connections),
                   .wide_bytes = core::connection_memory_bytes_for<core::WideKey>(options.wide_connections),
                   .spread = {}};
    const auto find_places = [&](bool hugepages) -> Result<std::vector<TablePlace>> {
        if (options.forgets) return std::vector<TablePlace>(1); // in this process's memory
        return tables.places(plan.tables, hugepages, [&](std::string_view said) { return may_be_spread(said, plan); });
    };
    const auto places_with = find_places(true), places_without = find_places(false);
    for (const auto *places : {&places_with, &places_without})
        if (!*places) return std::unexpected(places->error());
    auto need = table_need(plan);
    add_eal(plan, need);
    auto choice = choose_memory(options.hugepages, need, MemorySupply::read(), *places_with, *places_without);
    if (!choice) return std::unexpected(choice.error());
    plan.hugepages = choice->hugepages;
    plan.place = std::move(choice->place);
    plan.left_count = count_left(plan.place);
    return plan;
}

} // namespace fairlead::io
