// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/stamp.hpp"
#include "tests/unit/pktgen/frames.hpp"

#include <gtest/gtest.h>

#include <random>

namespace fairlead::pktgen {
namespace {

using namespace test;

constexpr wire::u64 kNow_ns = 0x1234'5678'9abc'def0;
constexpr Stamp kStamp{.time_ns = kNow_ns - 250'000, .flow = 0x01020304, .sequence = 77};

/// Every kind of frame: with the short stamp, with the whole one at even and odd places, with no room to spare.
struct Kind {
    Protocol protocol;
    unsigned size;
};
class StampTest : public ::testing::TestWithParam<Kind> {
  protected:
    Bytes frame_ = make_frame(GetParam().protocol, GetParam().size, kStamp);
};

void expect_stamp(const Bytes &frame, wire::u32 destination) {
    const auto returned = read_stamp(frame, kNow_ns);
    ASSERT_TRUE(returned);
    EXPECT_EQ(returned->stamp, kStamp);
    EXPECT_EQ(returned->destination.address, destination);
    EXPECT_EQ(returned->destination.mac, 0x020000000001U);
}

TEST_P(StampTest, IsReadAsItWasSent) { expect_stamp(frame_, kTarget.vip); }

TEST_P(StampTest, IsReadThroughEncapsulation) {
    const Bytes gue{0xc0, 0x01, 0x17, 0xc0, 0, 0, 0, 0, 0, 4, 0, 0};
    const Bytes gue_with_hops{0xc0, 0x01, 0x17, 0xc0, 0, 0, 0, 0, 2, 4, 0, 0, 0, 0, 0, 1, 10, 20, 0, 32};
    const Bytes gre{0, 0, 8, 0};
    const Bytes vxlan{0xc0, 0x01, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 1, 0};
    expect_stamp(encapsulate(frame_, wire::kIpProtocolIpip, {}), kBackend);
    expect_stamp(encapsulate(frame_, wire::kIpProtocolUdp, gue), kBackend);
    expect_stamp(encapsulate(frame_, wire::kIpProtocolUdp, gue_with_hops), kBackend);
    expect_stamp(encapsulate(frame_, 47, gre), kBackend);
    expect_stamp(encapsulate(frame_, wire::kIpProtocolUdp, vxlan, true), kBackend);
}

TEST_P(StampTest, IsReadBeforePaddingAndBehindVlanTags) {
    Bytes padded = frame_;
    padded.insert(padded.end(), 9, 0x55);
    expect_stamp(padded, kTarget.vip);
    Bytes tagged = frame_;
    const Bytes tags{0x88, 0xa8, 0, 5, 0x81, 0, 0, 7};
    tagged.insert(tagged.begin() + 12, tags.begin(), tags.end());
    expect_stamp(tagged, kTarget.vip);
}

TEST_P(StampTest, SurvivesAnotherAddressAndPort) {
    Bytes translated = frame_;
    const auto backend = wire::Be32::from_host(kBackend);
    std::memcpy(translated.data() + 30, &backend, sizeof(backend));
    translated[36] ^= 0xff; // the destination port
    expect_stamp(translated, kBackend);
}

TEST_P(StampTest, IsNotReadFromACutOrForeignFrame) {
    for (std::size_t size = 0; size < frame_.size(); ++size)
        EXPECT_FALSE(read_stamp(std::span(frame_).first(size), kNow_ns)) << size;
    Bytes foreign = frame_;
    foreign[12] = 0x86, foreign[13] = 0xdd;
    EXPECT_FALSE(read_stamp(foreign, kNow_ns)) << "IPv6";
    Bytes fragment = frame_;
    fragment[20] |= 0x20;
    EXPECT_FALSE(read_stamp(fragment, kNow_ns)) << "more fragments follow";
    Bytes unstamped = frame_;
    unstamped.back() ^= 1;
    EXPECT_FALSE(read_stamp(unstamped, kNow_ns)) << "another magic number";
}

INSTANTIATE_TEST_SUITE_P(Frames, StampTest,
                         ::testing::Values(Kind{Protocol::kTcp, 64}, Kind{Protocol::kTcp, 76}, Kind{Protocol::kTcp, 77},
                                           Kind{Protocol::kTcp, 1518}, Kind{Protocol::kUdp, 64}, Kind{Protocol::kUdp, 65},
                                           Kind{Protocol::kUdp, 1518}),
                         [](const auto &kind) {
                             return (kind.param.protocol == Protocol::kTcp ? "Tcp" : "Udp") + std::to_string(kind.param.size);
                         });

TEST(Stamp, OfAShortFrameHasItsWholeTimeAcrossAWrapOfTheLowHalf) {
    const Stamp sent{.time_ns = 0x5'ffff'fff0, .flow = 1, .sequence = 2};
    const auto returned = read_stamp(make_frame(Protocol::kTcp, 64, sent), 0x6'0000'0010);
    ASSERT_TRUE(returned);
    EXPECT_EQ(returned->stamp, sent);
}

TEST(Stamp, RandomBytesAreReadWithinTheirBounds) {
    std::mt19937 random(1);
    for (int i = 0; i < 200'000; ++i) {
        Bytes frame(random() % 100);
        for (auto &byte : frame) byte = static_cast<wire::u8>(random());
        if (frame.size() > 17) frame[12] = 8, frame[13] = 0, frame[14] = 0x45, frame[16] = 0;
        if (frame.size() > 40) frame[frame.size() - 2] = 0x51, frame[frame.size() - 1] = 0xa7;
        (void)read_stamp(Bytes(frame), kNow_ns); // the address sanitizer watches
    }
}

} // namespace
} // namespace fairlead::pktgen
