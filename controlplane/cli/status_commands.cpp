// SPDX-License-Identifier: Apache-2.0
/// fairlead status|stats
#include <memory>

#include <fmt/format.h>

#include "controlplane/cli/render.hpp"
#include "controlplane/cli/session.hpp"
#include "controlplane/cli/table.hpp"

namespace fairlead::cli {

namespace {

void print_status(const v1::StatusReply &status) {
    const auto &dataplane = status.dataplane();
    fmt::print("fairleadd   up: version {}, pid {}, for {} s\n", status.version(), status.pid(), status.uptime_s());
    if (dataplane.is_connected())
        fmt::print("dataplane   up: version {}, pid {}, {} workers, {} connections\n", dataplane.version(), dataplane.pid(),
                   dataplane.workers(), grouped(dataplane.connections()));
    else
        fmt::print("dataplane   down: {}\n", dataplane.reason());
    for (const auto &port : dataplane.ports()) {
        const std::string rate = port.link_mbps() != 0 ? fmt::format(", {} Mb/s", port.link_mbps()) : "";
        fmt::print("port        {}: {}\n", port.name(), !port.is_present() ? "away" : port.link_is_up() ? "up" + rate : "link down");
    }
    fmt::print("generation  desired {}, running {}\n", status.generation(),
               dataplane.is_connected() ? std::to_string(dataplane.generation()) : "unknown");
    if (status.node().is_managed())
        fmt::print("node        {}{}\n", status.node().state(), status.node().reason().empty() ? "" : "; last: " + status.node().reason());
    Table table({"SERVICE", ">BACKENDS", ">TAKING", ">UNRESOLVED", ">OPENED", ">ROWS", "ROWS-DIGEST", ">SETS", "HISTORY-DIGEST"});
    for (const auto &service : status.services())
        table.add({service.name(), std::to_string(service.backends()), std::to_string(service.backends_taking()),
                   std::to_string(service.backends_unresolved()), grouped(service.connections_opened()),
                   std::to_string(service.rows()), service.rows_digest(), std::to_string(service.history_sets()), service.history_digest()});
    fmt::print("\n{}", table.format());
    for (const std::string &warning : status.warnings()) fmt::print(stderr, "fairlead: warning: {}\n", warning);
}

void print_stats(const v1::StatsReply &stats) {
    Table services({"SERVICE", ">PACKETS", ">BYTES", ">OPENED", ">DROPPED"});
    for (const auto &service : stats.services()) {
        std::uint64_t dropped = 0;
        for (const auto &drop : service.drops()) dropped += drop.packets();
        services.add({service.name(), grouped(service.packets()), grouped(service.bytes()),
                      grouped(service.connections_opened()), grouped(dropped)});
    }
    Table backends({"SERVICE", "BACKEND", ">PACKETS", ">BYTES", ">OPENED", ">CONNECTIONS"});
    for (const auto &backend : stats.backends())
        backends.add({backend.service(), backend.address(), grouped(backend.packets()), grouped(backend.bytes()),
                      grouped(backend.connections_opened()), grouped(backend.connections())});
    Table workers({"WORKER", ">RECEIVED", ">FORWARDED", ">BY-CONNECTION", ">BY-ROW", ">ROW+HOPS", ">DROPPED", ">CONNECTIONS"});
    for (const auto &worker : stats.workers())
        workers.add({std::to_string(worker.worker()), grouped(worker.received_packets()), grouped(worker.forwarded_packets()),
                     grouped(worker.by_connection()), grouped(worker.by_row()), grouped(worker.by_hops()), grouped(worker.dropped_packets()),
                     grouped(worker.connections())});
    fmt::print("{}\n{}\n{}", services.format(), backends.format(), workers.format());
    if (stats.drops().empty()) return;
    Table drops({"DROPPED", ">PACKETS", "WHAT HAPPENED", "WHAT TO LOOK AT"});
    for (const auto &drop : stats.drops()) drops.add({drop.reason(), grouped(drop.packets()), drop.text(), drop.mend()});
    fmt::print("\n{}", drops.format());
}

/// Both commands answer 3 without a dataplane, so that a script can ask whether all is up.
void show_status(Session &session, Output output) {
    const auto status = session.client().status();
    if (!status) return session.fail(status.error());
    if (output == Output::kJson) fmt::print("{}", message_json(*status));
    else print_status(*status);
    if (!status->dataplane().is_connected()) session.exit_code = kUnreachable;
}

void show_stats(Session &session, Output output) {
    const auto stats = session.client().stats();
    if (!stats) return session.fail(stats.error());
    if (output == Output::kJson) fmt::print("{}", message_json(*stats));
    else if (stats->is_up()) print_stats(*stats);
    if (stats->is_up()) return;
    fmt::print(stderr, "fairlead: the dataplane is down: {}\n", stats->reason());
    session.exit_code = kUnreachable;
}

} // namespace

void add_status_commands(CLI::App &app, Session &session) {
    auto status_output = std::make_shared<Output>();
    CLI::App *status = app.add_subcommand("status", "What is up, which generation runs; exit code 3 when something is down");
    add_output_option(*status, *status_output, {Output::kTable, Output::kJson});
    status->callback([&session, status_output] { show_status(session, *status_output); });

    auto stats_output = std::make_shared<Output>();
    CLI::App *stats = app.add_subcommand("stats", "Packets, connections and drops");
    add_output_option(*stats, *stats_output, {Output::kTable, Output::kJson});
    stats->callback([&session, stats_output] { show_stats(session, *stats_output); });
}

} // namespace fairlead::cli
