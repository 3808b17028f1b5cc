// SPDX-License-Identifier: Apache-2.0
// Counting: one writer per counter, readers in other processes, so relaxed 64-bit accesses suffice.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/wire/counters.h"

#include <cstddef>
#include <immintrin.h>

namespace fairlead::core {

/// A worker's part of the counters' memory file; wire/counters.h has the layout.
struct CounterBlock {
    wire::WorkerCounters *worker;
    wire::ServiceCounters *services; ///< [kServiceCapacity]
    wire::SlotCounters *slots;       ///< [kSlotCapacity + 1]
};

// Relaxed: nothing is published through a counter; the access only must not tear.
inline void add(wire::u64 &counter, wire::u64 n = 1) noexcept {
    __atomic_store_n(&counter, __atomic_load_n(&counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/// Counts packets and their bytes: both counters in one 16-byte store, which tears at worst between them.
template <class Counters> inline void add_packets(Counters &counters, wire::u64 packets, wire::u64 bytes) noexcept {
    static_assert(offsetof(Counters, bytes) == offsetof(Counters, packets) + 8);
    auto *both = reinterpret_cast<__m128i *>(&counters.packets);
    _mm_storeu_si128(both, _mm_add_epi64(_mm_loadu_si128(both), _mm_set_epi64x(static_cast<long long>(bytes), static_cast<long long>(packets))));
}

/// How many packets of a burst each source decided: 16 bits each of one register.
class SourceTally {
  public:
    void count(Source source) noexcept { lanes_ += wire::u64{1} << 16 * static_cast<unsigned>(source); }
    [[nodiscard]] wire::u64 of(Source source) const noexcept { return lanes_ >> 16 * static_cast<unsigned>(source) & 0xffff; }

  private:
    static_assert(static_cast<unsigned>(Source::kHops) < 4 && kBurstSizeMax <= 0xffff);
    wire::u64 lanes_ = 0;
};

inline void set(wire::u64 &gauge, wire::u64 value) noexcept {
    __atomic_store_n(&gauge, value, __ATOMIC_RELAXED);
}

} // namespace fairlead::core
