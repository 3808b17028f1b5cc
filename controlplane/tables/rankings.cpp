// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/rankings.hpp"

#include <algorithm>
#include <cassert>

namespace fairlead::tables {
namespace {

/// Members that level 0 reaches on average: 97 rows in 100 then fill their list of eight.
constexpr std::uint64_t kReachedFirst = 9;
constexpr std::uint64_t kReachGrowth = 4;
constexpr std::uint32_t kRowsPerScan = 4096;

} // namespace

Rankings::Rankings(std::uint32_t row_count, const Seed &seed) : seed_(seed), lists_(row_count) {
    for (List &list : lists_) list.fill(kNoMember);
}

void Rankings::assign(const MemberSet &members) {
    assert(members.size() < kNoMember);
    key_low_.clear(), key_high_.clear(), weight_.clear(), address_.clear(), free_.clear();
    for (const Member &member : members) {
        const BackendKey key = backend_key(seed_, member.address);
        key_low_.push_back(key.low);
        key_high_.push_back(key.high);
        weight_.push_back(member.weight);
        address_.push_back(member.address);
    }
    member_count_ = members.size();
    reaches_.clear();
    deeper_.clear();
    listed_score_max_ = 0;
    for (std::uint32_t row = 0; row < row_count(); ++row) {
        rank(row, reach(0));
        list_ranked(row);
    }
}

MemberIndex Rankings::add(const Address &address, std::uint32_t weight) {
    assert(weight >= 1 && weight <= kWeightMax);
    if (free_.empty()) {
        assert(weight_.size() < kNoMember);
        free_.push_back(static_cast<MemberIndex>(weight_.size()));
        key_low_.emplace_back(), key_high_.emplace_back(), weight_.emplace_back(), address_.emplace_back();
    }
    const MemberIndex member = free_.back();
    free_.pop_back();
    const BackendKey key = backend_key(seed_, address);
    key_low_[member] = key.low;
    key_high_[member] = key.high;
    weight_[member] = weight;
    address_[member] = address;
    reaches_.clear();
    deeper_.clear();

    for_each_row_within(listed_score_max_, member,
                        [&](std::uint32_t row, std::uint64_t score) { insert(row, {score, member}); });
    ++member_count_;
    return member;
}

void Rankings::remove(MemberIndex member) {
    assert(weight_[member] != 0);
    for_each_row_within(listed_score_max_, member, [&](std::uint32_t row, std::uint64_t) {
        List &list = lists_[row];
        std::fill(std::remove(list.begin(), list.end(), member), list.end(), kNoMember);
    });
    weight_[member] = 0;
    free_.push_back(member);
    --member_count_;
    reaches_.clear();
    deeper_.clear();
}

/// The strict order of all pairs, within one row.
bool Rankings::better(const Ranked &a, const Ranked &b) const noexcept {
    if (a.score != b.score) return a.score < b.score;
    return address_[a.member] < address_[b.member];
}

std::uint64_t Rankings::score_of(std::uint32_t row, MemberIndex member) const noexcept {
    return score(draw_of(row, member), weight_[member]);
}

/// Every row whose score with the member is at most `score_max`.
template <class Visit>
void Rankings::for_each_row_within(std::uint64_t score_max, MemberIndex member, Visit visit) {
    const BackendKey key{key_low_[member], key_high_[member]};
    const std::uint32_t weight = weight_[member];
    const std::uint32_t limit = draw_limit(score_max, weight);
    hits_.resize(kRowsPerScan);
    for (std::uint32_t first = 0; first < row_count(); first += kRowsPerScan) {
        const std::uint32_t last = std::min(first + kRowsPerScan, row_count());
        const std::size_t count = scan_rows(first, last, key, limit, hits_.data());
        for (const Hit &hit : std::span(hits_).first(count)) {
            const std::uint64_t hit_score = score(hit.draw, weight);
            if (hit_score <= score_max) visit(hit.index, hit_score);
        }
    }
}

/// Puts a new member into the row's list where it belongs. One that ranks after the list's last is
/// left out unless the list is the whole ranking: somebody unlisted may stand between the two.
void Rankings::insert(std::uint32_t row, Ranked entry) {
    List &list = lists_[row];
    const auto listed = static_cast<std::size_t>(std::ranges::find(list, kNoMember) - list.begin());
    std::size_t position = listed;
    while (position > 0) {
        const MemberIndex other = list[position - 1];
        if (better({score_of(row, other), other}, entry)) break;
        --position;
    }
    if (position == listed && listed != member_count_) return;
    if (position == kListed) return;
    std::shift_right(list.begin() + static_cast<std::ptrdiff_t>(position), list.end(), 1);
    list[position] = entry.member;
}

/// About the score that this many members of an average row stay within. -ln(1 - x) >= x, so at
/// most so many do; all, where so many are not there.
std::uint64_t Rankings::score_reached_by(std::uint64_t members_wanted) const noexcept {
    constexpr unsigned kScoreBits = 58; // a score is -ln(u) / weight * 2^58
    constexpr unsigned kSpareBits = 20; // room to add up 2^16 of them
    if (members_wanted * 2 >= member_count_) return kScoreMax;
    const auto reached = [&](std::uint64_t score_max) {
        std::uint64_t sum = 0;
        for (const std::uint64_t weight : weight_) {
            if (weight == 0) continue;
            const std::uint64_t one = std::uint64_t{1} << kScoreBits;
            sum += (score_max > one / weight ? one : score_max * weight) >> kSpareBits;
        }
        return sum >> (kScoreBits - kSpareBits);
    };
    std::uint64_t least = 0;
    std::uint64_t most = kScoreMax;
    while (least < most) {
        const std::uint64_t middle = least + (most - least) / 2;
        if (reached(middle) >= members_wanted) most = middle;
        else least = middle + 1;
    }
    return most;
}

const Rankings::Reach &Rankings::reach(std::size_t level) {
    while (reaches_.size() <= level) {
        std::uint64_t wanted = kReachedFirst;
        for (std::size_t i = 0; i < reaches_.size(); ++i) wanted *= kReachGrowth;
        Reach next{.score_max = score_reached_by(wanted), .limits = {}};
        std::uint32_t weight_before = 0;
        std::uint32_t limit = 0;
        for (const std::uint32_t weight : weight_) {
            if (weight != 0 && weight != weight_before) limit = draw_limit(next.score_max, weight);
            if (weight != 0) weight_before = weight;
            next.limits.push_back(weight == 0 ? 0 : limit);
        }
        reaches_.push_back(std::move(next));
    }
    return reaches_[level];
}

/// Leaves in ranked_ all members that score within reach for the row, best first.
void Rankings::rank(std::uint32_t row, const Reach &reach) {
    hits_.resize(std::max(hits_.size(), weight_.size()));
    const std::size_t count = scan_members(row_key(row), {key_low_, key_high_, reach.limits}, hits_.data());
    ranked_.clear();
    for (const Hit &hit : std::span(hits_).first(count)) {
        const std::uint32_t weight = weight_[hit.index];
        if (weight == 0) continue; // a free index is scanned with limit 0
        const std::uint64_t hit_score = score(hit.draw, weight);
        if (hit_score <= reach.score_max) ranked_.push_back({hit_score, static_cast<MemberIndex>(hit.index)});
    }
    std::ranges::sort(ranked_, [&](const Ranked &a, const Ranked &b) { return better(a, b); });
}

/// Lists the first of ranked_.
void Rankings::list_ranked(std::uint32_t row) {
    const std::size_t listed = std::min(kListed, ranked_.size());
    List &list = lists_[row];
    list.fill(kNoMember);
    for (std::size_t i = 0; i < listed; ++i) list[i] = ranked_[i].member;
    if (listed > 0) listed_score_max_ = std::max(listed_score_max_, ranked_[listed - 1].score);
}

MemberIndex Rankings::deeper_choice(std::uint32_t row, std::size_t position) {
    if (position >= member_count_) return kNoMember;
    std::vector<MemberIndex> &ranking = deeper_[row];
    for (std::size_t level = 1; ranking.size() <= position; ++level) {
        rank(row, reach(level));
        if (ranked_.size() <= ranking.size()) continue;
        ranking.clear();
        for (const Ranked &entry : ranked_) ranking.push_back(entry.member);
        list_ranked(row); // lists grow shorter when members leave; here they are filled up again
    }
    return ranking[position];
}

} // namespace fairlead::tables
