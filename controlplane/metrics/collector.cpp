// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/collector.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace fairlead::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

/// Each exported generation is a time series of its own, so only the last few are; `fairlead stats` has all.
constexpr std::size_t kGenerationsExported = 8;

class Family {
  public:
    Family(MetricType type, std::string name, std::string help) {
        family_.type = type;
        family_.name = std::move(name);
        family_.help = std::move(help);
    }
    void add(double value, Labels labels = {}) {
        ClientMetric metric;
        metric.label = std::move(labels);
        if (family_.type == MetricType::Counter) metric.counter.value = value;
        else metric.gauge.value = value;
        family_.metric.push_back(std::move(metric));
    }
    void add(std::uint64_t value, Labels labels = {}) { add(static_cast<double>(value), std::move(labels)); }
    [[nodiscard]] MetricFamily take() { return std::move(family_); }

  private:
    MetricFamily family_;
};

/// A counter or gauge that is one field of a struct of counters.
template <class Counters> struct Field {
    std::uint64_t Counters::*value;
    MetricType type;
    const char *name;
    const char *help;
};

constexpr MetricType kCounter = MetricType::Counter;
constexpr MetricType kGauge = MetricType::Gauge;

using Worker = wire::WorkerCounters;
constexpr Field<Worker> kWorkerFields[] = {
    {&Worker::received_packets, kCounter, "fairlead_worker_received_packets_total", "Packets a worker received."},
    {&Worker::received_bytes, kCounter, "fairlead_worker_received_bytes_total", "Bytes a worker received."},
    {&Worker::forwarded_packets, kCounter, "fairlead_worker_forwarded_packets_total", "Packets sent to backends."},
    {&Worker::forwarded_bytes, kCounter, "fairlead_worker_forwarded_bytes_total",
     "Bytes sent to backends, outer headers included."},
    {&Worker::kernel_packets, kCounter, "fairlead_worker_kernel_packets_total", "Packets handed to the kernel."},
    {&Worker::by_connection, kCounter, "fairlead_worker_forwarded_by_connection_total",
     "Packets forwarded by an entry of the connection table."},
    {&Worker::by_row, kCounter, "fairlead_worker_forwarded_by_row_total", "Packets forwarded by the row table."},
    {&Worker::by_hops, kCounter, "fairlead_worker_forwarded_by_hops_total", "Packets of connections found without their beginning, forwarded with the row's former owners as hops."},
    {&Worker::resets_sent, kCounter, "fairlead_worker_resets_sent_total", "RSTs to clients whose backend is dead."},
    {&Worker::hops_omitted, kCounter, "fairlead_worker_hops_omitted_total", "Packets that left without their hops, for which the MTU had no room."},
    {&Worker::connections_adopted, kGauge, "fairlead_worker_connections_adopted", "Connections found in the table of the dataplane before."},
    {&Worker::connections_inherited, kCounter, "fairlead_worker_connections_inherited_total", "Connections copied from the tables of other workers before a restart."},
    {&Worker::connections, kGauge, "fairlead_worker_connections", "Live entries of a worker's connection table."},
    {&Worker::connections_opened, kCounter, "fairlead_worker_connections_opened_total", "Connections recorded."},
    {&Worker::connections_expired, kCounter, "fairlead_worker_connections_expired_total",
     "Connections forgotten when their time was over."},
    {&Worker::connections_evicted, kCounter, "fairlead_worker_connections_evicted_total",
     "Half-open or closing connections that made room."},
    {&Worker::connections_displaced, kCounter, "fairlead_worker_connections_displaced_total",
     "Connections moved to their other place in the table."},
    {&Worker::connections_unrecorded, kCounter, "fairlead_worker_connections_unrecorded_total",
     "New flows forwarded without an entry because there was no room."},
    {&Worker::connections_stale, kCounter, "fairlead_worker_connections_stale_total",
     "Entries whose backend slot has another tenant now."},
    {&Worker::bursts, kCounter, "fairlead_worker_bursts_total", "Bursts processed."},
    {&Worker::polls_empty, kCounter, "fairlead_worker_empty_polls_total", "Polls that found nothing."},
    {&Worker::generation, kGauge, "fairlead_worker_generation", "Generation that decided a worker's last burst."},
};

using Service = publish::ServiceCounters;
constexpr Field<Service> kServiceFields[] = {
    {&Service::packets, kCounter, "fairlead_service_packets_total", "Packets received for a service, drops included."},
    {&Service::bytes, kCounter, "fairlead_service_bytes_total", "Bytes received for a service, drops included."},
    {&Service::connections_opened, kCounter, "fairlead_service_connections_opened_total",
     "Connections recorded for a service."},
    {&Service::connections_unsure, kGauge, "fairlead_service_connections_unsure",
     "Live connections of a service that were found without their beginning: any of its backends may have them."},
};

