// SPDX-License-Identifier: Apache-2.0
//
// RendezvousTable against the definition: every row ranks every member with std::sort, and members
// and rows are matched by textbook deferred acceptance, one proposal at a time.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "controlplane/tables/address_hash.hpp"
#include "controlplane/tables/rendezvous.hpp"
#include "tests/unit/tables/member_lists.hpp"

namespace fairlead::tables {
namespace {

using MembersByAddress = std::map<Address, Member>;

/// Shares with slack, rounded where each address says; all rounded up where that is too few.
std::map<Address, std::uint64_t> oracle_capacities(const MembersByAddress &members, std::uint32_t row_count) {
    std::uint64_t weight_sum = 0;
    for (const auto &[address, one] : members) weight_sum += one.weight;
    std::map<Address, std::uint64_t> rounded, rounded_up;
    std::uint64_t sum = 0;
    for (const auto &[address, one] : members) {
        const std::uint64_t parts = 1010ull * row_count * one.weight; // of 1000 * weight_sum
        const std::uint64_t whole = parts / (1000 * weight_sum);
        const std::uint64_t rest = parts % (1000 * weight_sum);
        const std::uint64_t threshold = address_hash(kSeed, address, HashPurpose::kRounding) & 0xffff;
        const bool up = rest + 1000 * weight_sum * (0xffff - threshold) / 65536 >= 1000 * weight_sum;
        rounded[address] = std::min<std::uint64_t>(std::max<std::uint64_t>(whole + up, 1), row_count);
        rounded_up[address] = std::min<std::uint64_t>(whole + (rest > 0), row_count);
        sum += rounded[address];
    }
    return sum < row_count ? rounded_up : rounded;
}

std::vector<Address> oracle_ranking(const MembersByAddress &members, std::uint32_t row) {
    std::vector<std::pair<std::uint64_t, Address>> scored;
    for (const auto &[address, one] : members) {
        scored.emplace_back(score(draw(row_key(row), backend_key(kSeed, address)), one.weight), address);
    }
    std::sort(scored.begin(), scored.end());
    std::vector<Address> ranking;
    for (const auto &[score, address] : scored) ranking.push_back(address);
    return ranking;
}

Rows oracle(std::span<const Member> given, std::uint32_t row_count) {
    MembersByAddress members;
    for (const Member &one : given) {
        if (one.weight > 0) members.emplace(one.address, one);
    }
    Rows rows(row_count, wire::kNoSlot);
    if (members.empty()) return rows;
    const auto capacities = oracle_capacities(members, row_count);

    std::map<Address, std::set<std::pair<std::uint32_t, std::uint32_t>>> held; // (draw, row)
    std::vector<std::vector<Address>> rankings;
    std::vector<std::size_t> asked(row_count, 0);
    std::vector<std::uint32_t> free;
    for (std::uint32_t row = 0; row < row_count; ++row) {
        rankings.push_back(oracle_ranking(members, row));
        free.push_back(row);
    }
    while (!free.empty()) {
        const std::uint32_t row = free.back();
        free.pop_back();
        const Address &choice = rankings[row].at(asked[row]++);
        auto &holding = held[choice];
        holding.emplace(draw(row_key(row), backend_key(kSeed, choice)), row);
        if (holding.size() <= capacities.at(choice)) continue;
        free.push_back(std::prev(holding.end())->second);
        holding.erase(std::prev(holding.end()));
    }
    for (const auto &[address, holding] : held) {
        for (const auto &[drawn, row] : holding) rows[row] = members.at(address).slot;
    }
    return rows;
}

struct Scenario {
    const char *name;
    std::uint32_t row_count;
    std::size_t member_count; ///< at the start, and about
    std::uint32_t weight_max;
    int steps;
};

class RendezvousOracle : public testing::TestWithParam<Scenario> {};

/// One to three members come, go, or change their weight or slot.
void change(std::vector<Member> &members, std::mt19937_64 &random, const Scenario &scenario) {
    for (std::size_t changes = random() % 3 + 1; changes > 0; --changes) {
        const bool grow = members.size() < scenario.member_count / 2 ||
                          (members.size() < scenario.member_count * 2 && random() % 2 == 0);
        const std::size_t any = members.empty() ? 0 : random() % members.size();
        if (random() % 3 == 0 && !members.empty()) {
            members[any].weight = static_cast<std::uint32_t>(random() % (scenario.weight_max + 1));
        } else if (grow) {
            Member newcomer = random_members(random, 1, scenario.weight_max).front();
            while (std::ranges::count(members, newcomer.slot, &Member::slot) > 0) ++newcomer.slot;
            members.push_back(newcomer);
        } else if (!members.empty()) {
            members.erase(members.begin() + static_cast<std::ptrdiff_t>(any));
        }
        std::ranges::shuffle(members, random);
    }
}

TEST_P(RendezvousOracle, EveryTableOfASequenceOfChangesIsTheDefinedOne) {
    const Scenario &scenario = GetParam();
    std::mt19937_64 random(scenario.row_count + scenario.member_count);
    std::vector<Member> members = random_members(random, scenario.member_count, scenario.weight_max);
    RendezvousTable table(scenario.row_count, kSeed);
    for (int step = 0; step < scenario.steps; ++step) {
        const Rows expected = oracle(members, scenario.row_count);
        ASSERT_EQ(table.build(members), expected) << "incremental, step " << step << ", " << members.size();
        if (step % 8 == 0) {
            ASSERT_EQ(build(Algorithm::kRendezvous, members, scenario.row_count, kSeed), expected)
                << "from scratch, step " << step;
        }
        change(members, random, scenario);
    }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, RendezvousOracle,
                         testing::Values(Scenario{"FewMembers", 1009, 3, 5, 120},
                                         Scenario{"EqualWeights", 1009, 60, 1, 120},
                                         Scenario{"SmallWeights", 1009, 40, 5, 120},
                                         Scenario{"AnyWeights", 1009, 40, kWeightMax, 120},
                                         Scenario{"FewRowsEach", 503, 150, 3, 100},
                                         Scenario{"MoreMembersThanRows", 101, 200, 10, 80},
                                         Scenario{"ManyMembers", 4099, 300, 100, 20}),
                         [](const auto &param) { return param.param.name; });

} // namespace
} // namespace fairlead::tables
