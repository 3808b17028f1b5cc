// SPDX-License-Identifier: Apache-2.0
/// How this node stands to the site's routing, as far as fairleadd's own commands decide it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace fairlead::node {

enum class State {
    kAnnounced,   ///< nothing has taken it out of routing
    kWithdrawing, ///< the on-withdraw command runs
    kDraining,    ///< withdrawn; somebody waits for its traffic to go
    kWithdrawn,   ///< withdrawn; nobody waits, and traffic may still come
    kDrained,     ///< withdrawn, and its traffic is gone
    kAnnouncing,  ///< the on-announce command runs
};

inline constexpr std::array<std::string_view, 6> kStateNames = {"announced", "withdrawing", "draining",
                                                                "withdrawn", "drained",     "announcing"};
[[nodiscard]] inline std::string_view name_of(State state) { return kStateNames[static_cast<std::size_t>(state)]; }

struct Standing {
    bool is_managed = false; ///< there are commands; else the state says only whether one that had them has withdrawn the node
    State state = State::kAnnounced;
    std::uint64_t since_unix_s = 0; ///< of the state; 0: since fairleadd started
    std::string reason;             ///< why the last drain or announcement failed; empty: it did not
};

} // namespace fairlead::node
