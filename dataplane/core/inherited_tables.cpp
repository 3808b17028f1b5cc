// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/inherited_tables.hpp"

#include "dataplane/core/count.hpp"

namespace fairlead::core {

using namespace wire;

template <class Key>
typename InheritedTable<Key>::Entry InheritedTable<Key>::find(const FlowHash &hash, const Key &key) const noexcept {
    const u32 one = first_line(hash, line_count());
    for (const u32 line : {one, other_line(one, key, line_count())})
        if (const unsigned bits = lines_[line].match(key); bits != 0)
            if (const Entry entry{&lines_[line], static_cast<unsigned>(std::countr_zero(bits))}; Connection::sound(entry.value()))
                return entry;
    return {};
}

template <class Key>
u64 InheritedTable<Key>::count_live(const Generation &generation, u32 now_s, std::span<u32> by_slot) const noexcept {
    u64 count = 0;
    for (auto &line : lines_) {
        for (unsigned i = 0; i < Line<Key>::kEntries; ++i) {
            const Key key = line.key(i);
            const u64 value = line.value(i);
            if (key.empty() || !key.sound() || !Connection::sound(value)) continue;
            const Connection connection = Connection::unpack(value);
            const Forwarding &forwarding = generation.forwarding(std::min<u32>(connection.slot, generation.slot_count()));
            if (forwarding.state == kSlotFree || forwarding.epoch != connection.epoch) continue;
            if (expired(generation, key.service(), connection, now_s)) continue;
            ++by_slot[connection.slot];
            ++count;
        }
    }
    return count;
}

void InheritedGauge::recount(const InheritedTables *tables) noexcept {
    for (u32 slot = 0; slot <= kSlotCapacity; ++slot)
        if (const u32 count = std::exchange(counted_[slot], 0)) add(slots_[slot].connections, -u64{count});
    total_ = 0;
    serial_ = tables ? tables->serial : 0;
    if (!tables) return;
    for (const auto &[slot, connections] : tables->live) {
        counted_[slot] = connections;
        total_ += connections;
        add(slots_[slot].connections, connections);
    }
}

template class InheritedTable<CompactKey>;
template class InheritedTable<WideKey>;

} // namespace fairlead::core
