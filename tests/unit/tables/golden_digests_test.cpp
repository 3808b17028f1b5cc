// SPDX-License-Identifier: Apache-2.0
//
// The tables that every build, on every machine, must give: two nodes of one fleet that disagree
// break connections. meson.build compiles this file and the builders at several optimisation and
// CPU levels. A digest here changes only with the definition of the algorithm, which is then a
// change that breaks flows in an upgrade: say so in CHANGELOG.md.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "controlplane/tables/row_history.hpp"
#include "tests/unit/tables/member_lists.hpp"

namespace fairlead::tables {
namespace {

enum class Weights { kEqual, kMixed, kExtreme };

struct Golden {
    Algorithm algorithm;
    std::uint16_t member_count;
    Weights weights;
    std::uint32_t row_count;
    std::uint64_t digest;
};

std::uint32_t weight_of(std::uint16_t number, Weights weights) {
    switch (weights) {
    case Weights::kEqual: return 100;
    case Weights::kMixed: return number % 7 * 50; // every seventh owns nothing
    case Weights::kExtreme: return number % 3 == 0 ? kWeightMax : number % 3;
    }
    return 0;
}

std::vector<Member> golden_members(const Golden &golden) {
    std::vector<Member> result;
    for (std::uint16_t number = 0; number < golden.member_count; ++number) {
        result.push_back(member(number, weight_of(number, golden.weights)));
    }
    return result;
}

constexpr Golden kGolden[] = {
    {Algorithm::kRendezvous, 1, Weights::kEqual, 65537, 0xb296265ff109d1fc},
    {Algorithm::kRendezvous, 2, Weights::kMixed, 65537, 0xc38449fe713c0b76},
    {Algorithm::kRendezvous, 10, Weights::kEqual, 65537, 0x1172e2bb42d2810f},
    {Algorithm::kRendezvous, 10, Weights::kExtreme, 65537, 0x86d139a7583598a5},
    {Algorithm::kRendezvous, 100, Weights::kEqual, 65537, 0x3a7838241847a44e},
    {Algorithm::kRendezvous, 100, Weights::kMixed, 65537, 0x8c22e2c3a6166de3},
    {Algorithm::kRendezvous, 100, Weights::kExtreme, 65537, 0x81a129f0b72f2435},
    {Algorithm::kRendezvous, 655, Weights::kMixed, 65537, 0xe1a1f5e2f06d98cb},
    {Algorithm::kRendezvous, 1000, Weights::kEqual, 100003, 0x8823be9fca471a09},
    {Algorithm::kRendezvous, 1000, Weights::kMixed, 100003, 0x4a64f10195bd099b},
    {Algorithm::kRendezvous, 37, Weights::kMixed, 1009, 0x9e55d933bb08638b},
    {Algorithm::kRendezvous, 200, Weights::kEqual, 101, 0x39d1ea4495e9f5a8},
    {Algorithm::kMaglev, 1, Weights::kEqual, 65537, 0xb296265ff109d1fc},
    {Algorithm::kMaglev, 2, Weights::kMixed, 65537, 0xc38449fe713c0b76},
    {Algorithm::kMaglev, 10, Weights::kEqual, 65537, 0x3fccf38d5c122727},
    {Algorithm::kMaglev, 10, Weights::kExtreme, 65537, 0x0b6e8cd1878d9ec4},
    {Algorithm::kMaglev, 100, Weights::kEqual, 65537, 0xeed5756ceba83c6c},
    {Algorithm::kMaglev, 100, Weights::kMixed, 65537, 0x0aa2cdcbd10824ca},
    {Algorithm::kMaglev, 100, Weights::kExtreme, 65537, 0x9a7e9bedb4e2b19c},
    {Algorithm::kMaglev, 655, Weights::kMixed, 65537, 0x42018e7751615392},
    {Algorithm::kMaglev, 1000, Weights::kEqual, 100003, 0x7762089817a48307},
    {Algorithm::kMaglev, 1000, Weights::kMixed, 100003, 0x00253084511a9031},
    {Algorithm::kMaglev, 37, Weights::kMixed, 1009, 0x6728f8f954b7df35},
    {Algorithm::kMaglev, 200, Weights::kEqual, 101, 0xfbf1d03ee04d40ea},
};

class GoldenDigest : public testing::TestWithParam<Golden> {};

TEST_P(GoldenDigest, IsTheSameInEveryBuild) {
    const Golden &golden = GetParam();
    const std::vector<Member> set = golden_members(golden);
    const Rows rows = build(golden.algorithm, set, golden.row_count, kSeed);
    EXPECT_EQ(digest_rows(rows, set), golden.digest) << std::hex << "0x" << digest_rows(rows, set);
}

TEST(GoldenDigestOfABuilder, IsReachedThroughOneBackendMore) {
    int reached = 0;
    for (const Golden &golden : kGolden) {
        const std::vector<Member> set = golden_members(golden);
        if (row_count(set.size()) != golden.row_count) continue; // a builder chooses the row count itself
        TableBuilder builder(golden.algorithm, kSeed);
        static_cast<void>(builder.build(std::span(set).first(set.size() - 1)));
        EXPECT_EQ(digest_rows(builder.build(set), set), golden.digest) << to_string(golden.algorithm) << set.size();
        ++reached;
    }
    EXPECT_GE(reached, 16);
}

/// Sets of a service: 40 to 59 backends, with weights that change, by two algorithms and two row counts.
SetHistory golden_list() {
    SetHistory list;
    for (std::uint16_t i = 0; i < 16; ++i) {
        std::vector<Member> set = members(static_cast<std::uint16_t>(40 + i * 7 % 20));
        set[i].weight = i;
        list = list.with(backend_set(i % 8 == 3 ? Algorithm::kMaglev : Algorithm::kRendezvous, i % 10 == 5 ? 100003 : 65537, set));
    }
    return list;
}

TEST(GoldenDigestOfAlternates, IsTheSameInEveryBuild) {
    const SetHistory list = golden_list();
    const std::vector<Member> living = members(50); // ten that have been there are gone
    const Rows rows = build(Algorithm::kRendezvous, living, 65537, kSeed);
    const Alternates alternates = RowHistory::rebuild(list, 65537, kSeed).alternates(rows, living);
    EXPECT_EQ(digest_rows(alternates, living), 0x36c6d49b37bdf8cfu) << std::hex << "0x" << digest_rows(alternates, living);
    EXPECT_EQ(list.digest(), 0x7ae14172175c4bbbu) << std::hex << "0x" << list.digest();
}

std::string golden_name(const testing::TestParamInfo<Golden> &param) {
    constexpr std::string_view kWeightNames[] = {"Equal", "Mixed", "Extreme"};
    return std::string(to_string(param.param.algorithm)) + std::to_string(param.param.member_count) +
           std::string(kWeightNames[static_cast<std::size_t>(param.param.weights)]) + "In" +
           std::to_string(param.param.row_count);
}

INSTANTIATE_TEST_SUITE_P(Tables, GoldenDigest, testing::ValuesIn(kGolden), golden_name);

} // namespace
} // namespace fairlead::tables
