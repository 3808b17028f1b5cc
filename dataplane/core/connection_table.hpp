// SPDX-License-Identifier: Apache-2.0
// The connection table: which backend a flow has. One per worker and kind of key; one thread, no
// locks, no atomics. A line is one 64-byte cache line:
//
//   CompactKey (IPv4, one port)   | key 0 | key 1 | key 2 | key 3 | value 0 | value 1 | value 2 | value 3 |
//   WideKey (port: any, IPv6)     |        key 0          | value 0 |        key 1          | value 1 |
//
//   value, from the low bits:     slot 16 | epoch 16 | last seen 24 (seconds, modulo 2^24) | state 2 | 0 5 | unsure 1
//
// Each flow has two lines: the first from the keyed flow hash, the second from the first and the
// key alone (partial-key cuckoo hashing: Fan et al., "Cuckoo Filter", 2014), so an entry can be
// moved without its packet. Any number of lines will do: the lines of a flow add up to a number hashed from its key,
// modulo their count, so each follows from the other. An insert may displace entries up to kMoveDepth moves deep, and copies an
// entry before it clears the old one; a key is written after its value and cleared before it. So a table is whole
// at every instant, whenever its writer dies: at worst an entry stands twice, with equal values; adopt() mends that.
#pragma once

#include "dataplane/core/flow_keys.hpp"
#include "dataplane/core/generation.hpp"
#include "dataplane/core/transition.hpp"
#include "dataplane/wire/counters.h"
#include "dataplane/wire/wire.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <immintrin.h>
#include <span>
#include <utility>

namespace fairlead::core {

/// The value of an entry, unpacked by shifts only.
struct Connection {
    wire::u16 slot;
    wire::u16 epoch;
    ConnectionState state;
    wire::u32 last_seen_s; ///< modulo 2^24
    bool is_unsure = false; ///< the backend may not have the connection: found without its beginning

    [[nodiscard]] wire::u64 pack() const noexcept {
        return wire::u64{slot} | wire::u64{epoch} << 16 | wire::u64{last_seen_s & 0xffffff} << 32 |
               wire::u64{static_cast<wire::u8>(state)} << 56 | wire::u64{is_unsure} << 63;
    }
    [[nodiscard]] static Connection unpack(wire::u64 v) noexcept {
        return {static_cast<wire::u16>(v), static_cast<wire::u16>(v >> 16),
                static_cast<ConnectionState>(static_cast<wire::u8>(v >> 56) & 3),
                static_cast<wire::u32>(v >> 32) & 0xffffff, (v >> 63) != 0};
    }

    // On a packed value, for the packet path.

    [[nodiscard]] static bool is_unsure_value(wire::u64 v) noexcept { return v >> 63 != 0; }
    /// The high half of the value of an established entry seen at `now_s`, whose backend is known for sure.
    [[nodiscard]] static constexpr wire::u32 established_at(wire::u32 now_s) noexcept {
        return now_s | wire::u32{static_cast<wire::u8>(ConnectionState::kEstablished)} << 24;
    }
    /// The value after a packet at `now_s`, below 2^24: the same slot and epoch, the state that follows.
    [[nodiscard]] static wire::u64 touch(wire::u64 v, Transition transition, wire::u32 now_s) noexcept {
        const unsigned state = static_cast<unsigned>(v >> 56) & 3;
        return (v & 0x80000000ffffffff) | wire::u64{now_s} << 32 | wire::u64{transition >> 2 * state & 3u} << 56;
    }
    /// Whether pack() can have made this.
    [[nodiscard]] static bool sound(wire::u64 v) noexcept {
        constexpr wire::u64 kStateBitsUnused = 0x7c; // two bits say the state, the last that it is unsure
        return static_cast<wire::u16>(v) != wire::kNoSlot && (v >> 56 & kStateBitsUnused) == 0;
    }
};

/// Spreads every bit of x over all of the result: MurmurHash3's 64-bit finaliser (Appleby, 2011). Needs no key: it only
/// tells a flow's two lines apart, and the first is keyed.
[[nodiscard]] constexpr wire::u64 mix(wire::u64 x) noexcept {
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
    return x ^ x >> 33;
}

/// Source address, source port, service: the rest of the flow is the service's.
struct CompactKey {
    wire::u64 bits; ///< 0: no entry (a service stands as index + 1)

