// SPDX-License-Identifier: Apache-2.0
//
// Who owned each row before: the second chance of flows whose connection entry is lost.
//
// For each row of the present table the distinct former owners, the one whose last set is the most
// recent first. That follows from the list of sets alone (backend_set.hpp), so nodes with equal
// lists name equal alternates, by whatever way they came to the list. Where a set had another
// number of rows, an old row's owner stands for each row whose hashes it shares; of several such
// owners the one of the lower hashes goes first.
//
//   formers_   4 bytes an owner, row after row, no padding: an owner is a member of a set, so it
//              goes when its set goes, and nothing counts references
//       row 0            row 1      row 2
//     | a  b  c(last) | a(last) | d  a(last) | ...
//
// A change writes the array anew in one pass: the new set's owner moves to the front of its row,
// the owners known only from the set that makes room are left out. 65,537 rows that each had two
// owners take 0.5 MB. An object never changes, so going back to the one before costs nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "controlplane/tables/backend_set.hpp"

namespace fairlead::tables {

/// wire::kAlternateCount for each row, row after row: slots, wire::kNoSlot fills up.
using Alternates = std::vector<std::uint16_t>;

/// Of rows that had one owner only.
[[nodiscard]] Alternates no_alternates(std::size_t row_count);

class RowHistory {
  public:
    /// Of a list with one set, and its table.
    /// @param members those that `rows` were built from.
    RowHistory(const SetHistory &list, std::span<const std::uint16_t> rows, std::span<const Member> members);

    /// From the list alone: builds all its tables, which takes a while.
    /// @param row_count of the present table, which is that of the front set unless the present set is empty.
    [[nodiscard]] static RowHistory rebuild(const SetHistory &list, std::uint32_t row_count, const Seed &seed);

    /// Whether after() gets to `list`: it is this one's with one set more or moved to its front.
    [[nodiscard]] bool leads_to(const SetHistory &list) const;

    /// The history of `list`, whose front set has the table `rows`, built from `members`.
    [[nodiscard]] RowHistory after(const SetHistory &list, std::span<const std::uint16_t> rows,
                                   std::span<const Member> members) const;

    /// Up to three for each row: former owners that live, distinct, not the present owner.
    /// @param rows the present table, of row_count() rows.
    /// @param living whose slots may be named; their weights are of no account.
    [[nodiscard]] Alternates alternates(std::span<const std::uint16_t> rows, std::span<const Member> living) const;

    [[nodiscard]] const SetHistory &list() const noexcept { return list_; }
    [[nodiscard]] std::uint32_t row_count() const noexcept { return row_count_; }
    [[nodiscard]] std::size_t size_bytes() const noexcept { return formers_.size() * sizeof(Former); } ///< of the rows

  private:
    /// A set keeps its seat as long as it is in the list.
    static constexpr std::uint8_t kNoSeat = 0xff;
    struct Former {
        std::uint16_t member; ///< place in the set
        std::uint8_t seat;    ///< of the most recent set in which it owned the row
        bool is_last;         ///< of its row
    };
    static_assert(sizeof(Former) == 4);

    using Seats = std::array<SharedBackendSet, kSetCountMax>;
    class SlotsBySeat;

    explicit RowHistory(std::uint32_t row_count) : row_count_(row_count) {}
    [[nodiscard]] std::uint8_t seat_of(const SharedBackendSet &set) const;
    template <class OwnersOf>
    void absorb(std::span<const Former> before, const SlotsBySeat &members, std::uint8_t seat, std::uint8_t given_up,
                OwnersOf owners_of);

    std::uint32_t row_count_;
    SetHistory list_;
    Seats seats_; ///< null: free
    std::vector<Former> formers_;
};

} // namespace fairlead::tables
