// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/flow_hash.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

using namespace fairlead::wire;

namespace {

constexpr std::array<u8, 16> kSeed = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                      0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

FlowBlock flow(u32 source, u16 source_port) {
    return {Be32::from_host(source), Be32::from_host(0xc6336401), Be16::from_host(source_port),
            Be16::from_host(80), 6, {}};
}

TEST(FlowHash, KeyScheduleIsThatOfFips197) {
    // FIPS 197, appendix A.1.
    constexpr FlowHashKey key({0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c});
    const std::array<u8, 16> round1 = {0xa0, 0xfa, 0xfe, 0x17, 0x88, 0x54, 0x2c, 0xb1, 0x23, 0xa3, 0x39, 0x39, 0x2a, 0x6c, 0x76, 0x05};
    const std::array<u8, 16> round4 = {0xef, 0x44, 0xa5, 0x41, 0xa8, 0x52, 0x5b, 0x7f, 0xb6, 0x71, 0x25, 0x3b, 0xdb, 0x0b, 0xad, 0x00};
    EXPECT_EQ(key.round_key(1), round1);
    EXPECT_EQ(key.round_key(4), round4);
}

TEST(FlowHash, RoundIsThatOfFips197) {
    // FIPS 197, appendix B: the state after the first and second round of its cipher example.
    constexpr FlowHashKey key({0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c});
    const detail::AesBlock start = {0x19, 0x3d, 0xe3, 0xbe, 0xa0, 0xf4, 0xe2, 0x2b, 0x9a, 0xc6, 0x8d, 0x2a, 0xe9, 0xf8, 0x48, 0x08};
    const detail::AesBlock after = {0xa4, 0x9c, 0x7f, 0xf2, 0x68, 0x9f, 0x35, 0x2b, 0x6b, 0x5b, 0xea, 0x43, 0x02, 0x6a, 0x50, 0x49};
    EXPECT_EQ(detail::aes_round(start, key.round_key(1)), after);
}

TEST(FlowHash, InstructionsAgreeWithTheScalarDefinition) {
    std::mt19937_64 random(7);
    for (int i = 0; i < 20000; ++i) {
        std::array<u8, 16> seed;
        for (auto &byte : seed) byte = static_cast<u8>(random());
        FlowBlock block = flow(static_cast<u32>(random()), static_cast<u16>(random()));
        FlowHashKey key(seed);
        auto fast = std::bit_cast<std::array<u32, 4>>(flow_hash(key, block));
        auto slow = std::bit_cast<std::array<u32, 4>>(flow_hash_scalar(key, block));
        ASSERT_EQ(fast, slow);
    }
}

TEST(FlowHash, KnownAnswers) {
    const FlowHashKey key(kSeed);
    const FlowHash a = flow_hash(key, flow(0x0a0a0001, 40000));
    const FlowHash b = flow_hash(key, flow(0x0a0a0001, 40001));
    // From an implementation of FIPS 197 in Python, written for this.
    EXPECT_EQ(a.row, 0x29a7f1c4u);
    EXPECT_EQ(a.line, 0x8bfabda3u);
    EXPECT_EQ(a.entropy, 0x286c6787u);
    EXPECT_EQ(b.row, 0xdbbe41beu);
}

TEST(FlowHash, SpreadsNeighbouringFlowsEvenly) {
    // 2^20 consecutive flows into 1,024 rows: a chi-square of 1,023 degrees of freedom, 99.9999 % below 1,250.
    const FlowHashKey key(kSeed);
    std::vector<u32> rows(1024);
    for (u32 i = 0; i < 1u << 20; ++i)
        ++rows[reduce(flow_hash(key, flow(0x0a0a0000 + (i >> 14), static_cast<u16>(i & 0x3fff))).row, 1024)];
    double chi_square = 0;
    for (u32 count : rows) chi_square += (count - 1024.0) * (count - 1024.0) / 1024.0;
    EXPECT_LT(chi_square, 1250);
}

TEST(Reduce, StaysInRangeAtTheEdges) {
    EXPECT_EQ(reduce(0, 65537), 0u);
    EXPECT_EQ(reduce(0xffffffff, 65537), 65536u);
    EXPECT_EQ(reduce(0xffffffff, 1), 0u);
}

} // namespace
