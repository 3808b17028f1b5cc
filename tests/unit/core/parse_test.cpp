// SPDX-License-Identifier: Apache-2.0
// The common case's parser, in vectors, against the one for any frame, field by field; and the keys of a flow likewise.
#include "dataplane/core/parse.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

using namespace fairlead;
using namespace fairlead::core;

namespace {

/// A plain TCP packet with some payload.
std::vector<wire::u8> plain_frame(std::mt19937 &random) {
    std::vector<wire::u8> frame(54 + random() % 30);
    for (auto &byte : frame) byte = static_cast<wire::u8>(random());
    frame[12] = 0x08, frame[13] = 0x00;
    frame[14] = 0x45;
    const auto length = static_cast<wire::u16>(frame.size() - 14);
    frame[16] = static_cast<wire::u8>(length >> 8), frame[17] = static_cast<wire::u8>(length);
    frame[20] &= 0xc0, frame[21] = 0; // no fragment
    frame[23] = wire::kIpProtocolTcp;
    frame[46] = 0x50;
    return frame;
}

/// Exactly as long as they are: a sanitizer sees what is read behind them.
struct Compared {
    bool is_common, is_flow;
    Packet common{}, any{};
};

Compared compare(std::vector<wire::u8> &bytes) {
    const auto length = static_cast<wire::u32>(bytes.size());
    Compared c{};
    c.is_common = Ipv4::parse(bytes.data(), length, c.common);
    c.is_flow = Ipv4::parse_uncommon(bytes.data(), length, c.any).parsed == Parsed::kFlow;
    return c;
}

void expect_equal(const Compared &c) {
    EXPECT_EQ(std::memcmp(&c.common.flow, &c.any.flow, sizeof c.any.flow), 0);
    EXPECT_EQ(c.common.ip_length, c.any.ip_length);
    EXPECT_EQ(c.common.tcp_flags, c.any.tcp_flags);
    EXPECT_EQ(c.common.has_payload(), c.any.has_payload());
}

TEST(Parse, ThePlainestPacketsAreCommon) {
    std::mt19937 random(1);
    for (int n = 0; n < 10'000; ++n) {
        auto bytes = plain_frame(random);
        const Compared c = compare(bytes);
        ASSERT_TRUE(c.is_common && c.is_flow);
        expect_equal(c);
    }
}

TEST(Parse, WhatIsCommonIsAFlowAndReadAlike) {
    std::mt19937 random(2);
    int common = 0, others = 0;
    for (int n = 0; n < 500'000; ++n) {
        auto bytes = plain_frame(random);
        for (unsigned changes = 1 + random() % 3; changes > 0; --changes) bytes[12 + random() % (bytes.size() - 12)] = static_cast<wire::u8>(random());
        if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 1));
        bytes.shrink_to_fit();
        const Compared c = compare(bytes);
        ASSERT_TRUE(!c.is_common || c.is_flow) << "a frame that is no flow was taken for one";
        if (c.is_common) {
            expect_equal(c);
        } else if (c.is_flow) { // nothing that could be common is left to the slow way
            ASSERT_TRUE(bytes[14] != 0x45 || bytes[23] != wire::kIpProtocolTcp);
        }
        ++(c.is_common ? common : others);
    }
    EXPECT_GT(common, 50'000);
    EXPECT_GT(others, 50'000);
}

TEST(FlowKeys, VectorsAndPlainCodeAgree) {
    std::mt19937_64 random(3);
    for (int n = 0; n < 100'000; ++n) {
        const wire::u64 halves[] = {random(), random() & 0xff'ffff'ffff};
        wire::FlowBlock flow;
        std::memcpy(&flow, halves, sizeof flow);
        const FlowKeys keys = flow_keys(flow), expected = flow_keys_scalar(flow);
        ASSERT_EQ(keys.service, expected.service);
        ASSERT_EQ(keys.client, expected.client);
    }
}

} // namespace
