// SPDX-License-Identifier: Apache-2.0
/// What the options mean on this machine, before anything is taken of it: CPUs, ports, memory. Whatever the start will lack
/// shows here, while there is nothing to undo.
#pragma once

#include "dataplane/io/options.hpp"
#include "dataplane/io/placement.hpp"
#include "dataplane/io/port.hpp"
#include "dataplane/io/result.hpp"
#include "dataplane/io/table_directory.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::io {

struct Plan {
    Placement placement;
    std::vector<PortPlan> ports;
    TableShape tables;
    std::size_t eal_bytes = 0;
    std::vector<std::size_t> eal_node_bytes; ///< the same by NUMA node; empty: the machine has one
    int node = -1;                           ///< that the workers' memory is to lie on; -1: any
    bool hugepages = false;                  ///< for DPDK's memory
    TablePlace place{};                      ///< for the tables
    std::size_t left_count = 0;              ///< tables of an earlier run for which no memory is asked

    [[nodiscard]] unsigned worker_count() const { return static_cast<unsigned>(placement.worker_cpus.size()); }
};

/// Changes nothing. The error is one line: what is needed, what there is, what to do.
/// @param tables no memory is asked for such that earlier runs have left and this one will take as they are.
[[nodiscard]] Result<Plan> make_plan(const Options &options, const TableDirectory &tables);

/// Whether an earlier run of such a plan may have said this of how flows came to its workers. What a device can do shows only when it is open.
[[nodiscard]] bool may_be_spread(std::string_view said, const Plan &plan);

/// Once the ports are open and tables.spread is known: asks for the memory of tables that will not be taken after all, which may be elsewhere.
[[nodiscard]] Result<void> check_left_tables(Plan &plan, const TableDirectory &tables);

/// Which flows come to which worker: those of a queue go to one, and the device spreads flows over a port's queues.
[[nodiscard]] std::string spread_of(std::span<const Port> ports, unsigned worker_count, Distribute use);

/// Where workers go that serve NICs of one NUMA node. Pure.
/// @param near the node's CPUs; empty: the machine has one node.
/// The error: --lcores names others, or the process may use none of them.
[[nodiscard]] Result<Placement> place_near(int node, std::span<const unsigned> near, std::span<const unsigned> allowed, const Options &options);

} // namespace fairlead::io
