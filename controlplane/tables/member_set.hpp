// SPDX-License-Identifier: Apache-2.0
//
// The members that can own rows, in the one order that does not depend on how they were given.
#pragma once

#include <span>
#include <vector>

#include "controlplane/tables/row_table.hpp"

namespace fairlead::tables {

/// Ascending by address, addresses distinct, weights 1 to kWeightMax.
using MemberSet = std::vector<Member>;

[[nodiscard]] MemberSet member_set(std::span<const Member> members);

} // namespace fairlead::tables
