// SPDX-License-Identifier: Apache-2.0
//
// Row tables: what a service's rows[] segment holds. A flow's hash picks a row, the row names a slot.
//
// A table is a pure function of (algorithm, set of (address, weight), row count, seed): not of the
// order of the members, not of their slots, not of earlier tables, compiler or CPU. So every node
// of a fleet builds the same one, and digest_rows() proves it. No floating point anywhere.
//
// No thread of its own and no locks: a TableBuilder belongs to the thread that calls it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "controlplane/tables/algorithm.hpp"
#include "dataplane/wire/wire.h"

namespace fairlead::tables {

/// As in wire::SlotEntry: IPv4 in the first four bytes, the rest zero.
using Address = std::array<std::uint8_t, 16>;

/// The fleet's secret. Another seed gives an unrelated table.
using Seed = std::array<std::uint8_t, 16>;

[[nodiscard]] Address address_of(wire::Be32 ipv4) noexcept;

/// Larger weights count as this one.
inline constexpr std::uint32_t kWeightMax = 65535;

/// One backend as a table sees it. Addresses are distinct within a table; of several members with
/// one address the one with the smallest slot counts.
struct Member {
    Address address{};
    std::uint32_t weight = 0; ///< relative; 0 owns no rows
    std::uint16_t slot = 0;   ///< what the rows hold; below wire::kSlotCapacity
};

/// Slots, or wire::kNoSlot throughout if no member has a weight above 0.
using Rows = std::vector<std::uint16_t>;

/// The rows of a table for this many backends: the smallest prime of a fixed list that is at least
/// max(65537, 100 x backends). Each is about 1.6 times the one before, since a change of the row
/// count is the one change that moves nearly all flows. Count all members, those of weight 0 too,
/// so that a drain never changes it. Never above wire::kRowCountMax.
[[nodiscard]] std::uint32_t row_count(std::size_t backends) noexcept;

/// Whether row_count() answers this for some number of backends.
[[nodiscard]] bool is_row_count(std::uint32_t rows) noexcept;

/// A table from scratch. `row_count` is a prime (Maglev's permutations need it), at least 2.
[[nodiscard]] Rows build(Algorithm algorithm, std::span<const Member> members, std::uint32_t row_count,
                         const Seed &seed);

/// 64 bits that name which address owns which row, whatever the slots: equal tables, equal digests.
/// `members` are those the rows were built from.
[[nodiscard]] std::uint64_t digest_rows(std::span<const std::uint16_t> rows, std::span<const Member> members);

/// Builds one service's tables, one after the other. Remembers what a later build can use again
/// (rendezvous only): one backend more or less then costs a fraction of a build from scratch, and
/// gives the same rows. What it keeps is 16 bytes a row.
class TableBuilder {
  public:
    TableBuilder(Algorithm algorithm, const Seed &seed);
    ~TableBuilder();
    TableBuilder(TableBuilder &&) noexcept;
    TableBuilder &operator=(TableBuilder &&) noexcept;

    /// row_count(members.size()) rows, equal to those of the free build().
    [[nodiscard]] Rows build(std::span<const Member> members);

    [[nodiscard]] Algorithm algorithm() const noexcept { return algorithm_; }

  private:
    Algorithm algorithm_;
    Seed seed_;
    std::unique_ptr<class RendezvousTable> rendezvous_;
};

} // namespace fairlead::tables
