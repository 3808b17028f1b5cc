// SPDX-License-Identifier: Apache-2.0
// Inherited tables: the connection tables of an earlier dataplane that spread its flows over its workers in another way.
// Nobody knows which worker a flow of theirs comes to now, so every worker asks all of them when its own table has no entry,
// and moves what it finds into its own.
//
// Owner: the main thread, which publishes them to the workers and lets them go once they hold nothing that lives.
// Workers only clear entries, by one store each; a key never changes otherwise, so they need no lock. Every flow
// comes to one worker at a time; should it come to two, both copy the same entry.
#pragma once

#include "dataplane/core/connection_table.hpp"

#include <memory>
#include <span>
#include <vector>

namespace fairlead::core {

/// The lines of one table, as ConnectionTable has written them.
template <class Key> class InheritedTable {
  public:
    struct Entry {
        Line<Key> *line = nullptr; ///< null: there is none
        unsigned index = 0;

        [[nodiscard]] explicit operator bool() const noexcept { return line != nullptr; }
        [[nodiscard]] wire::u64 &value() const noexcept { return line->value(index); }
        void clear() const noexcept { line->drop_key(index); }
    };

    /// @param memory whole lines, at least two; 64-byte aligned.
    explicit InheritedTable(std::span<std::byte> memory) noexcept
        : lines_(reinterpret_cast<Line<Key> *>(memory.data()), memory.size() / 64) {}

    [[gnu::always_inline]] void prefetch(const wire::FlowHash &hash, const Key &key) const noexcept { // as ConnectionTable's
        const wire::u32 line = first_line(hash, line_count());
        __builtin_prefetch(&lines_[line], 1);
        __builtin_prefetch(&lines_[other_line(line, key, line_count())], 1);
    }
    [[nodiscard]] Entry find(const wire::FlowHash &hash, const Key &key) const noexcept;

    /// Adds, by slot, the entries that a worker would still take.
    /// @param by_slot [kSlotCapacity + 1]
    /// @return how many there are.
    wire::u64 count_live(const Generation &, wire::u32 now_s, std::span<wire::u32> by_slot) const noexcept;

  private:
    [[nodiscard]] wire::u32 line_count() const noexcept { return static_cast<wire::u32>(lines_.size()); }

    std::span<Line<Key>> lines_;
};

/// All inherited tables, and what they held when they were counted last. Immutable but for entries that are cleared.
struct InheritedTables {
    struct Live {
        wire::u16 slot;
        wire::u32 connections;
    };

    wire::u64 serial = 0; ///< tells it from those before and after it; not 0
    std::vector<InheritedTable<CompactKey>> compact;
    std::vector<InheritedTable<WideKey>> wide;
    std::vector<Live> live; ///< by slot, ascending

    /// All lines are on their way before the first is asked.
    template <class Key>
    [[nodiscard]] typename InheritedTable<Key>::Entry find(const wire::FlowHash &hash, const Key &key) const noexcept {
        for (const auto &table : tables<Key>()) table.prefetch(hash, key);
        for (const auto &table : tables<Key>())
            if (const auto entry = table.find(hash, key)) return entry;
        return {};
    }

    /// Clears a flow's entry, if there is one.
    template <class Key> void forget(const wire::FlowHash &hash, const Key &key) const noexcept {
        if (const auto entry = find(hash, key)) entry.clear();
    }

  private:
    template <class Key> [[nodiscard]] const auto &tables() const noexcept {
        if constexpr (std::is_same_v<Key, CompactKey>) return compact;
        else return wide;
    }
};

/// The live connections of inherited tables, in the counters of the one worker that counts them: a slot is not empty
/// while one of them names it.
class InheritedGauge {
  public:
    explicit InheritedGauge(wire::SlotCounters *slots)
        : slots_(slots), counted_(std::make_unique<wire::u32[]>(wire::kSlotCapacity + 1)) {}

    /// @param tables null: there are none any more.
    void follow(const InheritedTables *tables) noexcept {
        const wire::u64 serial = tables ? tables->serial : 0;
        if (serial != serial_) [[unlikely]] recount(tables);
    }
    [[nodiscard]] wire::u64 total() const noexcept { return total_; }

  private:
    void recount(const InheritedTables *tables) noexcept;

    wire::SlotCounters *slots_;
    std::unique_ptr<wire::u32[]> counted_; ///< by slot: what of slots_ is ours
    wire::u64 total_ = 0;
    wire::u64 serial_ = 0;
};

extern template class InheritedTable<CompactKey>;
extern template class InheritedTable<WideKey>;

} // namespace fairlead::core
