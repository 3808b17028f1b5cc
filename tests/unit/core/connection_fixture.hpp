// SPDX-License-Identifier: Apache-2.0
// Flows by number, for tests of the connection table, and a look at its lines.
#pragma once

#include "dataplane/core/connection_table.hpp"

#include "tests/unit/core/snapshot_fixture.hpp"
#include "tests/unit/core/worker_fixture.hpp"

#include <numeric>
#include <vector>

namespace fairlead::test {

inline wire::FlowBlock flow(wire::u32 n) {
    return {wire::Be32::from_host(0x0a0a0000 + (n >> 14)), wire::Be32::from_host(0xc633640a),
            wire::Be16::from_host(static_cast<wire::u16>(1024 + (n & 0x3fff))), wire::Be16::from_host(80), 6, {}};
}

/// Slot and epoch that the fixture's snapshot has.
inline core::Connection connection(wire::u32 n, core::ConnectionState state, wire::u32 now_s) {
    return {static_cast<wire::u16>(n % 4), static_cast<wire::u16>(7 + n % 4), state, now_s};
}

/// One service with four backends, and flows under its key.
template <class Key> struct Flows {
    Snapshot snapshot = Snapshot::with_backends(4);
    core::Generation::Built built = snapshot.build();
    const core::Generation &generation = *built.generation;

    [[nodiscard]] wire::FlowHash hash(wire::u32 n) const { return wire::flow_hash(generation.hash_key(), flow(n)); }
    [[nodiscard]] Key key(wire::u32 n, wire::u16 service = 0) const { return Key::of(flow(n), service); }
};

/// A table over memory that outlives it, with counters of its own: what a process has.
template <class Key> struct Process {
    explicit Process(std::span<std::byte> memory) : slots(wire::kSlotCapacity + 1), services(wire::kServiceCapacity), table(memory, slots.data(), services.data()) {}

    [[nodiscard]] wire::u64 live() const {
        return std::accumulate(slots.begin(), slots.end(), wire::u64{0}, [](auto sum, auto &slot) { return sum + slot.connections; });
    }

    std::vector<wire::SlotCounters> slots;
    std::vector<wire::ServiceCounters> services;
    core::ConnectionTable<Key> table;
};

template <class Key> std::span<core::Line<Key>> lines_of(std::span<std::byte> memory) {
    return {reinterpret_cast<core::Line<Key> *>(memory.data()), memory.size() / 64};
}

} // namespace fairlead::test
