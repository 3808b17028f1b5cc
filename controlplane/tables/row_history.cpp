// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/row_history.hpp"

#include <algorithm>
#include <cassert>
#include <map>

#include "controlplane/tables/maglev.hpp"
#include "controlplane/tables/member_set.hpp"
#include "controlplane/tables/rendezvous.hpp"
#include "dataplane/wire/snapshot.h"

namespace fairlead::tables {
namespace {

/// By row the owner's place in `set`, whose table `rows` is.
std::vector<std::uint16_t> owners_of_rows(std::span<const std::uint16_t> rows, std::span<const Member> members,
                                          const BackendSet &set) {
    std::vector<std::uint16_t> place_of(std::size_t{wire::kNoSlot} + 1, wire::kNoSlot);
    const MemberSet in_order = member_set(members);
    assert(in_order.size() == set.members.size());
    for (std::size_t i = 0; i < in_order.size(); ++i) place_of[in_order[i].slot] = static_cast<std::uint16_t>(i);
    std::vector<std::uint16_t> owners(rows.size());
    std::ranges::transform(rows, owners.begin(), [&](std::uint16_t slot) { return place_of[slot]; });
    return owners;
}

/// The rows of a table of `other_count` that share hashes with `row` of one of `count` (wire::reduce()).
struct RowRange {
    std::uint32_t first, last;
};
RowRange rows_sharing_hashes(std::uint32_t row, std::uint32_t count, std::uint32_t other_count) {
    const auto first_hash = [count](std::uint64_t of_row) { return ((of_row << 32) + count - 1) / count; };
    const auto other_row = [other_count](std::uint64_t hash) { return static_cast<std::uint32_t>(hash * other_count >> 32); };
    return {other_row(first_hash(row)), other_row(first_hash(std::uint64_t{row} + 1) - 1)};
}

/// Builds the tables of a list, oldest set first: each costs little after one that is much the same.
class ListTables {
  public:
    explicit ListTables(const Seed &seed) : seed_(seed) {}

    /// By row the owner's place in the set.
    [[nodiscard]] Rows build(const BackendSet &set) {
        const std::vector<Member> members = numbered_members(set);
        if (set.algorithm == Algorithm::kMaglev) return build_maglev(members, set.row_count, seed_);
        return rendezvous_.try_emplace(set.row_count, set.row_count, seed_).first->second.build(members);
    }

  private:
    Seed seed_;
    std::map<std::uint32_t, RendezvousTable> rendezvous_; ///< by row count
};

} // namespace

/// For each member of each seated set the slot that `members` give its address, or wire::kNoSlot.
class RowHistory::SlotsBySeat {
  public:
    SlotsBySeat(const Seats &seats, std::span<const Member> members) {
        std::vector<Member> sorted(members.begin(), members.end());
        std::ranges::sort(sorted, {}, &Member::address);
        for (std::size_t seat = 0; seat < seats.size(); ++seat) {
            begin_[seat] = slots_.size();
            if (!seats[seat]) continue;
            auto candidate = sorted.begin();
            for (const WeightedAddress &member : seats[seat]->members) {
                while (candidate != sorted.end() && candidate->address < member.address) ++candidate;
                const bool is_found = candidate != sorted.end() && candidate->address == member.address;
                slots_.push_back(is_found ? candidate->slot : std::uint16_t{wire::kNoSlot});
            }
        }
    }

    [[nodiscard]] std::uint16_t operator[](Former former) const noexcept { return slots_[begin_[former.seat] + former.member]; }

