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

/// Counts a forwarded packet of `length` bytes: both counters in one 16-byte store, which tears at worst between them.
inline void add_packet(wire::SlotCounters &slot, wire::u64 length) noexcept {
    static_assert(offsetof(wire::SlotCounters, bytes) == offsetof(wire::SlotCounters, packets) + 8);
    auto *both = reinterpret_cast<__m128i *>(&slot.packets);
    _mm_storeu_si128(both, _mm_add_epi64(_mm_loadu_si128(both), _mm_set_epi64x(static_cast<long long>(length), 1)));
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

/// Counts what a burst brings for services: runs of packets for one of them cost one addition.
class ServiceTally {
  public:
    explicit ServiceTally(wire::ServiceCounters *services) noexcept : services_(services) {}
    ~ServiceTally() { settle(); }
    ServiceTally(const ServiceTally &) = delete;
    ServiceTally &operator=(const ServiceTally &) = delete;

    void count(wire::u16 service, wire::u32 length) noexcept {
        if (service != service_) [[unlikely]] {
            settle();
            service_ = service;
            packets_ = bytes_ = 0;
        }
        ++packets_;
        bytes_ += length;
    }

  private:
    void settle() noexcept {
        if (packets_ == 0) return;
        add(services_[service_].packets, packets_);
        add(services_[service_].bytes, bytes_);
    }

    wire::ServiceCounters *services_;
    wire::u16 service_ = 0;
    wire::u64 packets_ = 0, bytes_ = 0;
};

inline void set(wire::u64 &gauge, wire::u64 value) noexcept {
    __atomic_store_n(&gauge, value, __ATOMIC_RELAXED);
}

} // namespace fairlead::core
