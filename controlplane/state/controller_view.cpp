// SPDX-License-Identifier: Apache-2.0
/// What the controller says of itself: the View, and how the --config file stands to it.
#include <set>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "controlplane/state/controller.hpp"
#include "controlplane/state/directory.hpp"

namespace fairlead::state {

/// A sentence for each backend that traffic cannot be sent to; of very many, the first.
std::vector<std::string> Controller::next_hop_warnings() const {
    constexpr std::size_t kNamedMax = 8;
    std::vector<std::string> warnings;
    const config::Config &config = standing_.state.config;
    if (config.balancer.next_hop_mac) return warnings;
    std::size_t unresolved = 0;
    for (const wire::Be32 address : backends_of(config)) {
        const nexthop::NextHop hop = resolver_->find(address);
        if (!hop.resolved && ++unresolved <= kNamedMax)
            warnings.push_back(fmt::format("backend {} has no next hop: {}", config::format_ipv4(address), nexthop::describe(hop.state)));
    }
    if (unresolved > kNamedMax)
        warnings.push_back(fmt::format("{} more backends have no next hop: see fairlead backend list", unresolved - kNamedMax));
    return warnings;
}

/// Leaves a new View for the readers.
void Controller::describe_standing() {
    auto view = std::make_shared<View>();
    const DesiredState &state = standing_.state;
    view->config = state.config;
    view->generation = state.generation;
    view->config_digest = state.config_digest;
    view->warnings = blackholes_.warnings();
    for (std::string &warning : next_hop_warnings()) view->warnings.push_back(std::move(warning));
    view->health = state.health;
    if (!refusal_.empty()) view->warnings.push_back("the dataplane refused the last generation: " + refusal_);
    for (const config::Service &service : state.config.services) {
        const ServiceRows &rows = *standing_.rows.at(key_of(service));
        View::ServiceView &entry = view->services.emplace_back();
        entry.name = service.name;
        entry.rows_digest = rows.digest;
        entry.row_count = static_cast<std::uint32_t>(rows.rows.size());
        const tables::SetHistory &history = state.histories.at(key_of(service));
        entry.history_digest = history.digest();
        entry.history_sets = static_cast<std::uint32_t>(history.sets().size());
        entry.backends = static_cast<std::uint32_t>(service.backends.size());
        entry.health = judge(service, state.health);
        if (entry.health.is_kept) view->warnings.push_back(describe_kept(service, entry.health));
        for (std::size_t i = 0; i < service.backends.size(); ++i) {
            const config::Backend &backend = service.backends[i];
            entry.backends_taking += slot_state_of(service, backend, entry.health.grades[i]) == wire::kSlotUp;
            if (!state.config.balancer.next_hop_mac && !resolver_->find(backend.address).resolved)
                entry.backends_unresolved.push_back(backend.address);
        }
    }
    statistics_->set_health(health_directory_of(state), tally_);
    const std::lock_guard lock(mutex_);
    view_ = std::move(view);
}

std::shared_ptr<const View> Controller::view() const {
    const std::lock_guard lock(mutex_);
    return view_;
}

FileStanding Controller::file_standing() const {
    if (options_.config_file.empty()) return FileStanding::kNone;
    const auto text = config::read_config_text(options_.config_file);
    if (!text) return FileStanding::kUnreadable;
    const auto current = view();
    const bool is_unchanged = digest_of(*text) == current->config_digest;
    const auto parsed = config::parse(*text, options_.config_file);
    if (!parsed) return FileStanding::kUnreadable;
    if (*parsed == current->config) return FileStanding::kSame;
    return is_unchanged ? FileStanding::kUnchanged : FileStanding::kDiffers;
}

void Controller::log_file_standing() const {
    const std::string &file = options_.config_file;
    switch (file_standing()) {
    case FileStanding::kNone: spdlog::info("running from saved state"); break;
    case FileStanding::kSame: spdlog::info("running from saved state; {} says the same", file); break;
    case FileStanding::kUnchanged:
        spdlog::info("running from saved state, which was changed through the API since {} was applied", file);
        break;
    case FileStanding::kDiffers:
        spdlog::warn("running from saved state; {} differs: apply it with fairlead apply -f {}", file, file);
        break;
    case FileStanding::kUnreadable:
        spdlog::warn("running from saved state; {} cannot be used: see fairlead check -f {}", file, file);
        break;
    }
}

} // namespace fairlead::state
