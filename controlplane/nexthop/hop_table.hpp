// SPDX-License-Identifier: Apache-2.0
/// What is known of the way to each address, and when to ask the kernel again: the resolver without its
/// sockets, thread and clock. Not thread-safe.
///
///   address --(route)--> neighbour (device, IPv4 address) --> MAC address
///
/// Invariant: a hop that was resolved stays as it was until there is a better answer: another MAC
/// address or gateway that is resolved, or a definite no (no route, the neighbour failed). So neither a
/// neighbour that is being probed again nor one whose entry the kernel collected interrupts traffic.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "controlplane/nexthop/next_hop.hpp"
#include "controlplane/nexthop/route_lookup.hpp"

namespace fairlead::nexthop {

using Clock = std::chrono::steady_clock;

struct NeighbourKey {
    unsigned ifindex = 0;
    std::uint32_t address = 0; ///< Be32::raw

    auto operator<=>(const NeighbourKey &) const = default;
};

/// What the kernel says of a neighbour entry.
struct NeighbourNews {
    NeighbourKey key;
    std::uint16_t nud = 0;         ///< NUD_...; NUD_NONE also for an entry that is gone
    std::optional<MacAddress> mac; ///< only of a state in which it is valid
};

class HopTable {
  public:
    HopTable(std::chrono::milliseconds retry_first, std::chrono::milliseconds retry_max);

    /// @return whether there is any address that was not followed before.
    bool set_targets(const std::vector<wire::Be32> &addresses);
    [[nodiscard]] std::vector<wire::Be32> targets() const;

    void on_route(wire::Be32 address, const Route &route, Clock::time_point now);
    void on_neighbour(const NeighbourNews &news, Clock::time_point now);
    /// A link that comes up is a reason to ask its failed neighbours at once.
    void on_link(unsigned ifindex, bool running, Clock::time_point now);

    /// A full list of the neighbours is on_neighbour() for each between these two: the rest is gone.
    void begin_dump();
    void end_dump(Clock::time_point now);

    /// The neighbours to ask for now, each of which is thereby due again later, less and less often.
    [[nodiscard]] std::vector<NeighbourKey> take_due(Clock::time_point now);
    [[nodiscard]] std::optional<Clock::time_point> next_due() const;

    [[nodiscard]] NextHop find(wire::Be32 address) const;
    [[nodiscard]] std::vector<std::pair<wire::Be32, NextHop>> hops() const;
    [[nodiscard]] bool all_answered() const; ///< none is kResolving
    [[nodiscard]] bool take_changed();       ///< whether any hop is another one since last asked

  private:
    struct Target {
        std::optional<Route> route; ///< nothing: not looked up yet
        NextHop hop;
    };
    struct Neighbour {
        std::uint16_t nud = 0;
        std::optional<MacAddress> mac;
        bool failed = false;               ///< and has not been resolved since
        bool seen = false;                 ///< in the dump under way
        unsigned attempts = 0;             ///< since it was last resolved
        std::optional<Clock::time_point> due;
        std::set<std::uint32_t> users;     ///< targets, by Be32::raw
    };

    void leave_neighbour(std::uint32_t address, const Route &route);
    void schedule(Neighbour &neighbour, Clock::time_point now) const;
    void refresh(Target &target);
    void refresh_users(const Neighbour &neighbour);
    [[nodiscard]] NextHop current_hop(const Target &target) const;

    std::chrono::milliseconds retry_first_;
    std::chrono::milliseconds retry_max_;
    std::map<std::uint32_t, Target> targets_; ///< by Be32::raw
    std::map<NeighbourKey, Neighbour> neighbours_;
    std::map<unsigned, bool> running_;        ///< links, by ifindex
    bool changed_ = false;
};

} // namespace fairlead::nexthop
