// SPDX-License-Identifier: Apache-2.0
#include "controlplane/node_surroundings.hpp"

#include <csignal>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "controlplane/publish/stop_dataplane.hpp"

namespace fairlead {

namespace {

constexpr std::chrono::seconds kStopDeadline{15}; ///< as the unit's TimeoutStopSec

std::vector<std::string> vips_of(const config::Config &config) {
    std::set<std::string> vips;
    for (const config::Service &service : config.services) vips.insert(config::format_ipv4(service.vip));
    return {vips.begin(), vips.end()};
}

} // namespace

node::Traffic traffic_of(const metrics::Sample &sample) {
    if (!sample.up) return {.trouble = "the dataplane is down: " + sample.down_reason};
    if (sample.dataplane.generation == 0) return {.trouble = "the dataplane runs no generation, and counts no service's packets"};
    node::Traffic traffic;
    for (const metrics::ServiceSample &service : sample.services) traffic.packets += service.counters.packets;
    for (const wire::WorkerCounters &worker : sample.workers) traffic.connections += worker.connections;
    return traffic;
}

std::string why_not_forwarding(const publish::PublisherStatus &dataplane, std::uint64_t desired, const metrics::Sample &sample) {
    if (!dataplane.connected) return "the dataplane is down: " + dataplane.last_error;
    if (dataplane.generation != desired || desired == 0)
        return fmt::format("the dataplane runs generation {}, desired is {}", dataplane.generation, desired);
    // One port in trouble is a warning of the status: routing may have been told of it, or it is a spare.
    const auto troubles = metrics::port_troubles(sample);
    return troubles.size() < sample.ports.size() ? std::string() : fmt::format("{}", fmt::join(troubles, "; "));
}

node::Surroundings node_surroundings(const state::Controller &controller, std::shared_ptr<metrics::Statistics> statistics,
                                     std::string dataplane_socket, std::chrono::seconds command_timeout) {
    return {.vips = [&controller] { return vips_of(controller.view()->config); },
            .traffic = [statistics] { return traffic_of(statistics->sample()); },
            .why_not_forwarding = [&controller, statistics] {
                return why_not_forwarding(controller.dataplane(), controller.view()->generation, statistics->sample());
            },
            .stop_dataplane = [socket = std::move(dataplane_socket)] { return publish::stop_dataplane(socket, kStopDeadline); },
            .stop_self = [] { ::kill(::getpid(), SIGTERM); }, // main() waits for it; calls under way are answered first
            .run = [command_timeout](const node::Command &command, const node::Environment &environment,
                                     const std::atomic<bool> &is_ending) { return node::run(command, environment, command_timeout, is_ending); },
            .now = [] { return std::chrono::steady_clock::now(); },
            .pause = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); },
            .unix_s = [] { return static_cast<std::uint64_t>(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())); },
            .changed = [statistics](const node::Standing &standing) { statistics->set_node(standing); }};
}

} // namespace fairlead
