// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/rendezvous.hpp"

#include <algorithm>
#include <cassert>

#include "controlplane/tables/address_hash.hpp"
#include "controlplane/tables/matching.hpp"
#include "dataplane/wire/snapshot.h"

namespace fairlead::tables {
namespace {

/// Walks two sequences, both ascending by address and with distinct addresses: calls one(before),
/// other(after) or both(before, after) for each address.
template <class Before, class After, class Gone, class Come, class Both>
void walk_by_address(const Before &before, const After &after, Gone gone, Come come, Both both) {
    auto old = before.begin();
    auto now = after.begin();
    while (old != before.end() || now != after.end()) {
        if (now == after.end() || (old != before.end() && old->address < now->address)) gone(*old++);
        else if (old == before.end() || now->address < old->address) come(*now++);
        else both(*old++, *now++);
    }
}

} // namespace

RendezvousTable::RendezvousTable(std::uint32_t row_count, const Seed &seed, std::uint32_t slack_per_mille)
    : seed_(seed), rankings_(row_count, seed), slack_per_mille_(slack_per_mille) {
    assert(row_count <= wire::kRowCountMax && slack_per_mille <= 1000);
}

Rows RendezvousTable::build(std::span<const Member> members) {
    const MemberSet set = member_set(members);
    Rows rows(row_count(), wire::kNoSlot);
    rank(set);
    if (set.empty()) return rows;

    std::vector<std::uint16_t> slots(rankings_.index_end(), wire::kNoSlot);
    for (std::size_t i = 0; i < set.size(); ++i) slots[ranked_[i].index] = set[i].slot;
    const std::vector<MemberIndex> owners = match_rows(rankings_, capacities());
    rankings_.forget_deeper();
    std::ranges::transform(owners, rows.begin(), [&](MemberIndex owner) { return slots[owner]; });
    return rows;
}

/// Ranking all anew costs rows x members, one change rows: worth it when half of them changed. Or
/// when there are far more or fewer than lists were made for, which makes changes dear.
void RendezvousTable::rank(const MemberSet &members) {
    std::size_t changes = 0;
    walk_by_address(
        ranked_, members, [&](const Ranked &) { ++changes; }, [&](const Member &) { ++changes; },
        [&](const Ranked &old, const Member &now) { changes += old.weight != now.weight; });
    const bool outgrown = members.size() > 2 * member_count_assigned_ || 2 * members.size() < member_count_assigned_;
    if (2 * changes >= members.size() || outgrown) rank_all(members);
    else if (changes > 0) rank_changes(members);
}

void RendezvousTable::rank_all(const MemberSet &members) {
    rankings_.assign(members);
    member_count_assigned_ = members.size();
    ranked_.clear();
    for (std::size_t i = 0; i < members.size(); ++i) {
        ranked_.push_back(ranked(members[i], static_cast<MemberIndex>(i)));
    }
}

void RendezvousTable::rank_changes(const MemberSet &members) {
    // Out before in, so that there are never more members at once than the larger set has.
    walk_by_address(
        ranked_, members, [&](const Ranked &old) { rankings_.remove(old.index); }, [](const Member &) {},
        [&](const Ranked &old, const Member &now) {
            if (old.weight != now.weight) rankings_.remove(old.index);
        });
    std::vector<Ranked> changed;
    changed.reserve(members.size());
    const auto add = [&](const Member &now) {
        changed.push_back(ranked(now, rankings_.add(now.address, now.weight)));
    };
    walk_by_address(ranked_, members, [](const Ranked &) {}, add, [&](const Ranked &old, const Member &now) {
        if (old.weight != now.weight) add(now);
        else changed.push_back(old);
    });
    ranked_ = std::move(changed);
}

RendezvousTable::Ranked RendezvousTable::ranked(const Member &member, MemberIndex index) const {
    const auto rounding = static_cast<std::uint16_t>(address_hash(seed_, member.address, HashPurpose::kRounding));
    return {.address = member.address, .weight = member.weight, .index = index, .rounding = rounding};
}

/// By member index, 0 for a free one. At least 1 and at most ceil(rows x weight share x (1 + slack))
/// each, at least as many as rows together.
std::vector<std::uint32_t> RendezvousTable::capacities() const {
    const std::uint64_t rows = row_count();
    std::uint64_t weight_sum = 0;
    for (const Ranked &member : ranked_) weight_sum += member.weight;
    const std::uint64_t divisor = weight_sum * 1000; // below 2^42
    std::vector<std::uint32_t> result(rankings_.index_end(), 0);
    std::uint64_t sum = 0;
    const auto fill = [&](auto rounded_up_by) {
        for (const Ranked &member : ranked_) {
            // 2^24 rows, weight 2^16 and 2000 per mille stay below 2^51.
            const std::uint64_t share = rows * member.weight * (1000 + slack_per_mille_);
            const std::uint64_t capacity = (share + rounded_up_by(member)) / divisor;
            result[member.index] = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(capacity, 1, rows));
            sum += result[member.index];
        }
    };
    fill([&](const Ranked &member) { return divisor * (0xffffu - member.rounding) >> 16; });
    // Only with a handful of rows a backend can bad luck use up the slack.
    if (sum < rows) fill([&](const Ranked &) { return divisor - 1; });
    return result;
}

} // namespace fairlead::tables
