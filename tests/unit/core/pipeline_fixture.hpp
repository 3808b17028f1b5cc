// SPDX-License-Identifier: Apache-2.0
// Packets made by hand, and a worker that they are sent through.
#pragma once

#include "dataplane/core/pipeline.hpp"

#include "tests/unit/core/snapshot_fixture.hpp"
#include "tests/unit/core/worker_fixture.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace fairlead::test {

using namespace fairlead::core;
using namespace fairlead::wire;

inline constexpr u32 kVip = 0xc633640a;
inline constexpr u32 kClient = 0x0a0a0001;
inline constexpr MacAddress kPortMac = {2, 0, 0, 0, 0, 1};
inline constexpr u64 kSecond = 1'000'000'000;

/// A frame with headroom; owns its bytes.
struct TestFrame {
    std::vector<u8> bytes;
    static constexpr std::size_t kHeadroom = 128;

    static TestFrame tcp(u32 source, u16 source_port, u8 flags, u16 payload = 0, u32 destination = kVip, u16 port = 80) {
        const u16 ip_length = static_cast<u16>(sizeof(Ipv4Header) + sizeof(TcpHeader) + payload);
        TestFrame f = ip(source, destination, kIpProtocolTcp, ip_length);
        auto *tcp = reinterpret_cast<TcpHeader *>(f.data() + 34);
        tcp->source_port = Be16::from_host(source_port);
        tcp->destination_port = Be16::from_host(port);
        tcp->data_offset = 0x50;
        tcp->flags = flags;
        return f;
    }
    static TestFrame udp(u32 source, u16 source_port, u16 payload, u32 destination = kVip, u16 port = 80) {
        const u16 ip_length = static_cast<u16>(sizeof(Ipv4Header) + sizeof(UdpHeader) + payload);
        TestFrame f = ip(source, destination, kIpProtocolUdp, ip_length);
        auto *udp = reinterpret_cast<UdpHeader *>(f.data() + 34);
        *udp = {Be16::from_host(source_port), Be16::from_host(port), Be16::from_host(static_cast<u16>(8 + payload)), {}};
        return f;
    }
    static TestFrame ip(u32 source, u32 destination, u8 protocol, u16 ip_length) {
        TestFrame f;
        f.bytes.assign(kHeadroom + sizeof(EthernetHeader) + ip_length, 0);
        for (std::size_t i = kHeadroom + 34; i < f.bytes.size(); ++i) f.bytes[i] = static_cast<u8>(i * 7);
        auto *ethernet = reinterpret_cast<EthernetHeader *>(f.data());
        ethernet->ether_type = Be16::from_host(kEtherTypeIpv4);
        auto *header = reinterpret_cast<Ipv4Header *>(ethernet + 1);
        header->version_ihl = 0x45;
        header->total_length = Be16::from_host(ip_length);
        header->ttl = 63;
        header->protocol = protocol;
        header->source = Be32::from_host(source);
        header->destination = Be32::from_host(destination);
        return f;
    }
    u8 *data() { return bytes.data() + kHeadroom; }
    Ipv4Header &header() { return *reinterpret_cast<Ipv4Header *>(data() + 14); }
    Frame frame() { return {data(), static_cast<u32>(bytes.size() - kHeadroom), kHeadroom}; }
};

inline u16 header_sum(const u8 *header) {
    u32 sum = 0;
    for (int i = 0; i < 20; i += 2) sum += static_cast<u32>(header[i] << 8 | header[i + 1]);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<u16>(sum);
}

class PipelineTest : public testing::Test {
  protected:
    Snapshot snapshot = Snapshot::with_backends(4);
    Generation::Built built = snapshot.build();
    Worker worker;
    u64 now_ns = 1000 * kSecond;

    /// A packet as it leaves, and what was decided.
    struct Sent : Frame {
        Verdict verdict;
        DropReason reason;
    };

    Sent send(TestFrame &packet) { return send_through(worker, built.generation.get(), packet); }
    Sent send_through(Worker &any, const Generation *generation, TestFrame &packet) const {
        Frame frame = packet.frame();
        any.pipeline.process(generation, {&frame, 1}, kPortMac, now_ns);
        const Decision decision = any.pipeline.decision(0);
        return {frame, decision.verdict, decision.reason};
    }
    Sent send(TestFrame &&packet) { kept = std::move(packet); return send(kept); }
    Decision decision() const { return worker.pipeline.decision(0); }
    /// Housekeeping as a worker does it, until the whole table has been looked through. Time stays where it is for packets.
    void sweep() {
        for (u64 at_ns = now_ns; at_ns < now_ns + 5 * kSecond; at_ns += kSecond / 1000) worker.pipeline.housekeep(built.generation.get(), at_ns);
    }
    DropReason dropped(TestFrame packet) {
        const Sent frame = send(packet);
        EXPECT_EQ(frame.verdict, Verdict::kDrop);
        return frame.reason;
    }
    void adopt() {
        ++snapshot.generation;
        snapshot.render();
        built = snapshot.build();
        ASSERT_TRUE(built.generation) << built.refusal;
    }
    TestFrame kept;
};

} // namespace fairlead::test