    /// @param client FlowKeys::client
    static CompactKey of(wire::u64 client, wire::u16 service) noexcept { return {client | (service + 1u)}; }
    static CompactKey of(const wire::FlowBlock &flow, wire::u16 service) noexcept { return of(flow_keys(flow).client, service); }
    [[nodiscard]] bool empty() const noexcept { return bits == 0; }
    [[nodiscard]] wire::u16 service() const noexcept { return static_cast<wire::u16>((bits & 0xffff) - 1); }
    [[nodiscard]] wire::u64 mixed() const noexcept { return mix(bits); }
    /// Whether of() can have made this.
    [[nodiscard]] bool sound() const noexcept { return service() < wire::kServiceCapacity; }
    friend bool operator==(CompactKey, CompactKey) noexcept = default;
};

/// Address, both ports, service; room for an IPv6 address.
struct WideKey {
    wire::u64 address[2];
    wire::u64 bits; ///< 0: no entry

    static WideKey of(const wire::FlowBlock &flow, wire::u16 service) noexcept {
        return {{flow.source.raw, 0},
                wire::u64{flow.source_port.raw} << 48 | wire::u64{flow.destination_port.raw} << 32 | (service + 1u)};
    }
    [[nodiscard]] bool empty() const noexcept { return bits == 0; }
    [[nodiscard]] wire::u16 service() const noexcept { return static_cast<wire::u16>((bits & 0xffff) - 1); }
    [[nodiscard]] wire::u64 mixed() const noexcept { return mix(mix(mix(address[0]) ^ address[1]) ^ bits); }
    /// Whether of() can have made this, all of it.
    [[nodiscard]] bool sound() const noexcept {
        return service() < wire::kServiceCapacity && (bits & 0xffff0000) == 0 && (address[0] | address[1]) != 0;
    }
    friend bool operator==(const WideKey &, const WideKey &) noexcept = default;
};

template <class Key> struct Line;

template <> struct alignas(64) Line<CompactKey> {
    static constexpr unsigned kEntries = 4;
    static constexpr unsigned kMoveDepth = 2;
    static constexpr unsigned kMoveDepthMax = 4;
    CompactKey keys[kEntries];
    wire::u64 values[kEntries];

    [[nodiscard]] CompactKey key(unsigned i) const noexcept { return keys[i]; }
    [[nodiscard]] wire::u64 &value(unsigned i) noexcept { return values[i]; }
    void set_key(unsigned i, CompactKey k) noexcept { keys[i] = k; }
    /// Clears a key by one store, for who shares the line with others that do the same.
    void drop_key(unsigned i) noexcept { __atomic_store_n(&keys[i].bits, 0, __ATOMIC_RELAXED); }
    /// A bit for each entry with this key.
    [[nodiscard]] unsigned match(CompactKey k) const noexcept {
        __m256i wanted = _mm256_set1_epi64x(static_cast<long long>(k.bits));
        __m256i here = _mm256_load_si256(reinterpret_cast<const __m256i *>(keys));
        return static_cast<unsigned>(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(wanted, here))));
    }
    /// The same without vectors: what the test compares match() with.
    [[nodiscard]] unsigned match_scalar(CompactKey k) const noexcept {
        unsigned bits = 0;
        for (unsigned i = 0; i < kEntries; ++i) bits |= unsigned{keys[i] == k} << i;
        return bits;
    }
};

