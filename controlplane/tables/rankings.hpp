// SPDX-License-Identifier: Apache-2.0
//
// Each row's ranking of all members by score, best first, as far down as anybody has asked.
//
//   lists_[row]   the first up to eight members: 16 bytes a row, kept from one table to the next.
//                 Invariant: a list is a prefix of the row's true ranking, possibly an empty one.
//   deeper_[row]  a longer prefix, for the one row in a thousand that is turned away eight times;
//                 forgotten after each table.
//
// So nothing here changes a result, only what it costs: a member that comes or goes touches the
// rows in whose lists it stands (8 in row_count / members), found by one scan over its draws.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "controlplane/tables/member_set.hpp"
#include "controlplane/tables/scan.hpp"
#include "controlplane/tables/score.hpp"

namespace fairlead::tables {

/// A member's place in these rankings, from add() to remove(); then it may be another's.
using MemberIndex = std::uint16_t;
inline constexpr MemberIndex kNoMember = 0xffff;

class Rankings {
  public:
    Rankings(std::uint32_t row_count, const Seed &seed);

    /// All members anew; member i of the set gets index i. Costs rows x members draws.
    void assign(const MemberSet &members);
    /// Costs one draw a row. The address is not among the members; weight 1 to kWeightMax.
    MemberIndex add(const Address &address, std::uint32_t weight);
    void remove(MemberIndex member);

    /// The row's choice number `position`, from 0; kNoMember after the last.
    [[nodiscard]] MemberIndex choice(std::uint32_t row, std::size_t position) {
        if (position < kListed && lists_[row][position] != kNoMember) return lists_[row][position];
        return deeper_choice(row, position);
    }
    [[nodiscard]] std::uint32_t draw_of(std::uint32_t row, MemberIndex member) const noexcept {
        return draw(row_key(row), {key_low_[member], key_high_[member]});
    }
    void forget_deeper() { deeper_.clear(); }

    [[nodiscard]] std::uint32_t row_count() const noexcept { return static_cast<std::uint32_t>(lists_.size()); }
    /// Above every index in use.
    [[nodiscard]] std::size_t index_end() const noexcept { return weight_.size(); }

  private:
    static constexpr std::size_t kListed = 8;
    using List = std::array<MemberIndex, kListed>; ///< kNoMember after its last

    struct Ranked {
        std::uint64_t score;
        MemberIndex member;
    };
    /// A score that some number of members reach on average, as one draw limit for each.
    struct Reach {
        std::uint64_t score_max = 0;
        std::vector<std::uint32_t> limits; ///< by member
    };

    [[nodiscard]] bool better(const Ranked &a, const Ranked &b) const noexcept;
    [[nodiscard]] std::uint64_t score_of(std::uint32_t row, MemberIndex member) const noexcept;
    [[nodiscard]] std::uint64_t score_reached_by(std::uint64_t members_wanted) const noexcept;
    [[nodiscard]] const Reach &reach(std::size_t level);
    void rank(std::uint32_t row, const Reach &reach);
    void list_ranked(std::uint32_t row);
    [[nodiscard]] MemberIndex deeper_choice(std::uint32_t row, std::size_t position);
    void insert(std::uint32_t row, Ranked entry);
    template <class Visit>
    void for_each_row_within(std::uint64_t score_max, MemberIndex member, Visit visit);

    Seed seed_;
    std::vector<List> lists_;
    std::unordered_map<std::uint32_t, std::vector<MemberIndex>> deeper_;
    std::uint64_t listed_score_max_ = 0; ///< no score in lists_ is above

    // By member. Weight 0: the index is free.
    std::vector<std::uint32_t> key_low_, key_high_, weight_;
    std::vector<Address> address_;
    std::vector<MemberIndex> free_;
    std::size_t member_count_ = 0;

    std::vector<Reach> reaches_; ///< by level, made when needed, for the present members
    std::vector<Hit> hits_;      ///< of the scan under way
    std::vector<Ranked> ranked_; ///< what rank() found, best first
};

} // namespace fairlead::tables
