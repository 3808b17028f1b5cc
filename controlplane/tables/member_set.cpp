// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/member_set.hpp"

#include <algorithm>
#include <tuple>

namespace fairlead::tables {

MemberSet member_set(std::span<const Member> members) {
    MemberSet set(members.begin(), members.end());
    // Whose slot counts is settled before weights are: a drained duplicate keeps its address drained.
    std::sort(set.begin(), set.end(), [](const Member &a, const Member &b) {
        return std::tie(a.address, a.slot) < std::tie(b.address, b.slot);
    });
    const auto same = [](const Member &a, const Member &b) { return a.address == b.address; };
    set.erase(std::unique(set.begin(), set.end(), same), set.end());
    std::erase_if(set, [](const Member &member) { return member.weight == 0; });
    for (Member &member : set) member.weight = std::min(member.weight, kWeightMax);
    return set;
}

} // namespace fairlead::tables
