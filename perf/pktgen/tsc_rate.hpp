// SPDX-License-Identifier: Apache-2.0
/// The frequency of the CPU's time-stamp counter, measured. DPDK's is rounded to 10 MHz, up to 0.4 % of a slow counter,
/// and a rate that is paced and a throughput that is known to 1 % should not start with that.
#pragma once

#include "dataplane/wire/wire.h"

#include <rte_cycles.h>

#include <ctime>

namespace fairlead::pktgen {

/// The counter and CLOCK_MONOTONIC at the same moment: the closest pair of several.
struct ClockPair {
    wire::u64 ticks;
    wire::u64 ns;

    [[nodiscard]] static ClockPair read() noexcept {
        ClockPair closest{};
        wire::u64 width_min = ~wire::u64{0};
        for (int attempt = 0; attempt < 16; ++attempt) {
            timespec now{};
            const wire::u64 before = rte_rdtsc();
            ::clock_gettime(CLOCK_MONOTONIC, &now);
            const wire::u64 width = rte_rdtsc() - before;
            if (width >= width_min) continue;
            width_min = width;
            closest = {.ticks = before + width / 2, .ns = static_cast<wire::u64>(now.tv_sec) * 1'000'000'000 + static_cast<wire::u64>(now.tv_nsec)};
        }
        return closest;
    }
};

/// Takes a tenth of a second.
[[nodiscard]] inline wire::u64 measure_tsc_rate() noexcept {
    const auto first = ClockPair::read();
    const timespec tenth{.tv_sec = 0, .tv_nsec = 100'000'000};
    ::nanosleep(&tenth, nullptr);
    const auto last = ClockPair::read();
    return static_cast<wire::u64>(static_cast<double>(last.ticks - first.ticks) * 1e9 / static_cast<double>(last.ns - first.ns));
}

} // namespace fairlead::pktgen
