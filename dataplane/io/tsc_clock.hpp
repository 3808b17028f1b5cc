// SPDX-License-Identifier: Apache-2.0
/// CLOCK_MONOTONIC in nanoseconds, read from the CPU's time-stamp counter without a system call.
///
/// The ages of connections outlive the process, so every process must read the same clock. DPDK's idea of the counter's
/// frequency is rounded to 10 MHz, perhaps another way in the next process: followed for a month it is hours off. So
/// the reading is set right about once a second; in between it is off by a few milliseconds at most.
#pragma once

#include "dataplane/wire/wire.h"

#include <rte_cycles.h>

#include <ctime>

namespace fairlead::io {

class TscClock {
  public:
    /// @param ticks_per_s by default what EAL, which must run, has measured.
    explicit TscClock(wire::u64 ticks_per_s = rte_get_tsc_hz()) : ns_per_tick_((Wide{1'000'000'000} << kShift) / ticks_per_s) {
        set_right();
    }

    [[nodiscard]] wire::u64 now_ns() const noexcept {
        return anchor_ns_ + static_cast<wire::u64>(((rte_rdtsc() - anchor_ticks_) * ns_per_tick_) >> kShift);
    }

    /// Call it about once a second.
    void set_right() noexcept {
        timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        anchor_ns_ = static_cast<wire::u64>(now.tv_sec) * 1'000'000'000 + static_cast<wire::u64>(now.tv_nsec);
        anchor_ticks_ = rte_rdtsc();
    }

  private:
    __extension__ using Wide = unsigned __int128;
    static constexpr unsigned kShift = 32;
    Wide ns_per_tick_; ///< in units of 2^-32 ns
    wire::u64 anchor_ns_ = 0;
    wire::u64 anchor_ticks_ = 0;
};

} // namespace fairlead::io