using Slot = publish::SlotCounters;
constexpr Field<Slot> kBackendFields[] = {
    {&Slot::packets, kCounter, "fairlead_backend_packets_total", "Packets sent to a backend."},
    {&Slot::bytes, kCounter, "fairlead_backend_bytes_total", "Bytes sent to a backend, outer headers included."},
    {&Slot::connections, kGauge, "fairlead_backend_connections", "Live connections of a backend."},
    {&Slot::connections_opened, kCounter, "fairlead_backend_connections_opened_total",
     "Connections recorded for a backend."},
};

using Port = wire::PortCounters;
constexpr Field<Port> kPortFields[] = {
    {&Port::link_is_up, kGauge, "fairlead_port_link_up", "Whether a port's link is up."},
    {&Port::link_mbps, kGauge, "fairlead_port_link_mbps", "The link's rate; 0: the device does not say."},
    {&Port::link_changes, kCounter, "fairlead_port_link_changes_total", "How often a port's link came or went."},
    {&Port::is_there, kGauge, "fairlead_port_present", "Whether a port's device is there, with its driver."},
    {&Port::removals, kCounter, "fairlead_port_removals_total", "How often a port's device or its driver went."},
    {&Port::to_kernel_packets, kCounter, "fairlead_port_to_kernel_packets_total", "Packets that the kernel got through a port's twin."},
    {&Port::to_kernel_bytes, kCounter, "fairlead_port_to_kernel_bytes_total", "Bytes that the kernel got through a port's twin."},
    {&Port::to_kernel_refused, kCounter, "fairlead_port_to_kernel_refused_total", "Packets that the kernel did not take: the twin is down."},
    {&Port::from_kernel_packets, kCounter, "fairlead_port_from_kernel_packets_total", "Packets that the kernel sent through a port's twin."},
    {&Port::from_kernel_bytes, kCounter, "fairlead_port_from_kernel_bytes_total", "Bytes that the kernel sent through a port's twin."},
};

using Header = wire::CountersHeader;
constexpr Field<Header> kDataplaneFields[] = {
    {&Header::generation, kGauge, "fairlead_generation", "Generation adopted last; 0: none."},
    {&Header::generations_adopted, kCounter, "fairlead_generations_adopted_total", "Generations adopted."},
    {&Header::generations_refused, kCounter, "fairlead_generations_refused_total", "Generations refused."},
    {&Header::segments_mapped, kGauge, "fairlead_segments_mapped", "Segments of snapshots in use."},
};

/// One family for each field, one metric in it for each element.
template <class Counters, std::size_t N, class Elements, class CountersOf, class LabelsOf>
void render_fields(std::vector<MetricFamily> &families, const Field<Counters> (&fields)[N], const Elements &elements,
                   CountersOf counters_of, LabelsOf labels_of) {
    for (const Field<Counters> &field : fields) {
        Family family(field.type, field.name, field.help);
        for (const auto &element : elements) family.add(counters_of(element).*field.value, labels_of(element));
        families.push_back(family.take());
    }
}

void render_workers(std::vector<MetricFamily> &families, const std::vector<Worker> &workers) {
    const auto label_of = [&workers](const Worker &worker) {
        return ClientMetric::Label{"worker", std::to_string(&worker - workers.data())};
    };
    render_fields(
        families, kWorkerFields, workers, [](const Worker &worker) -> const Worker & { return worker; },
        [&](const Worker &worker) { return Labels{label_of(worker)}; });

    Family drops(kCounter, "fairlead_drops_total", "Packets dropped, by reason.");
    Family connections(kGauge, "fairlead_connections", "Live connections of all workers.");
    std::uint64_t live = 0;
    for (const Worker &worker : workers) {
        live += worker.connections;
        for (std::uint32_t reason = 0; reason < wire::kDropReasonCount; ++reason)
            drops.add(worker.drops[reason], {label_of(worker), {"reason", wire::kDropReasons[reason].name}});
    }
    connections.add(live);
    families.push_back(drops.take());
    families.push_back(connections.take());
}

void render_ports(std::vector<MetricFamily> &families, const std::vector<Port> &ports) {
    render_fields(
        families, kPortFields, ports, [](const Port &port) -> const Port & { return port; },
        [](const Port &port) { return Labels{{"port", std::string(port.name)}}; });
}

void render_services(std::vector<MetricFamily> &families, const std::vector<ServiceSample> &services) {
    render_fields(
        families, kServiceFields, services, [](const ServiceSample &service) { return service.counters; },
        [](const ServiceSample &service) { return Labels{{"service", service.name}}; });
    Family drops(kCounter, "fairlead_service_drops_total", "Packets for a service that were dropped, by reason.");
    for (const ServiceSample &service : services)
        for (std::uint32_t reason = 0; reason < wire::kDropReasonCount; ++reason)
            drops.add(service.counters.drops[reason],
                      {{"service", service.name}, {"reason", wire::kDropReasons[reason].name}});
    families.push_back(drops.take());
}

void render_backends(std::vector<MetricFamily> &families, const std::vector<BackendSample> &backends) {
    render_fields(
        families, kBackendFields, backends, [](const BackendSample &backend) { return backend.counters; },
        [](const BackendSample &backend) {
            return Labels{{"service", backend.service}, {"backend", backend.address}};
        });
}

