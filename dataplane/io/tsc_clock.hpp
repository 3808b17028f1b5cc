// SPDX-License-Identifier: Apache-2.0
/// A monotonic clock in nanoseconds, read from the CPU's time-stamp counter without a system call.
#pragma once

#include "dataplane/wire/wire.h"

#include <rte_cycles.h>

namespace fairlead::io {

class TscClock {
  public:
    /// EAL must run: it has measured the counter's frequency.
    TscClock() : ns_per_tick_((Wide{1'000'000'000} << kShift) / rte_get_tsc_hz()) {}

    [[nodiscard]] wire::u64 now_ns() const noexcept {
        return static_cast<wire::u64>((rte_rdtsc() * ns_per_tick_) >> kShift);
    }

  private:
    __extension__ using Wide = unsigned __int128;
    static constexpr unsigned kShift = 32;
    Wide ns_per_tick_; ///< in units of 2^-32 ns
};

} // namespace fairlead::io
