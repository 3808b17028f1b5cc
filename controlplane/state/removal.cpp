// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/removal.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "controlplane/state/allocation.hpp"

namespace fairlead::state {

std::vector<NamedBackend> removed_backends(const config::Config &before, const config::Config &after) {
    std::map<ServiceKey, std::set<std::uint32_t>> left;
    for (const config::Service &service : after.services)
        for (const config::Backend &backend : service.backends) left[key_of(service)].insert(backend.address.host());
    std::vector<NamedBackend> removed;
    for (const config::Service &service : before.services) {
        const auto kept = left.find(key_of(service));
        for (const config::Backend &backend : service.backends)
            if (kept == left.end() || !kept->second.contains(backend.address.host()))
                removed.push_back({service.name, config::format_ipv4(backend.address)});
    }
    return removed;
}

namespace {

/// After the balancer has lost its table, or got another one's flows, it knows of connections but not whose they are: each
/// stands with its row's owner, which a backend that drains never is.
std::expected<std::vector<std::string>, Error> check_unsure(const std::vector<NamedBackend> &removed, const metrics::Sample &sample) {
    for (const metrics::ServiceSample &service : sample.services) {
        const auto backend = std::ranges::find(removed, service.name, &NamedBackend::service);
        if (backend == removed.end() || service.counters.connections_unsure == 0) continue;
        return std::unexpected(error_of(
            fmt::format("{} of {} may have some of {} connections that this balancer found without their beginning", backend->address,
                        service.name, service.counters.connections_unsure),
            fmt::format("wait until they have ended (fairlead backend drain {} {} --wait), or give --force", service.name, backend->address)));
    }
    return {};
}

} // namespace

std::expected<std::vector<std::string>, Error> check_removal(const std::vector<NamedBackend> &removed,
                                                             const metrics::Sample &sample) {
    if (removed.empty()) return {};
    if (!sample.up)
        return std::vector{fmt::format("whether what is removed had open connections is unknown: {}", sample.down_reason)};
    std::map<NamedBackend, std::uint64_t> connections;
    for (const metrics::BackendSample &backend : sample.backends)
        connections[{backend.service, backend.address}] = backend.counters.connections;
    std::uint64_t total = 0;
    std::vector<const NamedBackend *> busy;
    for (const NamedBackend &backend : removed) {
        const std::uint64_t count = connections[backend];
        total += count;
        if (count > 0) busy.push_back(&backend);
    }
    if (busy.empty()) return check_unsure(removed, sample);
    const NamedBackend &first = *busy.front();
    if (busy.size() == 1)
        return std::unexpected(error_of(
            fmt::format("{} of {} has {} open connections", first.address, first.service, total),
            fmt::format("drain it first (fairlead backend drain {} {} --wait), or give --force", first.service, first.address)));
    return std::unexpected(error_of(fmt::format("{} backends that would be removed have {} open connections; {} of {} has {}",
                                                busy.size(), total, first.address, first.service, connections[first]),
                                    "drain them first (fairlead backend drain SERVICE ADDRESS --wait), or give --force"));
}

} // namespace fairlead::state
