// SPDX-License-Identifier: Apache-2.0
//
// Who owns which row: the stable matching of rows, which want their best-scoring member, and
// members, which hold at most `capacity` rows and want those with the lowest draw.
//
// By deferred acceptance (Gale and Shapley, "College admissions and the stability of marriage",
// 1962), the rows proposing. Both sides order pairs by the one order of score.hpp, so the pair that
// comes first among all pairs is in every stable matching, and by induction there is only one: the
// result depends on members and capacities alone, not on the order of proposals.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "controlplane/tables/rankings.hpp"

namespace fairlead::tables {

/// owner[row]. `capacities` by member index, 0 for a free index; their sum is at least the number
/// of rows, so no row goes without.
[[nodiscard]] std::vector<MemberIndex> match_rows(Rankings &rankings, std::span<const std::uint32_t> capacities);

} // namespace fairlead::tables
