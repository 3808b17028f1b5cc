// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/replies.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "controlplane/config/yaml_tree.hpp"
#include "controlplane/state/removal.hpp"
#include "dataplane/wire/drop_reasons.h"

namespace fairlead::api {

namespace {

/// Appends the reasons that have happened. A newer dataplane may count reasons that we cannot name.
template <class Message>
void add_drops(Message &message, const std::uint64_t (&drops)[wire::kCountersReasonCapacity]) {
    for (std::size_t i = 0; i < wire::kCountersReasonCapacity; ++i) {
        if (drops[i] == 0) continue;
        v1::StatsReply::Drop &drop = *message.add_drops();
        drop.set_packets(drops[i]);
        if (i < wire::kDropReasonCount) {
            drop.set_reason(wire::kDropReasons[i].name);
            drop.set_text(wire::kDropReasons[i].text);
            drop.set_mend(wire::kDropReasons[i].mend);
        } else {
            drop.set_reason(fmt::format("reason_{}", i));
        }
    }
}

void describe_dataplane(v1::StatusReply::Dataplane &message, const publish::PublisherStatus &status,
                        const metrics::Sample &sample) {
    message.set_is_connected(status.connected);
    message.set_reason(status.last_error);
    if (!status.connected) return;
    message.set_pid(status.dataplane.pid);
    message.set_version(status.dataplane.version);
    message.set_workers(status.dataplane.worker_count);
    message.set_generation(status.generation);
    std::uint64_t connections = 0;
    for (const wire::WorkerCounters &worker : sample.workers) connections += worker.connections;
    message.set_connections(connections);
    for (const wire::PortCounters &port : sample.ports) {
        v1::StatusReply::Dataplane::Port &entry = *message.add_ports();
        entry.set_name(port.name);
        entry.set_is_present(port.is_there != 0);
        entry.set_link_is_up(port.link_is_up != 0);
        entry.set_link_mbps(port.link_mbps);
        entry.set_link_changes(port.link_changes);
        entry.set_removals(port.removals);
    }
}

void describe_node(v1::StatusReply::Node &message, const node::Standing &node) {
    message.set_is_managed(node.is_managed);
    if (!node.is_managed) return;
    message.set_state(std::string(name_of(node.state)));
    message.set_since_unix_s(node.since_unix_s);
    message.set_reason(node.reason);
}

std::string describe(state::FileStanding standing, const std::string &file) {
    switch (standing) {
    case state::FileStanding::kDiffers:
        return fmt::format("{} differs from what runs; apply it with fairlead apply -f {}", file, file);
    case state::FileStanding::kUnreadable:
        return fmt::format("{} cannot be used; see fairlead check -f {}", file, file);
    default: return {};
    }
}

void describe_backend(v1::BackendListReply::BackendStatus &entry, const config::Service &service, const config::Backend &backend,
                      const state::View &view, const state::View::ServiceView &service_view) {
    entry.set_service(service.name);
    entry.set_address(config::format_ipv4(backend.address));
    entry.set_weight(backend.weight);
    entry.set_drain(backend.drain);
    entry.set_is_unresolved(std::ranges::find(service_view.backends_unresolved, backend.address) != service_view.backends_unresolved.end());
    entry.set_is_checked(config::check_of(service).type != config::HealthType::kNone);
    const health::Grade grade = grade_of(view.health, service, backend);
    entry.set_health(std::string(name_of(grade)));
    entry.set_is_kept(service_view.health.is_kept && grade != health::Grade::kUp);
    if (const auto found = view.health.find(health::key_of(service, backend.address)); found != view.health.end()) {
        entry.set_reason(found->second.reason);
        entry.set_since_unix_s(found->second.since_unix_s);
    }
}

} // namespace

v1::StatusReply status_reply(const state::Controller &controller, const metrics::Sample &sample) {
    v1::StatusReply reply;
    const auto view = controller.view();
    reply.set_version(FAIRLEAD_VERSION);
    reply.set_pid(static_cast<std::uint64_t>(::getpid()));
    reply.set_generation(view->generation);
    describe_dataplane(*reply.mutable_dataplane(), controller.dataplane(), sample);

    describe_node(*reply.mutable_node(), sample.node);

    std::map<std::string_view, std::uint64_t> opened;
    for (const metrics::ServiceSample &service : sample.services) opened[service.name] = service.counters.connections_opened;
    for (const state::View::ServiceView &service : view->services) {
        v1::StatusReply::ServiceStatus &entry = *reply.add_services();
        entry.set_name(service.name);
        entry.set_rows_digest(fmt::format("{:016x}", service.rows_digest));
        entry.set_rows(service.row_count);
        entry.set_history_digest(fmt::format("{:016x}", service.history_digest));
        entry.set_history_sets(service.history_sets);
        entry.set_backends(service.backends);
        entry.set_backends_taking(service.backends_taking);
        entry.set_backends_unresolved(static_cast<std::uint32_t>(service.backends_unresolved.size()));
        for (const wire::Be32 address : service.backends_unresolved) entry.add_unresolved(config::format_ipv4(address));
        entry.set_connections_opened(opened[service.name]);
        entry.set_backends_failing(service.health.failing);
        entry.set_backends_dead(service.health.dead);
        entry.set_is_kept(service.health.is_kept);
    }
    const state::FileStanding standing = controller.file_standing();
    reply.set_config_file(controller.config_file());
    reply.set_config_file_differs(standing != state::FileStanding::kNone && standing != state::FileStanding::kSame);
    for (const std::string &warning : view->warnings) reply.add_warnings(warning);
    if (const std::string trouble = controller.next_hop_trouble(); !trouble.empty()) reply.add_warnings("next hops: " + trouble);
    for (std::string &trouble : metrics::port_troubles(sample)) reply.add_warnings(std::move(trouble));
    if (sample.node.state == node::State::kWithdrawn || sample.node.state == node::State::kDrained)
        reply.add_warnings(sample.node.is_managed ? "this node is out of routing; fairlead node announce puts it back"
                                                  : "this node was taken out of routing by a fairleadd that had commands for it, and this one has none that put "
                                                    "it back; start it with --on-withdraw and --on-announce");
    if (const std::string note = describe(standing, controller.config_file()); !note.empty()) reply.add_warnings(note);
    return reply;
}

std::expected<v1::BackendListReply, Error>
backend_list_reply(const state::Controller &controller, const metrics::Sample &sample, const v1::BackendListRequest &request) {
    v1::BackendListReply reply;
    const auto view = controller.view();
    const publish::PublisherStatus dataplane = controller.dataplane();
    reply.set_is_up(sample.up);
    reply.set_reason(sample.down_reason);
    if (dataplane.connected) reply.set_generation(dataplane.generation);
    std::map<state::NamedBackend, std::uint64_t> connections;
    for (const metrics::BackendSample &backend : sample.backends)
        connections[{backend.service, backend.address}] = backend.counters.connections;
    std::map<std::string, std::uint64_t> unsure;
    for (const metrics::ServiceSample &service : sample.services) unsure[service.name] = service.counters.connections_unsure;
    bool is_service_known = request.service().empty();
    for (std::size_t i = 0; i < view->config.services.size(); ++i) {
        const config::Service &service = view->config.services[i];
        if (!request.service().empty() && service.name != request.service()) continue;
        is_service_known = true;
        for (const config::Backend &backend : service.backends) {
            const std::string address = config::format_ipv4(backend.address);
            if (!request.address().empty() && address != request.address()) continue;
            v1::BackendListReply::BackendStatus &entry = *reply.add_backends();
            describe_backend(entry, service, backend, *view, view->services[i]);
            entry.set_connections(connections[{service.name, address}]);
            entry.set_unsure(unsure[service.name]);
        }
    }
    if (!is_service_known)
        return std::unexpected(
            error_in("service", fmt::format("{} does not exist", config::quoted(request.service())), "see fairlead service list"));
    if (!request.address().empty() && reply.backends().empty())
        return std::unexpected(error_in("address",
                                        fmt::format("{} is no backend of service \"{}\"", config::quoted(request.address()),
                                                    request.service()),
                                        "see fairlead backend list"));
    return reply;
}

v1::StatsReply stats_reply(const metrics::Sample &sample) {
    v1::StatsReply reply;
    reply.set_is_up(sample.up);
    reply.set_reason(sample.down_reason);
    for (const metrics::ServiceSample &service : sample.services) {
        v1::StatsReply::ServiceStats &entry = *reply.add_services();
        entry.set_name(service.name);
        entry.set_packets(service.counters.packets);
        entry.set_bytes(service.counters.bytes);
        entry.set_connections_opened(service.counters.connections_opened);
        add_drops(entry, service.counters.drops);
    }
    for (const metrics::BackendSample &backend : sample.backends) {
        v1::StatsReply::BackendStats &entry = *reply.add_backends();
        entry.set_service(backend.service);
        entry.set_address(backend.address);
        entry.set_packets(backend.counters.packets);
        entry.set_bytes(backend.counters.bytes);
        entry.set_connections_opened(backend.counters.connections_opened);
        entry.set_connections(backend.counters.connections);
    }
    std::uint64_t drops[wire::kCountersReasonCapacity] = {};
    for (std::size_t i = 0; i < sample.workers.size(); ++i) {
        const wire::WorkerCounters &worker = sample.workers[i];
        std::uint64_t dropped = 0;
        for (std::size_t reason = 0; reason < wire::kCountersReasonCapacity; ++reason) {
            drops[reason] += worker.drops[reason];
            dropped += worker.drops[reason];
        }
        v1::StatsReply::WorkerStats &entry = *reply.add_workers();
        entry.set_worker(static_cast<std::uint32_t>(i));
        entry.set_received_packets(worker.received_packets);
        entry.set_received_bytes(worker.received_bytes);
        entry.set_forwarded_packets(worker.forwarded_packets);
        entry.set_forwarded_bytes(worker.forwarded_bytes);
        entry.set_kernel_packets(worker.kernel_packets);
        entry.set_by_connection(worker.by_connection);
        entry.set_by_row(worker.by_row);
        entry.set_by_hops(worker.by_hops);
        entry.set_resets_sent(worker.resets_sent);
        entry.set_hops_omitted(worker.hops_omitted);
        entry.set_connections_adopted(worker.connections_adopted);
        entry.set_connections_inherited(worker.connections_inherited);
        entry.set_dropped_packets(dropped);
        entry.set_connections(worker.connections);
        entry.set_connections_opened(worker.connections_opened);
        entry.set_connections_expired(worker.connections_expired);
        entry.set_connections_evicted(worker.connections_evicted);
        entry.set_connections_unrecorded(worker.connections_unrecorded);
    }
    add_drops(reply, drops);
    if (const std::uint64_t lost = sample.dataplane.steered[wire::kSteer_no_socket]) {
        const wire::ReasonText &text = wire::kSteerOutcomes[wire::kSteer_no_socket];
        v1::StatsReply::Drop &drop = *reply.add_drops();
        drop.set_packets(lost);
        drop.set_reason(text.name);
        drop.set_text(text.text);
        drop.set_mend(text.mend);
    }
    std::uint64_t refused = 0;
    for (const wire::PortCounters &port : sample.ports) refused += port.to_kernel_refused;
    if (refused != 0) {
        v1::StatsReply::Drop &drop = *reply.add_drops();
        drop.set_packets(refused);
        drop.set_reason("kernel_refused");
        drop.set_text("for the kernel, which did not take them from a port's twin");
        drop.set_mend("ip link set TWIN up");
    }
    for (const wire::GenerationCounters &generation : sample.generations) {
        v1::StatsReply::Generation &entry = *reply.add_generations();
        entry.set_generation(generation.generation);
        entry.set_packets(generation.packets);
    }
    return reply;
}

} // namespace fairlead::api