  private:
    std::array<std::size_t, kSetCountMax> begin_{}; ///< by seat
    std::vector<std::uint16_t> slots_;
};

Alternates no_alternates(std::size_t row_count) { return Alternates(row_count * wire::kAlternateCount, wire::kNoSlot); }

RowHistory::RowHistory(const SetHistory &list, std::span<const std::uint16_t> rows, std::span<const Member> members)
    : row_count_(static_cast<std::uint32_t>(rows.size())), list_(list) {
    assert(list.sets().size() == 1 && list.sets().front()->row_count == rows.size());
    seats_[0] = list.sets().front();
    formers_.reserve(rows.size());
    for (const std::uint16_t owner : owners_of_rows(rows, members, *seats_[0])) formers_.push_back({owner, 0, true});
}

RowHistory RowHistory::rebuild(const SetHistory &list, std::uint32_t row_count, const Seed &seed) {
    RowHistory history(row_count);
    history.list_ = list;
    ListTables tables(seed);
    for (std::size_t i = list.sets().size(); i-- > 0;) {
        const SharedBackendSet &set = list.sets()[i];
        const Rows owners = tables.build(*set);
        std::vector<std::uint16_t> found;
        const auto owners_of = [&](std::uint32_t row) -> std::span<const std::uint16_t> {
            if (set->row_count == row_count) return {&owners[row], 1};
            found.clear();
            const RowRange range = rows_sharing_hashes(row, row_count, set->row_count);
            for (std::uint32_t old = range.first; old <= range.last; ++old)
                if (std::ranges::find(found, owners[old]) == found.end()) found.push_back(owners[old]);
            return found;
        };
        const std::vector<Former> before = std::move(history.formers_);
        history.absorb(before, SlotsBySeat(history.seats_, numbered_members(*set)), static_cast<std::uint8_t>(i), kNoSeat, owners_of);
        history.seats_[i] = set;
    }
    return history;
}

bool RowHistory::leads_to(const SetHistory &list) const {
    if (list.sets().empty() || list.sets().front()->row_count != row_count_) return false;
    return list_.with(*list.sets().front()) == list;
}

RowHistory RowHistory::after(const SetHistory &list, std::span<const std::uint16_t> rows, std::span<const Member> members) const {
    assert(leads_to(list) && rows.size() == row_count_);
    const SharedBackendSet &set = list.sets().front();
    std::uint8_t given_up = kNoSeat;
    std::uint8_t seat = seat_of(set);
    if (seat == kNoSeat && list_.sets().size() == kSetCountMax) seat = given_up = seat_of(list_.sets().back());
    if (seat == kNoSeat) seat = seat_of(nullptr);

    RowHistory next(row_count_);
    next.list_ = list;
    next.seats_ = seats_;
    next.seats_[seat] = set;
    const std::vector<std::uint16_t> owners = owners_of_rows(rows, members, *set);
    next.absorb(formers_, SlotsBySeat(seats_, numbered_members(*set)), seat, given_up,
                [&](std::uint32_t row) { return std::span(&owners[row], 1); });
    return next;
}

/// The seat of an equal set; of null the first free one.
std::uint8_t RowHistory::seat_of(const SharedBackendSet &set) const {
    const auto is_it = [&](const SharedBackendSet &seated) { return seated == set || (seated && set && *seated == *set); };
    const auto found = std::ranges::find_if(seats_, is_it);
    return found == seats_.end() ? kNoSeat : static_cast<std::uint8_t>(found - seats_.begin());
}

/// Writes formers_: before's, each row's owners of the new set moved or put to its front.
/// @param members places in the new set, by the seats of `before`.
/// @param owners_of their places in it, for a row.
template <class OwnersOf>
void RowHistory::absorb(std::span<const Former> before, const SlotsBySeat &members, std::uint8_t seat, std::uint8_t given_up,
                        OwnersOf owners_of) {
    formers_.clear();
    formers_.reserve(before.size() + row_count_);
    auto former = before.begin();
    for (std::uint32_t row = 0; row < row_count_; ++row) {
        const std::span<const std::uint16_t> owners = owners_of(row);
        for (const std::uint16_t owner : owners) formers_.push_back({owner, seat, false});
        for (bool has_more = !before.empty(); has_more; ++former) {
            has_more = !former->is_last;
            if (former->seat == given_up || std::ranges::find(owners, members[*former]) != owners.end()) continue;
            formers_.push_back({former->member, former->seat, false});
        }
        formers_.back().is_last = true;
    }
    formers_.shrink_to_fit();
}

Alternates RowHistory::alternates(std::span<const std::uint16_t> rows, std::span<const Member> living) const {
    assert(rows.size() == row_count_);
    Alternates result = no_alternates(row_count_);
    const SlotsBySeat slots(seats_, living);
    auto former = formers_.begin();
    for (std::size_t row = 0; row < rows.size() && former != formers_.end(); ++row) {
        std::size_t place = row * wire::kAlternateCount;
        const std::size_t end = place + wire::kAlternateCount;
        for (bool has_more = true; has_more; ++former) {
            has_more = !former->is_last;
            const std::uint16_t slot = slots[*former];
            if (slot != wire::kNoSlot && slot != rows[row] && place < end) result[place++] = slot;
        }
    }
    return result;
}

} // namespace fairlead::tables
