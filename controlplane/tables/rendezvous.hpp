// SPDX-License-Identifier: Apache-2.0
//
// Balanced rendezvous hashing: weighted rendezvous scores (score.hpp), no backend above its weight
// share by more than the slack, and as few rows as that allows move when the set changes.
// It differs from consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA
// 2018) in that a full backend keeps its best rows, not its first, so order means nothing.
//
// A backend's capacity is rows x weight share x (1 + slack), rounded up or down: up where its
// fraction is above the backend's own threshold, a hash of its address. Rounding all of them up
// would let one backend more or less take a row from every other at once, whenever the common
// capacity steps by one: measured over 60 additions to 1,000 backends, that moved 2.9 times the
// necessary rows on average and 11 times at each step (100 times among 10,000); with thresholds of
// their own it is 3.0 on average and 3.4 at most (3.7 among 10,000).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "controlplane/tables/member_set.hpp"
#include "controlplane/tables/rankings.hpp"

namespace fairlead::tables {

inline constexpr std::uint32_t kSlackPerMille = 10;

/// One service's table, changed from set to set. Only the cost of build() depends on earlier ones.
class RendezvousTable {
  public:
    /// row_count at most wire::kRowCountMax; slack up to 1000 per mille.
    RendezvousTable(std::uint32_t row_count, const Seed &seed, std::uint32_t slack_per_mille = kSlackPerMille);

    [[nodiscard]] Rows build(std::span<const Member> members);

    [[nodiscard]] std::uint32_t row_count() const noexcept { return rankings_.row_count(); }

  private:
    struct Ranked {
        Address address;
        std::uint32_t weight;
        MemberIndex index;
        std::uint16_t rounding; ///< the fraction, of 2^16, from which its capacity rounds up
    };

    void rank(const MemberSet &members);
    void rank_all(const MemberSet &members);
    void rank_changes(const MemberSet &members);
    [[nodiscard]] Ranked ranked(const Member &member, MemberIndex index) const;
    [[nodiscard]] std::vector<std::uint32_t> capacities() const;

    Seed seed_;
    Rankings rankings_;
    std::uint32_t slack_per_mille_;
    std::vector<Ranked> ranked_;           ///< whom rankings_ ranks, ascending by address
    std::size_t member_count_assigned_ = 0; ///< when all were last ranked anew
};

} // namespace fairlead::tables
