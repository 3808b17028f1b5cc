// SPDX-License-Identifier: Apache-2.0
// Counting: one writer per counter, readers in other processes, so relaxed 64-bit accesses suffice.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/wire/counters.h"


namespace fairlead::core {

// Relaxed: nothing is published through a counter; the access only must not tear.
inline void add(wire::u64 &counter, wire::u64 n = 1) noexcept {
    __atomic_store_n(&counter, __atomic_load_n(&counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

/// The same in one instruction, where every packet counts.
[[gnu::always_inline]] inline void add_at_once(wire::u64 &counter, wire::u64 n) noexcept {
    asm("addq %1, %0" : "+m"(counter) : "er"(n) : "cc");
}

inline void set(wire::u64 &gauge, wire::u64 value) noexcept {
    __atomic_store_n(&gauge, value, __ATOMIC_RELAXED);
}

} // namespace fairlead::core
