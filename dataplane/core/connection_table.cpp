// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/connection_table.hpp"

#include "dataplane/core/count.hpp"

#include <cassert>

namespace fairlead::core {

using namespace wire;

namespace {
// Keeps the compiler from reordering the stores around it; the processor (x86) keeps stores in order.
inline void store_order() noexcept { std::atomic_signal_fence(std::memory_order_release); }
} // namespace

template <class Key>
ConnectionTable<Key>::ConnectionTable(std::span<std::byte> memory, SlotCounters *slots) noexcept
    : lines_(reinterpret_cast<Line<Key> *>(memory.data())), mask_(memory.size() / 64 - 1), slots_(slots) {
    assert(std::has_single_bit(mask_ + 1) && mask_ >= 1);
    assert(reinterpret_cast<std::uintptr_t>(lines_) % 64 == 0);
}

template <class Key>
bool ConnectionTable<Key>::expired(const Generation &generation, const Key &key, const Connection &connection,
                                   u32 now_s) const noexcept {
    const u16 index = key.service();
    if (index >= generation.service_count() || generation.service(index).row_count == 0) return true;
    u32 age_s = (now_s - connection.last_seen_s) & 0xffffff;
    if (age_s >= 1u << 23) age_s = 0; // seen after now: the clock of another CPU is a little ahead
    static_assert(kTimeoutMaxS < 1 << 23);
    return age_s > generation.service(index).timeout_s[static_cast<u8>(connection.state)];
}

template <class Key> void ConnectionTable<Key>::write(const Place &place, const Key &key, u64 value) noexcept {
    lines_[place.line].value(place.entry) = value;
    store_order();
    lines_[place.line].set_key(place.entry, key);
}

template <class Key> void ConnectionTable<Key>::remove(const Place &place) noexcept {
    Line<Key> &line = lines_[place.line];
    add(slots_[Connection::unpack(line.value(place.entry)).slot].connections, static_cast<u64>(-1));
    line.set_key(place.entry, Key{});
    store_order();
    --size_;
}

template <class Key>
bool ConnectionTable<Key>::take_free(const Generation &generation, std::size_t line, u32 now_s,
                                     Place &place) noexcept {
    unsigned empty = lines_[line].match(Key{});
    if (empty) {
        place = {line, static_cast<unsigned>(std::countr_zero(empty))};
        return true;
    }
    for (unsigned i = 0; i < kEntries; ++i) {
        if (!expired(generation, lines_[line].key(i), Connection::unpack(lines_[line].value(i)), now_s)) continue;
        place = {line, i};
        remove(place);
        ++events_.expired;
        return true;
    }
    return false;
}

template <class Key>
bool ConnectionTable<Key>::take_by_moving(const Generation &generation, std::size_t line, unsigned depth, u32 now_s,
                                          Place &place) noexcept {
    for (unsigned i = 0; i < kEntries; ++i) {
        const Key key = lines_[line].key(i);
        const std::size_t target_line = other(line, key);
        Place target;
        bool room = depth == 1 ? take_free(generation, target_line, now_s, target)
                               : take_by_moving(generation, target_line, depth - 1, now_s, target);
        if (!room || !(lines_[line].key(i) == key)) continue;
        write(target, key, lines_[line].value(i)); // copy first,
        store_order();
        lines_[line].set_key(i, Key{});            // then clear: never nowhere, at worst twice
        store_order();
        ++events_.displaced;
        place = {line, i};
        return true;
    }
    return false;
}

template <class Key>
bool ConnectionTable<Key>::take_from(std::size_t line, ConnectionState victim, Place &place) noexcept {
    for (unsigned i = 0; i < kEntries; ++i) {
        if (Connection::unpack(lines_[line].value(i)).state != victim) continue;
        place = {line, i};
        remove(place);
        ++events_.evicted;
        return true;
    }
    return false;
}

template <class Key>
bool ConnectionTable<Key>::insert(const Generation &generation, const FlowHash &hash, const Key &key,
                                  const Connection &connection, u32 now_s) noexcept {
    const std::size_t one = first(hash), two = other(one, key);
    Place place;
    bool room = take_free(generation, one, now_s, place) || take_free(generation, two, now_s, place);
    // In a table as good as full (a SYN flood) moves find nothing, at some forty cache lines an attempt: evict at once.
    const unsigned depth_max = size_ < capacity() / 16 * 15 ? Line<Key>::kMoveDepth : 0;
    for (unsigned depth = 1; depth <= depth_max; ++depth)
        room = room || take_by_moving(generation, one, depth, now_s, place) ||
               take_by_moving(generation, two, depth, now_s, place);
    for (ConnectionState victim : {ConnectionState::kHalfOpen, ConnectionState::kClosing})
        room = room || take_from(one, victim, place) || take_from(two, victim, place);
    if (!room) return false;
    write(place, key, connection.pack());
    ++size_;
    add(slots_[connection.slot].connections);
    return true;
}

template <class Key> void ConnectionTable<Key>::erase(const FlowHash &hash, const Key &key) noexcept {
    for (std::size_t line : {first(hash), other(first(hash), key)})
        for (unsigned bits = lines_[line].match(key); bits; bits &= bits - 1)
            remove({line, static_cast<unsigned>(std::countr_zero(bits))});
}

template <class Key>
void ConnectionTable<Key>::sweep(const Generation &generation, std::size_t lines, u32 now_s) noexcept {
    if (size_ == 0) return;
    for (lines = std::min(lines, line_count()); lines > 0; --lines, swept_ = (swept_ + 1) & mask_) {
        Line<Key> &line = lines_[swept_];
        __builtin_prefetch(&lines_[(swept_ + 8) & mask_], 1);
        for (unsigned i = 0; i < kEntries; ++i) {
            if (line.key(i).empty() || !expired(generation, line.key(i), Connection::unpack(line.value(i)), now_s))
                continue;
            remove({swept_, i});
            ++events_.expired;
        }
    }
}

template <class Key> void ConnectionTable<Key>::clear() noexcept {
    for (std::size_t line = 0; size_ > 0 && line <= mask_; ++line)
        for (unsigned i = 0; i < kEntries; ++i)
            if (!lines_[line].key(i).empty()) remove({line, i});
}

template class ConnectionTable<CompactKey>;
template class ConnectionTable<WideKey>;

} // namespace fairlead::core
