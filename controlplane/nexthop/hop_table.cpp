// SPDX-License-Identifier: Apache-2.0
#include "controlplane/nexthop/hop_table.hpp"

#include <linux/neighbour.h>

#include <algorithm>

namespace fairlead::nexthop {
namespace {

constexpr std::uint16_t kValid = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
constexpr std::uint16_t kAsked = NUD_INCOMPLETE | NUD_PROBE;
/// The kernel itself brings these to another state, and says so.
constexpr std::uint16_t kSettled = NUD_REACHABLE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;

NeighbourKey key_of(const Route &route) { return {route.ifindex, route.via.raw}; }

bool leads_elsewhere(const NextHop &before, const NextHop &after) {
    return before.resolved != after.resolved || before.mac != after.mac || before.ifindex != after.ifindex ||
           !(before.via == after.via);
}

} // namespace

std::string_view describe(HopState state) {
    switch (state) {
    case HopState::kResolving: return "resolving";
    case HopState::kResolved: return "resolved";
    case HopState::kFailed: return "no answer to ARP";
    case HopState::kNoRoute: return "no route";
    case HopState::kNotUnicast: return "not a remote unicast address";
    case HopState::kNoLinkLayer: return "the device has no Ethernet addresses";
    case HopState::kGatewayFamily: return "the gateway is not an IPv4 address";
    }
    return "unknown";
}

HopTable::HopTable(std::chrono::milliseconds retry_first, std::chrono::milliseconds retry_max)
    : retry_first_(retry_first), retry_max_(retry_max) {}

bool HopTable::set_targets(const std::vector<wire::Be32> &addresses) {
    std::set<std::uint32_t> wanted;
    for (const wire::Be32 address : addresses) wanted.insert(address.raw);
    for (auto target = targets_.begin(); target != targets_.end();) {
        if (wanted.contains(target->first)) {
            ++target;
            continue;
        }
        if (target->second.route) leave_neighbour(target->first, *target->second.route);
        target = targets_.erase(target);
    }
    bool any_new = false;
    for (const std::uint32_t address : wanted) any_new |= targets_.try_emplace(address).second;
    return any_new;
}

std::vector<wire::Be32> HopTable::targets() const {
    std::vector<wire::Be32> addresses;
    addresses.reserve(targets_.size());
    for (const auto &[address, target] : targets_) addresses.push_back({address});
    return addresses;
}

/// A neighbour that no target needs any more is forgotten.
void HopTable::leave_neighbour(std::uint32_t address, const Route &route) {
    const auto neighbour = neighbours_.find(key_of(route));
    if (neighbour == neighbours_.end()) return;
    neighbour->second.users.erase(address);
    if (neighbour->second.users.empty()) neighbours_.erase(neighbour);
}

void HopTable::on_route(wire::Be32 address, const Route &route, Clock::time_point now) {
    const auto found = targets_.find(address.raw);
    if (found == targets_.end()) return;
    Target &target = found->second;
    if (target.route == route) return;
    if (target.route) leave_neighbour(address.raw, *target.route);
    target.route = route;
    if (route.state == HopState::kResolving) {
        const auto [neighbour, is_new] = neighbours_.try_emplace(key_of(route));
        neighbour->second.users.insert(address.raw);
        if (is_new) neighbour->second.due = now;
    }
    refresh(target);
}

void HopTable::on_neighbour(const NeighbourNews &news, Clock::time_point now) {
    const auto found = neighbours_.find(news.key);
    if (found == neighbours_.end()) return;
    Neighbour &neighbour = found->second;
    neighbour.seen = true;
    // Only what was asked for can fail. An entry that somebody deletes is called failed as well, on its way
    // out: that says nothing about the neighbour. The kernel does not tell when it starts to ask on our behalf.
    const bool fails = news.nud == NUD_FAILED && (neighbour.attempts > 0 || (neighbour.nud & kAsked) != 0);
    if (neighbour.nud == news.nud && neighbour.mac == news.mac && neighbour.failed == fails) return;
    neighbour.failed |= fails;
    neighbour.nud = news.nud;
    neighbour.mac = (news.nud & kValid) != 0 ? news.mac : std::nullopt;
    if (neighbour.mac) neighbour.failed = false;
    schedule(neighbour, now);
    refresh_users(neighbour);
}

/// When to ask the kernel for this neighbour, after its state has changed.
void HopTable::schedule(Neighbour &neighbour, Clock::time_point now) const {
    if ((neighbour.nud & kSettled) != 0) {
        neighbour.attempts = 0;
        neighbour.due.reset();
    } else if (neighbour.nud == NUD_STALE) {
        neighbour.attempts = 0;
        neighbour.due = now + retry_first_; // not at once: this is the only cycle that no failure slows down
    } else if (neighbour.attempts == 0) {
        neighbour.due = now; // failed or gone just now, maybe because its MAC address is another one
    } // otherwise take_due() has said when
}

void HopTable::on_link(unsigned ifindex, bool running, Clock::time_point now) {
    const bool was_running = std::exchange(running_[ifindex], running);
    if (was_running || !running) return;
    for (auto &[key, neighbour] : neighbours_) {
        if (key.ifindex != ifindex || (neighbour.nud & (kSettled | NUD_STALE)) != 0) continue;
        neighbour.attempts = 0;
        neighbour.due = now;
    }
}

void HopTable::begin_dump() {
    for (auto &[key, neighbour] : neighbours_) neighbour.seen = false;
}

void HopTable::end_dump(Clock::time_point now) {
    for (auto &[key, neighbour] : neighbours_)
        if (!neighbour.seen) on_neighbour({key, NUD_NONE, {}}, now);
}

std::vector<NeighbourKey> HopTable::take_due(Clock::time_point now) {
    std::vector<NeighbourKey> due;
    for (auto &[key, neighbour] : neighbours_) {
        if (!neighbour.due || *neighbour.due > now) continue;
        due.push_back(key);
        constexpr unsigned kDoublingsMax = 16; // keeps the shift in range; the maximum is far below
        const auto wait = retry_first_ * (1 << std::min(neighbour.attempts++, kDoublingsMax));
        neighbour.due = now + std::min<std::chrono::milliseconds>(wait, retry_max_);
    }
    return due;
}

std::optional<Clock::time_point> HopTable::next_due() const {
    std::optional<Clock::time_point> next;
    for (const auto &[key, neighbour] : neighbours_)
        if (neighbour.due && (!next || *neighbour.due < *next)) next = neighbour.due;
    return next;
}

NextHop HopTable::current_hop(const Target &target) const {
    if (!target.route) return {};
    NextHop hop{.ifindex = target.route->ifindex, .via = target.route->via, .state = target.route->state};
    if (hop.state != HopState::kResolving) return hop;
    const Neighbour &neighbour = neighbours_.at(key_of(*target.route));
    if (neighbour.nud == NUD_NOARP) {
        hop.state = HopState::kNoLinkLayer;
    } else if (neighbour.mac) {
        hop.resolved = true;
        hop.mac = *neighbour.mac;
        hop.state = HopState::kResolved;
    } else if (neighbour.failed) {
        hop.state = HopState::kFailed;
    }
    return hop;
}

void HopTable::refresh(Target &target) {
    const NextHop hop = current_hop(target);
    if (hop.state == HopState::kResolving && target.hop.resolved) return; // the invariant above
    changed_ |= leads_elsewhere(target.hop, hop);
    target.hop = hop;
}

void HopTable::refresh_users(const Neighbour &neighbour) {
    for (const std::uint32_t address : neighbour.users) refresh(targets_.at(address));
}

NextHop HopTable::find(wire::Be32 address) const {
    const auto target = targets_.find(address.raw);
    return target != targets_.end() ? target->second.hop : NextHop{};
}

std::vector<std::pair<wire::Be32, NextHop>> HopTable::hops() const {
    std::vector<std::pair<wire::Be32, NextHop>> all;
    all.reserve(targets_.size());
    for (const auto &[address, target] : targets_) all.emplace_back(wire::Be32{address}, target.hop);
    return all;
}

bool HopTable::all_answered() const {
    return std::all_of(targets_.begin(), targets_.end(),
                       [](const auto &entry) { return entry.second.hop.state != HopState::kResolving; });
}

bool HopTable::take_changed() { return std::exchange(changed_, false); }

} // namespace fairlead::nexthop
