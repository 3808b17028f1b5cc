// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/backend_set.hpp"

#include <algorithm>

#include "controlplane/tables/member_set.hpp"
#include "controlplane/tables/siphash.hpp"

namespace fairlead::tables {
namespace {

constexpr Seed kPublic{}; // digests are names, not secrets

std::uint64_t digest_of(const BackendSet &set) {
    SipHash hash(kPublic);
    hash.absorb_word(static_cast<std::uint64_t>(set.algorithm));
    hash.absorb_word(set.row_count);
    for (const WeightedAddress &member : set.members) {
        hash.absorb(member.address);
        hash.absorb_word(member.weight);
    }
    return hash.digest();
}

bool same(const SharedBackendSet &a, const SharedBackendSet &b) { return a == b || *a == *b; }

} // namespace

BackendSet backend_set(Algorithm algorithm, std::uint32_t row_count, std::span<const Member> members) {
    BackendSet set{.algorithm = algorithm, .row_count = row_count, .members = {}, .digest = 0};
    for (const Member &member : member_set(members)) set.members.push_back({member.address, member.weight});
    set.digest = digest_of(set);
    return set;
}

std::vector<Member> numbered_members(const BackendSet &set) {
    std::vector<Member> members;
    members.reserve(set.members.size());
    for (const WeightedAddress &member : set.members)
        members.push_back({.address = member.address, .weight = member.weight, .slot = static_cast<std::uint16_t>(members.size())});
    return members;
}

SetHistory SetHistory::with(BackendSet set) const {
    if (set.members.empty()) return *this;
    const auto known = std::ranges::find_if(sets_, [&](const SharedBackendSet &old) { return *old == set; });
    SetHistory after;
    after.sets_.reserve(std::min(sets_.size() + 1, kSetCountMax));
    after.sets_.push_back(known != sets_.end() ? *known : std::make_shared<const BackendSet>(std::move(set)));
    for (const SharedBackendSet &old : sets_)
        if (old != after.sets_.front() && after.sets_.size() < kSetCountMax) after.sets_.push_back(old);
    return after;
}

std::uint64_t SetHistory::digest() const noexcept {
    SipHash hash(kPublic);
    for (const SharedBackendSet &set : sets_) hash.absorb_word(set->digest);
    return hash.digest();
}

bool SetHistory::operator==(const SetHistory &other) const noexcept { return std::ranges::equal(sets_, other.sets_, same); }

} // namespace fairlead::tables
