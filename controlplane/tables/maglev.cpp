// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/maglev.hpp"

#include <algorithm>

#include "controlplane/tables/address_hash.hpp"
#include "dataplane/wire/snapshot.h"

namespace fairlead::tables {
namespace {

/// One backend's walk over all rows in its own order, and its place in the order of turns.
struct Walk {
    std::uint32_t row;          ///< the next row it asks for
    std::uint32_t skip;         ///< 1 to row_count - 1
    std::uint32_t weight;
    std::uint16_t slot;
    std::uint64_t due_at; ///< its next turn is the round with round * weight >= due_at
};

std::vector<Walk> walks(const MemberSet &members, std::uint32_t row_count, const Seed &seed) {
    std::vector<Walk> result;
    result.reserve(members.size());
    for (const Member &member : members) {
        const std::uint64_t offset = address_hash(seed, member.address, HashPurpose::kMaglevOffset) % row_count;
        const std::uint64_t skip = address_hash(seed, member.address, HashPurpose::kMaglevSkip) % (row_count - 1) + 1;
        result.push_back({.row = static_cast<std::uint32_t>(offset),
                          .skip = static_cast<std::uint32_t>(skip),
                          .weight = member.weight,
                          .slot = member.slot,
                          .due_at = 0});
    }
    return result;
}

void take_next_free(Walk &walk, Rows &rows) {
    const auto row_count = static_cast<std::uint32_t>(rows.size());
    const auto advance = [&] {
        walk.row += walk.skip; // below 2^25
        if (walk.row >= row_count) walk.row -= row_count;
    };
    while (rows[walk.row] != wire::kNoSlot) advance();
    rows[walk.row] = walk.slot;
    advance();
}

} // namespace

// In each round a backend of the largest weight takes one row, one of half that weight takes a row
// every second round, and so on; all take one in the first. Envoy's rule, here in integers: round
// is at most row_count (2^24) and weight below 2^16.
Rows build_maglev(const MemberSet &members, std::uint32_t row_count, const Seed &seed) {
    Rows rows(row_count, wire::kNoSlot);
    if (members.empty()) return rows;
    std::vector<Walk> turns = walks(members, row_count, seed);
    const std::uint64_t weight_max = std::ranges::max(members, {}, &Member::weight).weight;

    std::uint32_t filled = 0;
    for (std::uint64_t round = 1; filled < row_count; ++round) {
        for (Walk &walk : turns) {
            if (round * walk.weight < walk.due_at) continue;
            walk.due_at += weight_max;
            take_next_free(walk, rows);
            if (++filled == row_count) break;
        }
    }
    return rows;
}

} // namespace fairlead::tables
