// SPDX-License-Identifier: Apache-2.0
/// When packets are due: a token bucket, kept as the time at which the next packet is due. Time is the caller's.
#pragma once

#include "dataplane/wire/wire.h"

#include <algorithm>

namespace fairlead::pktgen {

class Pacer {
  public:
    /// @param rate_pps 0: as fast as it goes.
    /// @param depth_ns what a late sender may make up for; what is older is given up, so that a pause does not become a burst.
    Pacer(double rate_pps, wire::u64 start_ns, wire::u64 depth_ns)
        : rate_per_ns_(rate_pps / 1e9), start_ns_(start_ns), depth_ns_(static_cast<double>(depth_ns)) {}

    /// Packets that are due now, at most `most`.
    [[nodiscard]] unsigned due(wire::u64 now_ns, unsigned most) noexcept {
        if (rate_per_ns_ == 0) return most;
        const double late_ns = static_cast<double>(now_ns - start_ns_) - next_ns_;
        if (late_ns < 0) return 0;
        if (late_ns > depth_ns_) next_ns_ += late_ns - depth_ns_;
        return static_cast<unsigned>(std::min(std::min(late_ns, depth_ns_) * rate_per_ns_ + 1, static_cast<double>(most)));
    }

    void take(unsigned count) noexcept {
        if (rate_per_ns_ != 0) next_ns_ += count / rate_per_ns_;
    }

    /// Until the next packet is due.
    [[nodiscard]] wire::u64 wait_ns(wire::u64 now_ns) const noexcept {
        if (rate_per_ns_ == 0) return 0;
        return static_cast<wire::u64>(std::max(0.0, next_ns_ - static_cast<double>(now_ns - start_ns_)));
    }

  private:
    double rate_per_ns_;
    wire::u64 start_ns_;
    double depth_ns_;
    double next_ns_ = 0; ///< since the start; a double holds nanoseconds exactly for 104 days
};

} // namespace fairlead::pktgen
