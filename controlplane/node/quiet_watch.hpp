// SPDX-License-Identifier: Apache-2.0
/// Whether traffic is gone, from what a counter of packets says at one moment after the other. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>

namespace fairlead::node {

/// So little counts as none: strays, scans of the address, a neighbour that has not heard yet.
inline constexpr std::uint64_t kQuietPacketsPerSecond = 1;

class QuietWatch {
  public:
    using Clock = std::chrono::steady_clock;

    explicit QuietWatch(std::chrono::seconds quiet_for) : quiet_for_(quiet_for) {}

    /// To be called about twice a second, in the order of time.
    /// @param packets counted until now. Fewer than before: another dataplane counts, and the watch begins anew.
    void look(Clock::time_point now, std::uint64_t packets);

    /// It is not known what was counted since the last look: the watch begins anew.
    void forget() { looks_.clear(); }

    /// Whether no more than kQuietPacketsPerSecond came on average in the last quiet_for.
    [[nodiscard]] bool is_quiet() const;

    /// Between the last two looks about a second apart.
    [[nodiscard]] double packets_per_second() const;
    /// In the last quiet_for, or since the watch began.
    [[nodiscard]] std::uint64_t packets() const;

  private:
    struct Look {
        Clock::time_point at;
        std::uint64_t packets;
    };
    std::chrono::seconds quiet_for_;
    std::deque<Look> looks_; ///< the first is the last one that is at least quiet_for old, if there is one
};

} // namespace fairlead::node
