// SPDX-License-Identifier: Apache-2.0
//
// Maglev's table population: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
// Balancer", NSDI 2016, section 3.4, with turns in proportion to weight.
#pragma once

#include "controlplane/tables/member_set.hpp"

namespace fairlead::tables {

/// `row_count` is prime, so that each permutation visits every row.
[[nodiscard]] Rows build_maglev(const MemberSet &members, std::uint32_t row_count, const Seed &seed);

} // namespace fairlead::tables