template <> struct alignas(64) Line<WideKey> {
    static constexpr unsigned kEntries = 2;
    static constexpr unsigned kMoveDepth = 5; // fewer places a line, so further to look for one
    static constexpr unsigned kMoveDepthMax = 9;
    struct Entry {
        WideKey key;
        wire::u64 value;
    } entries[kEntries];

    [[nodiscard]] const WideKey &key(unsigned i) const noexcept { return entries[i].key; }
    [[nodiscard]] wire::u64 &value(unsigned i) noexcept { return entries[i].value; }
    void set_key(unsigned i, const WideKey &k) noexcept {
        entries[i].key.bits = 0; // no entry while the parts do not belong together
        std::atomic_signal_fence(std::memory_order_release);
        entries[i].key.address[0] = k.address[0];
        entries[i].key.address[1] = k.address[1];
        std::atomic_signal_fence(std::memory_order_release);
        entries[i].key.bits = k.bits;
    }
    void drop_key(unsigned i) noexcept { __atomic_store_n(&entries[i].key.bits, 0, __ATOMIC_RELAXED); }
    [[nodiscard]] unsigned match(const WideKey &k) const noexcept {
        unsigned bits = 0;
        for (unsigned i = 0; i < kEntries; ++i) bits |= unsigned{entries[i].key == k} << i;
        return bits;
    }
};

static_assert(sizeof(Line<CompactKey>) == 64 && sizeof(Line<WideKey>) == 64);

/// Bytes of memory for a table of at least `entries` entries, which must need fewer than 2^32 lines.
template <class Key> constexpr std::size_t connection_memory_bytes(std::size_t entries) noexcept {
    return std::max<std::size_t>(2, (entries + Line<Key>::kEntries - 1) / Line<Key>::kEntries) * 64;
}

/// Bytes of memory for a table that gives up no entry while it holds `connections`: it is 85 % full then.
template <class Key> constexpr std::size_t connection_memory_bytes_for(std::size_t connections) noexcept {
    return connection_memory_bytes<Key>((connections * 20 + 16) / 17);
}

/// The line where a flow is looked for first.
[[nodiscard]] inline wire::u32 first_line(const wire::FlowHash &hash, wire::u32 line_count) noexcept {
    return wire::reduce(hash.line, line_count);
}

/// The other line of the two where a key may stand. Its own inverse: other_line(other_line(line)) is line. One key in
/// line_count has but one line: then it is `line` itself.
template <class Key>
[[nodiscard]] inline wire::u32 other_line(wire::u32 line, const Key &key, wire::u32 line_count) noexcept {
    const wire::u32 sum = wire::reduce(static_cast<wire::u32>(key.mixed() >> 32), line_count);
    return sum - line + (sum < line ? line_count : 0);
}

/// Whether a connection has been silent for longer than its service allows, or its service is gone.
[[nodiscard]] inline bool expired(const Generation &generation, wire::u16 service, const Connection &connection,
                                  wire::u32 now_s) noexcept {
    if (service >= generation.service_count() || generation.service(service).row_count == 0) return true;
    wire::u32 age_s = (now_s - connection.last_seen_s) & 0xffffff;
    if (age_s >= 1u << 23) age_s = 0; // seen after now: the clock of another CPU is a little ahead
    static_assert(wire::kTimeoutMaxS < 1 << 23);
    return age_s > generation.service(service).timeout_s[static_cast<wire::u8>(connection.state)];
}

/// What has happened to entries since the worker last asked; the worker keeps the counters.
struct TableEvents {
    wire::u64 expired = 0, evicted = 0, displaced = 0;
};

/// What adopt() found in a table that another process has left.
struct TableAdoption {
    wire::u64 entries = 0;    ///< kept
    wire::u64 duplicates = 0; ///< dropped: the copies of entries that were being moved
    wire::u64 unsound = 0;    ///< dropped: what no dataplane writes
};