void render_dataplane(std::vector<MetricFamily> &families, const Sample &sample) {
    const Header *const only[] = {&sample.dataplane};
    render_fields(
        families, kDataplaneFields, only, [](const Header *header) { return *header; },
        [](const Header *) { return Labels{}; });

    Family adoption(kGauge, "fairlead_generation_adoption_seconds",
                    "From the last publication to the moment its generation decided packets.");
    adoption.add(static_cast<double>(sample.dataplane.adoption_ns_last) / 1e9);
    families.push_back(adoption.take());
    Family start(kGauge, "fairlead_dataplane_start_time_seconds", "When the dataplane started, in Unix time.");
    start.add(static_cast<double>(sample.dataplane.started_unix_ns) / 1e9);
    families.push_back(start.take());

    Family steered(kCounter, "fairlead_steer_packets_total", "What the steering program did with packets on AF_XDP ports.");
    for (std::size_t outcome = 0; outcome < wire::kSteerOutcomeCount; ++outcome)
        steered.add(sample.dataplane.steered[outcome], {{"outcome", wire::kSteerOutcomes[outcome].name}});
    families.push_back(steered.take());

    Family packets(kCounter, "fairlead_generation_packets_total", "Packets decided by each of the last generations.");
    const std::size_t exported = std::min(sample.generations.size(), kGenerationsExported);
    for (auto entry = sample.generations.end() - static_cast<std::ptrdiff_t>(exported);
         entry != sample.generations.end(); ++entry)
        packets.add(entry->packets, {{"generation", std::to_string(entry->generation)}});
    families.push_back(packets.take());
}

void render_health(std::vector<MetricFamily> &families, const HealthSample &sample) {
    Family up(kGauge, "fairlead_backend_up", "Whether health checks find a backend up; its grade as a label.");
    Family transitions(kCounter, "fairlead_backend_health_transitions_total", "Changes of a backend's grade, by the grade it got.");
    Family probes(kCounter, "fairlead_backend_probes_total", "Health probes of a backend, by what they found.");
    for (const HealthSample::Backend &backend : sample.backends) {
        const auto labels = [&backend](const char *name, std::string_view value) {
            return Labels{{"service", backend.service}, {"backend", backend.address}, {name, std::string(value)}};
        };
        up.add(backend.grade == health::Grade::kUp ? 1.0 : 0.0, labels("grade", name_of(backend.grade)));
        for (std::size_t grade = 0; grade < health::kGradeCount; ++grade)
            transitions.add(backend.counts.transitions[grade], labels("grade", name_of(static_cast<health::Grade>(grade))));
        for (std::size_t verdict = 0; verdict < health::kVerdictCount; ++verdict)
            probes.add(backend.counts.probes[verdict], labels("result", name_of(static_cast<health::Verdict>(verdict))));
    }
    Family kept(kGauge, "fairlead_service_panic",
                "Whether more than half of a service's backends are failing or dead, so that all are kept.");
    for (const HealthSample::Service &service : sample.services) kept.add(service.is_kept ? 1.0 : 0.0, {{"service", service.name}});
    for (Family *family : {&up, &transitions, &probes, &kept}) families.push_back(family->take());
}

void render_node(std::vector<MetricFamily> &families, const node::Standing &node) {
    Family state(kGauge, "fairlead_node_state", "How this node stands to the site's routing: 1 for the state that it is in.");
    if (node.is_managed)
        for (const std::string_view name : node::kStateNames) state.add(name == name_of(node.state) ? 1.0 : 0.0, {{"state", std::string(name)}});
    families.push_back(state.take());
}

/// A family without metrics is left out: some scrapers take its bare HELP line for an error.
std::vector<MetricFamily> without_empty(std::vector<MetricFamily> families) {
    std::erase_if(families, [](const MetricFamily &family) { return family.metric.empty(); });
    return families;
}

} // namespace

std::vector<MetricFamily> render(const Sample &sample) {
    std::vector<MetricFamily> families;
    Family build(kGauge, "fairlead_build_info", "The version that runs, as a label; always 1.");
    build.add(1.0, {{"version", FAIRLEAD_VERSION}});
    families.push_back(build.take());
    Family up(kGauge, "fairlead_dataplane_up", "Whether the dataplane can be reached.");
    up.add(sample.up ? 1.0 : 0.0);
    families.push_back(up.take());
    render_node(families, sample.node);
    render_health(families, sample.health);
    if (!sample.up) return without_empty(std::move(families));

    render_dataplane(families, sample);
    render_workers(families, sample.workers);
    render_ports(families, sample.ports);
    render_services(families, sample.services);
    render_backends(families, sample.backends);
    return without_empty(std::move(families));
}

Collector::Collector(std::shared_ptr<Statistics> statistics) : statistics_(std::move(statistics)) {}

std::vector<MetricFamily> Collector::Collect() const { return render(statistics_->sample()); }

} // namespace fairlead::metrics
