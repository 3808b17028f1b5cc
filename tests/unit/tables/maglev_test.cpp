// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/maglev.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "controlplane/tables/address_hash.hpp"
#include "tests/unit/tables/member_lists.hpp"

namespace fairlead::tables {
namespace {

Rows maglev(std::span<const Member> members, std::uint32_t rows = kRows) {
    return build(Algorithm::kMaglev, members, rows, kSeed);
}

/// Pseudocode 1 of the paper, permutations written out in full; equal weights.
Rows paper(std::span<const Member> members, std::uint32_t row_count) {
    std::map<Address, std::pair<std::uint16_t, std::vector<std::uint32_t>>> permutations;
    for (const Member &one : members) {
        const std::uint64_t offset = address_hash(kSeed, one.address, HashPurpose::kMaglevOffset) % row_count;
        const std::uint64_t skip = address_hash(kSeed, one.address, HashPurpose::kMaglevSkip) % (row_count - 1) + 1;
        auto &[slot, permutation] = permutations[one.address];
        slot = one.slot;
        for (std::uint64_t j = 0; j < row_count; ++j) {
            permutation.push_back(static_cast<std::uint32_t>((offset + j * skip) % row_count));
        }
    }
    std::map<Address, std::size_t> next;
    std::map<std::uint32_t, std::uint16_t> entry;
    while (true) {
        for (const auto &[address, backend] : permutations) {
            const auto &[slot, permutation] = backend;
            while (entry.contains(permutation[next[address]])) ++next[address];
            entry[permutation[next[address]]] = slot;
            if (entry.size() < row_count) continue;
            Rows rows;
            for (const auto &[row, owner] : entry) rows.push_back(owner);
            return rows;
        }
    }
}

TEST(MaglevTable, IsThePapersForEqualWeights) {
    std::mt19937_64 random(7);
    for (const std::uint32_t rows : {2u, 13u, 1009u}) {
        for (const std::size_t count : {1u, 2u, 7u, 60u}) {
            auto set = random_members(random, count, 1);
            for (Member &one : set) one.weight = 5;
            EXPECT_EQ(maglev(set, rows), paper(set, rows)) << rows << " rows, " << count << " members";
        }
    }
}

TEST(MaglevTable, EqualWeightsDifferByOneRowAtMost) {
    const auto held = rows_by_slot(maglev(members(100)));
    const auto [least, most] = std::minmax_element(held.begin(), held.begin() + 100);
    EXPECT_LE(*most - *least, 1u);
}

TEST(MaglevTable, RowsFollowWeights) {
    std::vector<Member> set = members(100);
    for (Member &one : set) one.weight = 1 + one.slot % 10;
    EXPECT_LE(overload_max(maglev(set), set), 0.015);
    const auto held = rows_by_slot(maglev(std::vector{member(0, 1), member(1, 3)}));
    EXPECT_NEAR(held[0], kRows * 0.25, 2);
    EXPECT_NEAR(held[1], kRows * 0.75, 2);
}

} // namespace
} // namespace fairlead::tables
