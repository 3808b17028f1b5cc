// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/frame_template.hpp"
#include "tests/unit/pktgen/frames.hpp"

#include <gtest/gtest.h>

#include <random>

namespace fairlead::pktgen {
namespace {

using namespace test;

constexpr std::size_t kIp = sizeof(wire::EthernetHeader);
constexpr std::size_t kTransport = kIp + sizeof(wire::Ipv4Header);

/// Checks both checksums by the book; with UDP, that there is one.
void expect_right_checksums(const Bytes &frame, Protocol protocol) {
    const std::span<const wire::u8> bytes(frame);
    EXPECT_EQ(checksum(bytes.subspan(kIp, sizeof(wire::Ipv4Header))), 0);
    const auto ip = read<wire::Ipv4Header>(bytes, kIp);
    Bytes pseudo(bytes.begin() + kIp + 12, bytes.begin() + kIp + 20);
    const auto length = frame.size() - kTransport;
    pseudo.insert(pseudo.end(), {0, ip.protocol, static_cast<wire::u8>(length >> 8), static_cast<wire::u8>(length)});
    EXPECT_EQ(checksum(bytes.subspan(kTransport), static_cast<wire::u16>(~checksum(pseudo))), 0);
    if (protocol == Protocol::kUdp) {
        EXPECT_NE(read<wire::UdpHeader>(bytes, kTransport).checksum.host(), 0);
    }
}

TEST(FrameTemplate, ChecksumsAreThoseOfANaiveSum) {
    std::mt19937_64 random(1);
    for (const auto protocol : {Protocol::kTcp, Protocol::kUdp})
        for (const unsigned size : {64U, 65U, 76U, 77U, 80U, 594U, 1517U, 1518U, 9018U}) {
            if (!refuse_size(size, protocol).empty()) continue;
            const FrameTemplate frame(target(protocol), size);
            Bytes bytes(frame.length(), 0xee);
            for (int i = 0; i < 500; ++i) {
                const Stamp stamp{.time_ns = random() >> (random() % 64), .flow = static_cast<wire::u32>(random()), .sequence = static_cast<wire::u32>(random())};
                const Client client{.address = static_cast<wire::u32>(random()), .port = static_cast<wire::u16>(random())};
                frame.write(bytes.data(), client, stamp, random() % 2 == 0);
                expect_right_checksums(bytes, protocol);
            }
            ASSERT_FALSE(HasFailure()) << size;
        }
}

TEST(FrameTemplate, AUdpChecksumOfZeroIsSentAsItsOther) {
    // One of any 65,536 sequences in a row makes the sum 0xffff.
    const FrameTemplate frame(target(Protocol::kUdp), 64);
    Bytes bytes(frame.length());
    bool has_met = false;
    for (wire::u32 sequence = 0; sequence < 0x10000; ++sequence) {
        frame.write(bytes.data(), kClient, {.time_ns = 5, .flow = 6, .sequence = sequence}, false);
        const auto sum = read<wire::UdpHeader>(bytes, kTransport).checksum.host();
        ASSERT_NE(sum, 0);
        if (sum != 0xffff) continue;
        has_met = true;
        expect_right_checksums(bytes, Protocol::kUdp);
    }
    EXPECT_TRUE(has_met);
}

TEST(FrameTemplate, SizesCountTheCrc) {
    EXPECT_EQ(FrameTemplate(kTarget, 64).length(), 60);
    const auto frame = make_frame(Protocol::kTcp, 1518, {});
    EXPECT_EQ(frame.size(), 1514U);
    EXPECT_EQ(read<wire::Ipv4Header>(frame, kIp).total_length.host(), 1500);
}

TEST(FrameTemplate, AFlowsFirstTcpPacketIsASyn) {
    const auto first = read<wire::TcpHeader>(make_frame(Protocol::kTcp, 64, {}, true), kTransport);
    const auto later = read<wire::TcpHeader>(make_frame(Protocol::kTcp, 64, {}, false), kTransport);
    EXPECT_EQ(first.flags, wire::kTcpSyn);
    EXPECT_EQ(later.flags, wire::kTcpAck | wire::kTcpPsh);
    EXPECT_EQ(first.destination_port.host(), 80);
    EXPECT_EQ(first.source_port.host(), kClient.port);
    EXPECT_EQ(first.data_offset >> 4, 5);
}

TEST(FrameTemplate, SizesWithoutRoomForAStampAreRefused) {
    for (const unsigned size : {64U, 76U, 1518U, 9018U}) EXPECT_EQ(refuse_size(size, Protocol::kTcp), "") << size;
    for (const unsigned size : {0U, 63U, 65U, 75U, 9019U}) EXPECT_NE(refuse_size(size, Protocol::kTcp), "") << size;
    for (const unsigned size : {64U, 65U, 75U, 9018U}) EXPECT_EQ(refuse_size(size, Protocol::kUdp), "") << size;
}

} // namespace
} // namespace fairlead::pktgen
