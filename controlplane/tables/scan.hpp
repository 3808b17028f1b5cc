// SPDX-License-Identifier: Apache-2.0
//
// The two inner loops of rendezvous: all members for one row, and all rows for one member. Each
// finds the few pairs whose draw is low enough to matter; only those get a score.
//
// AVX2 where the build has it, with a scalar twin that tests compare it to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "controlplane/tables/score.hpp"

namespace fairlead::tables {

struct Hit {
    std::uint32_t index; ///< of the member or the row
    std::uint32_t draw;
};

/// What a scan over members reads, one element a member.
struct MemberLanes {
    std::span<const std::uint32_t> key_low;
    std::span<const std::uint32_t> key_high;
    std::span<const std::uint32_t> limits;
};

/// All i with draw(row_key, key i) <= limits[i], ascending. `hits` has room for every member.
/// Returns how many.
std::size_t scan_members(std::uint32_t row_key, const MemberLanes &members, Hit *hits) noexcept;

/// All rows in [first, last) with draw(row_key(row), key) <= limit, ascending. `hits` has room for
/// every row.
std::size_t scan_rows(std::uint32_t first, std::uint32_t last, BackendKey key, std::uint32_t limit,
                      Hit *hits) noexcept;

namespace scalar {
std::size_t scan_members(std::uint32_t row_key, const MemberLanes &members, std::size_t first, Hit *hits) noexcept;
std::size_t scan_rows(std::uint32_t first, std::uint32_t last, BackendKey key, std::uint32_t limit,
                      Hit *hits) noexcept;
} // namespace scalar

} // namespace fairlead::tables
