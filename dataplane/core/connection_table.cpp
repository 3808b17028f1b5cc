// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/connection_table.hpp"

#include "dataplane/core/count.hpp"

#include <cassert>

namespace fairlead::core {

using namespace wire;

namespace {
constexpr u32 kPrefetchLines = 16; ///< ahead of a walk through the table

// Keeps the compiler from reordering the stores around it; the processor (x86) keeps stores in order.
inline void store_order() noexcept { std::atomic_signal_fence(std::memory_order_release); }
} // namespace

template <class Key>
ConnectionTable<Key>::ConnectionTable(std::span<std::byte> memory, SlotCounters *slots, ServiceCounters *services) noexcept
    : lines_(reinterpret_cast<Line<Key> *>(memory.data())), line_count_(static_cast<u32>(memory.size() / 64)), slots_(slots), services_(services) {
    assert(memory.size() / 64 == line_count_ && line_count_ >= 2);
    assert(reinterpret_cast<std::uintptr_t>(lines_) % 64 == 0);
}

template <class Key> void ConnectionTable<Key>::write(const Place &place, const Key &key, u64 value) noexcept {
    lines_[place.line].value(place.entry) = value;
    store_order();
    lines_[place.line].set_key(place.entry, key);
}

/// The gauges, of an entry more or (-1) one less.
template <class Key> void ConnectionTable<Key>::count(const Key &key, const Connection &connection, u64 difference) noexcept {
    add(slots_[connection.slot].connections, difference);
    if (connection.is_unsure) [[unlikely]] add(services_[key.service()].connections_unsure, difference);
}

template <class Key> void ConnectionTable<Key>::remove(const Place &place) noexcept {
    Line<Key> &line = lines_[place.line];
    count(line.key(place.entry), Connection::unpack(line.value(place.entry)), static_cast<u64>(-1));
    line.set_key(place.entry, Key{});
    store_order();
    --size_;
}

template <class Key>
bool ConnectionTable<Key>::take_free(const Generation &generation, u32 line, u32 now_s,
                                     Place &place) noexcept {
    unsigned empty = lines_[line].match(Key{});
    if (empty) {
        place = {line, static_cast<unsigned>(std::countr_zero(empty))};
        return true;
    }
    for (unsigned i = 0; i < kEntries; ++i) {
        if (!expired(generation, lines_[line].key(i).service(), Connection::unpack(lines_[line].value(i)), now_s)) continue;
        place = {line, i};
        remove(place);
        ++events_.expired;
        return true;
    }
    return false;
}

template <class Key>
bool ConnectionTable<Key>::take_by_moving(const Generation &generation, u32 line, unsigned depth, u32 now_s,
                                          Place &place) noexcept {
    for (unsigned i = 0; i < kEntries; ++i) {
        const Key key = lines_[line].key(i);
        const u32 target_line = other(line, key);
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
bool ConnectionTable<Key>::take_from(u32 line, ConnectionState victim, Place &place) noexcept {
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
    if (clearing_) return false; // it would be cleared
    const u32 one = first_line(hash, line_count_), two = other(one, key);
    Place place;
    bool room = take_free(generation, one, now_s, place) || take_free(generation, two, now_s, place);
    const auto move = [&](unsigned depth_max) noexcept {
        for (unsigned depth = 1; depth <= depth_max && !room; ++depth)
            room = take_by_moving(generation, one, depth, now_s, place) || take_by_moving(generation, two, depth, now_s, place);
    };
    const auto evict = [&]() noexcept {
        for (ConnectionState victim : {ConnectionState::kHalfOpen, ConnectionState::kClosing})
            room = room || take_from(one, victim, place) || take_from(two, victim, place);
    };
    if (size_ < capacity() / 8 * 7) {
        move(Line<Key>::kMoveDepthMax); // the last of them one flow in a million needs
        evict();
    } else if (size_ < capacity() / 16 * 15) {
        move(Line<Key>::kMoveDepth);
        evict();
    } else {
        // As good as full, perhaps by a SYN flood: moves seldom find room, at some forty cache lines an attempt.
        evict();
        move(Line<Key>::kMoveDepth);
    }
    if (!room) return false;
    write(place, key, connection.pack());
    ++size_;
    count(key, connection, 1);
    return true;
}

template <class Key> void ConnectionTable<Key>::erase(const FlowHash &hash, const Key &key) noexcept {
    const u32 one = first_line(hash, line_count_);
    for (u32 line : {one, other(one, key)})
        for (unsigned bits = lines_[line].match(key); bits; bits &= bits - 1)
            remove({line, static_cast<unsigned>(std::countr_zero(bits))});
}

template <class Key>
void ConnectionTable<Key>::sweep(const Generation &generation, std::size_t lines, u32 now_s) noexcept {
    if (size_ == 0 || clearing_) return;
    for (lines = std::min(lines, line_count()); lines > 0; --lines) {
        Line<Key> &line = lines_[swept_];
        __builtin_prefetch(&lines_[swept_ + kPrefetchLines < line_count_ ? swept_ + kPrefetchLines : 0], 1);
        for (unsigned i = 0; i < kEntries; ++i) {
            if (line.key(i).empty() || !expired(generation, line.key(i).service(), Connection::unpack(line.value(i)), now_s))
                continue;
            remove({static_cast<u32>(swept_), i});
            ++events_.expired;
        }
        if (++swept_ == line_count_) swept_ = 0;
    }
}

template <class Key> void ConnectionTable<Key>::clear() noexcept {
    start_clearing();
    while (clear_next(line_count())) {}
}

template <class Key> bool ConnectionTable<Key>::clear_next(std::size_t lines) noexcept {
    for (; clearing_ && lines > 0; --lines) {
        for (unsigned i = 0; i < kEntries; ++i)
            if (!lines_[swept_].key(i).empty()) remove({static_cast<u32>(swept_), i});
        if (++swept_ < line_count_ && size_ > 0) continue;
        swept_ = 0;
        clearing_ = false;
    }
    return clearing_;
}

/// What a writer that died in a move leaves: its entry twice, the values equal. Other values cannot come about, so of two
/// entries that contradict each other neither is believed.
template <class Key> typename ConnectionTable<Key>::Twin ConnectionTable<Key>::twin(u32 line, unsigned entry) noexcept {
    const Key key = lines_[line].key(entry);
    const u64 value = lines_[line].value(entry);
    const u32 lines[] = {line, other(line, key)};
    Twin found = Twin::kNone;
    for (unsigned n = 0; n < (lines[0] == lines[1] ? 1 : 2); ++n) {
        unsigned bits = lines_[lines[n]].match(key);
        if (n == 0) bits &= ~(1u << entry);
        for (; bits; bits &= bits - 1) {
            const unsigned i = static_cast<unsigned>(std::countr_zero(bits));
            if (lines_[lines[n]].value(i) == value) {
                if (found == Twin::kNone) found = Twin::kEqual;
                continue;
            }
            lines_[lines[n]].set_key(i, Key{});
            found = Twin::kContradicts;
        }
    }
    return found;
}

template <class Key> TableAdoption ConnectionTable<Key>::adopt() noexcept {
    TableAdoption adoption;
    for (u32 line = 0; line < line_count_; ++line) {
        if (line + kPrefetchLines < line_count_)
            for (unsigned i = 0; i < kEntries; ++i)
                if (const Key key = lines_[line + kPrefetchLines].key(i); !key.empty())
                    __builtin_prefetch(&lines_[other(line + kPrefetchLines, key)]);
        for (unsigned i = 0; i < kEntries; ++i) {
            const Key key = lines_[line].key(i);
            if (key.empty()) {
                if (!(key == Key{})) lines_[line].set_key(i, Key{}); // half of a key: else the place would stay taken
                continue;
            }
            const u64 value = lines_[line].value(i);
            const Twin stands_twice = key.sound() && Connection::sound(value) ? twin(line, i) : Twin::kContradicts;
            if (stands_twice == Twin::kNone) {
                ++adoption.entries;
                count(key, Connection::unpack(value), 1);
                continue;
            }
            ++(stands_twice == Twin::kEqual ? adoption.duplicates : adoption.unsound);
            lines_[line].set_key(i, Key{});
        }
    }
    size_ = adoption.entries;
    return adoption;
}

template class ConnectionTable<CompactKey>;
template class ConnectionTable<WideKey>;

} // namespace fairlead::core
