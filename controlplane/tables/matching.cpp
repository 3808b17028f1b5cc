// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/matching.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace fairlead::tables {
namespace {

/// A row that a member holds, ordered as the member prefers: by draw, which differs from row to row.
struct Proposal {
    std::uint32_t draw;
    std::uint32_t row;
    friend auto operator<=>(const Proposal &, const Proposal &) = default;
};

/// What one member holds. It may hold more than its capacity for a while, since choosing among
/// many at once is cheaper than one by one; what it has once turned away it never takes again.
struct Holding {
    std::uint32_t first;    ///< in proposals_
    std::uint32_t count;
    std::uint32_t capacity;
    std::uint32_t room;
    std::uint32_t draw_max; ///< a higher draw is turned away
};

class Matching {
  public:
    Matching(Rankings &rankings, std::span<const std::uint32_t> capacities)
        : rankings_(rankings), asked_(rankings.row_count(), 0) {
        const std::uint64_t rows = rankings.row_count();
        std::uint64_t first = 0;
        for (const std::uint64_t capacity : capacities) {
            const std::uint64_t room = std::min(capacity + capacity / 2 + 8, rows);
            holdings_.push_back({.first = static_cast<std::uint32_t>(first),
                                 .count = 0,
                                 .capacity = static_cast<std::uint32_t>(capacity),
                                 .room = static_cast<std::uint32_t>(room),
                                 .draw_max = 0xffffffff});
            first += capacity == 0 ? 0 : room;
        }
        proposals_.resize(first);
    }

    std::vector<MemberIndex> run() {
        for (std::uint32_t row = 0; row < rankings_.row_count(); ++row) propose(row);
        while (!turned_away_.empty() || !overfull_.empty()) {
            while (!turned_away_.empty()) {
                const std::uint32_t row = turned_away_.back();
                turned_away_.pop_back();
                propose(row);
            }
            for (const MemberIndex member : std::exchange(overfull_, {})) {
                if (holdings_[member].count > holdings_[member].capacity) keep_best(holdings_[member]);
            }
        }
        return owners();
    }

  private:
    void propose(std::uint32_t row) {
        for (;;) {
            const MemberIndex member = rankings_.choice(row, asked_[row]++);
            assert(member != kNoMember);
            Holding &holding = holdings_[member];
            const std::uint32_t draw = rankings_.draw_of(row, member);
            if (draw > holding.draw_max) continue;
            proposals_[holding.first + holding.count++] = {draw, row};
            if (holding.count == holding.capacity + 1) overfull_.push_back(member);
            if (holding.count == holding.room && holding.count > holding.capacity) keep_best(holding);
            return;
        }
    }

    void keep_best(Holding &holding) {
        const auto held = std::span(proposals_).subspan(holding.first, holding.count);
        std::ranges::nth_element(held, held.begin() + (holding.capacity - 1));
        holding.draw_max = held[holding.capacity - 1].draw;
        for (const Proposal &refused : held.subspan(holding.capacity)) turned_away_.push_back(refused.row);
        holding.count = holding.capacity;
    }

    [[nodiscard]] std::vector<MemberIndex> owners() const {
        std::vector<MemberIndex> owner(rankings_.row_count(), kNoMember);
        for (std::size_t member = 0; member < holdings_.size(); ++member) {
            const Holding &holding = holdings_[member];
            for (const Proposal &held : std::span(proposals_).subspan(holding.first, holding.count)) {
                owner[held.row] = static_cast<MemberIndex>(member);
            }
        }
        return owner;
    }

    Rankings &rankings_;
    std::vector<std::uint16_t> asked_; ///< by row: its choices asked so far
    std::vector<Holding> holdings_;    ///< by member
    std::vector<Proposal> proposals_;
    std::vector<std::uint32_t> turned_away_; ///< rows that must ask their next choice
    std::vector<MemberIndex> overfull_;      ///< members that went above their capacity
};

} // namespace

std::vector<MemberIndex> match_rows(Rankings &rankings, std::span<const std::uint32_t> capacities) {
    return Matching(rankings, capacities).run();
}

} // namespace fairlead::tables