template <class Key> class ConnectionTable {
  public:
    /// @param memory zeroed or to be adopted, 64-byte aligned, connection_memory_bytes() long; outlives the table.
    /// @param slots the worker's counters by slot: live connections are kept there; by service, the unsure ones among them.
    ConnectionTable(std::span<std::byte> memory, wire::SlotCounters *slots, wire::ServiceCounters *services) noexcept;

    /// Takes over what an earlier process left in the memory, whenever it died; before anything else is done with the
    /// table. Reads all of it once: about half a second for 10 million connections
    /// on 4 KB pages.
    TableAdoption adopt() noexcept;

    /// The line where a flow is looked for first.
    [[nodiscard]] Line<Key> *first(const wire::FlowHash &hash) const noexcept { return &lines_[first_line(hash, line_count_)]; }

    // Into the second-level cache, which has room for more lines under way than the first, and is near enough.
    // Inlined by force: g++ 12 takes a function that does nothing but prefetch for one without effect, and drops its calls.
    [[gnu::always_inline]] static void prefetch(const Line<Key> *line) noexcept { __builtin_prefetch(line, 0, 2); }
    [[gnu::always_inline]] void prefetch_second(const Line<Key> *first, const Key &key) const noexcept { __builtin_prefetch(second(first, key), 1); }

    /// The value of the entry in this line, or null. The pointer holds until the next insert(), sweep() or clear().
    [[nodiscard]] static wire::u64 *find_in(Line<Key> *line, const Key &key) noexcept {
        unsigned bits = line->match(key);
        return bits ? &line->value(static_cast<unsigned>(std::countr_zero(bits))) : nullptr;
    }
    /// The same in either of its lines.
    [[nodiscard]] wire::u64 *find(Line<Key> *first, const Key &key) const noexcept {
        wire::u64 *value = find_in(first, key);
        return value ? value : find_in(second(first, key), key);
    }
    [[nodiscard]] wire::u64 *find(const wire::FlowHash &hash, const Key &key) const noexcept { return find(first(hash), key); }

    /// Records a new connection; its key must not be in the table.
    /// Room is made of, in this order: nothing, expired entries, moves, half-open entries, closing entries. (Where a table is
    /// as good as full, moves come last.)
    /// @return false if neither line has room: the flow then goes unrecorded.
    [[nodiscard]] bool insert(const Generation &, const wire::FlowHash &, const Key &, const Connection &,
                              wire::u32 now_s) noexcept;

    /// Clears an entry found by find(): its backend is gone.
    void erase(const wire::FlowHash &, const Key &) noexcept;

    /// Expires what is due in the next `lines` lines, round and round.
    void sweep(const Generation &, std::size_t lines, wire::u32 now_s) noexcept;

    void clear() noexcept;

    /// Forgets all connections a piece at a time, so that no packet waits for it: clear_next() until it says that it is
    /// done. Meanwhile nothing is recorded.
    void start_clearing() noexcept { clearing_ = size_ > 0; swept_ = 0; }
    /// @return whether more is left.
    bool clear_next(std::size_t lines) noexcept;

    [[nodiscard]] wire::u64 size() const noexcept { return size_; }
    [[nodiscard]] std::size_t line_count() const noexcept { return line_count_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return line_count() * Line<Key>::kEntries; }
    [[nodiscard]] TableEvents take_events() noexcept { return std::exchange(events_, {}); }

  private:
    static constexpr unsigned kEntries = Line<Key>::kEntries;
    struct Place {
        wire::u32 line;
        unsigned entry;
    };

    [[nodiscard]] wire::u32 other(wire::u32 line, const Key &key) const noexcept { return other_line(line, key, line_count_); }
    [[nodiscard]] Line<Key> *second(const Line<Key> *first, const Key &key) const noexcept {
        return &lines_[other(static_cast<wire::u32>(first - lines_), key)];
    }
    [[nodiscard]] bool take_free(const Generation &, wire::u32 line, wire::u32 now_s, Place &) noexcept;
    [[nodiscard]] bool take_by_moving(const Generation &, wire::u32 line, unsigned depth, wire::u32 now_s,
                                      Place &) noexcept;
    [[nodiscard]] bool take_from(wire::u32 line, ConnectionState victim, Place &) noexcept;
    void write(const Place &, const Key &, wire::u64 value) noexcept;
    void count(const Key &, const Connection &, wire::u64 difference) noexcept;
    void remove(const Place &) noexcept;

    /// Whether an entry stands in a later place of the table, too; one that contradicts it is dropped.
    enum class Twin { kNone, kEqual, kContradicts };
    [[nodiscard]] Twin twin(wire::u32 line, unsigned entry) noexcept;

    Line<Key> *lines_;
    wire::u32 line_count_;
    bool clearing_ = false;
    wire::SlotCounters *slots_;
    wire::ServiceCounters *services_;
    wire::u64 size_ = 0;
    std::size_t swept_ = 0; ///< next line for sweep() or clear_next()
    TableEvents events_;
};

extern template class ConnectionTable<CompactKey>;
extern template class ConnectionTable<WideKey>;

} // namespace fairlead::core
