// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/blackholes.hpp"

#include <set>
#include <utility>

#include <spdlog/spdlog.h>

#include "controlplane/nexthop/vip_routes.hpp"

namespace fairlead::state {

namespace {

std::vector<wire::Be32> vips_of(const config::Config &config, const config::Config *also) {
    std::set<std::uint32_t> vips;
    for (const config::Service &service : config.services) vips.insert(service.vip.host());
    if (also != nullptr)
        for (const config::Service &service : also->services) vips.insert(service.vip.host());
    std::vector<wire::Be32> list;
    for (const std::uint32_t vip : vips) list.push_back(wire::Be32::from_host(vip));
    return list;
}

} // namespace

void Blackholes::set(const config::Config &config, const config::Config *also) {
    if (!is_wanted_) return;
    std::vector<wire::Be32> vips = vips_of(config, also);
    if (vips == vips_) return;
    const auto change = nexthop::set_vip_blackholes(vips);
    std::vector<std::string> warnings;
    if (!change) warnings.push_back("VIPs are not blackholed in this host's kernel: " + change.error().format());
    else
        for (const Error &conflict : change->conflicts) warnings.push_back(conflict.format());
    // Only what is whole is remembered: with a conflict the next change tries again.
    vips_ = warnings.empty() ? std::optional(std::move(vips)) : std::nullopt;
    if (warnings == warnings_) return;
    warnings_ = std::move(warnings);
    for (const std::string &warning : warnings_) spdlog::warn("{}", warning);
}

} // namespace fairlead::state
