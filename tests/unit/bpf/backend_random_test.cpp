// SPDX-License-Identifier: Apache-2.0
/// The backend's program against its oracle, on frames near the sound ones.
#include <cstring>
#include <random>

#include "tests/unit/bpf/backend_oracle.hpp"
#include "tests/unit/bpf/own_network_fixture.hpp"

namespace fairlead::bpf::test {
namespace {

/// Frames near the sound ones: a few bytes changed, mostly in the headers, sometimes cut or made longer.
class FrameMutator {
  public:
    explicit FrameMutator(std::uint32_t seed) : random_(seed) {}

    Bytes next() {
        if (below(20) == 0) return noise();
        const auto packet = below(2) ? datagram() : segment();
        auto outer = below(4) ? kOuterGue : kOuterIpip;
        outer.dscp_ecn = static_cast<std::uint8_t>(below(256));
        outer.option_words = below(4) ? 0 : below(11);
        if (below(16) == 0) outer.source = kStranger;
        outer.ttl = static_cast<std::uint8_t>(below(5) ? 64 : below(3));
        auto frame = outer.protocol == wire::kIpProtocolUdp ? gue_frame(message(packet), outer) : ipip_frame(packet, outer);
        damage(frame);
        return frame;
    }

  private:
    std::uint32_t below(std::uint32_t bound) { return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(random_); }

    Bytes datagram() {
        Ipv4Fields inner{.source = kClient, .destination = below(8) ? kVip : kOtherAddress, .protocol = wire::kIpProtocolUdp};
        inner.dscp_ecn = static_cast<std::uint8_t>(below(256));
        inner.option_words = below(4) ? 0 : below(11);
        return ipv4(inner, udp(5353, 80, pattern(below(80))));
    }

    Bytes segment() {
        Segment tcp{.source = kClient, .destination = kVip, .source_port = 40'000, .destination_port = 80};
        tcp.flags = static_cast<std::uint8_t>(below(4) ? +wire::kTcpAck : below(64));
        tcp.payload_size = below(80);
        auto packet = tcp_packet(tcp);
        packet[1] = static_cast<std::uint8_t>(below(256)); // ECN
        renew_checksum(packet);
        return packet;
    }

    Bytes message(const Bytes &packet) {
        if (below(3) == 0) return gue(packet, below(2) ? 0 : below(32));
        const wire::Be32 known[] = {kNeighbour, kNeighbour, kDistant, kSilentNeighbour, kByOtherDevice, kUnreachable, kBackend};
        std::vector<wire::Be32> hops(below(5));
        for (auto &hop : hops) hop = known[below(std::size(known))];
        return gue_with_hops(packet, hops, static_cast<std::uint8_t>(below(static_cast<std::uint32_t>(hops.size()) + 1)));
    }

    Bytes noise() {
        Bytes frame(14 + below(200));
        std::ranges::generate(frame, [this] { return static_cast<std::uint8_t>(below(256)); });
        return frame;
    }

    void damage(Bytes &frame) {
        for (auto changes = below(4); changes > 0; --changes)
            frame[12 + below(static_cast<std::uint32_t>(std::min<std::size_t>(frame.size() - 12, 90)))] =
                static_cast<std::uint8_t>(below(256));
        if (below(2) && (frame[14] & 0x0f) >= 5 && frame.size() >= 14U + (frame[14] & 0x0fU) * 4)
            renew_checksum(std::span(frame).subspan(14)); // so that later checks are reached
        if (below(6) == 0) frame.resize(14 + below(static_cast<std::uint32_t>(frame.size() - 14)));
        else if (below(6) == 0) frame.resize(frame.size() + below(40), 0x5a);
    }

    std::mt19937 random_;
};

/// The routes of own_network.cpp.
std::optional<Bytes> way_to(std::uint32_t hop) {
    std::uint8_t byte[4];
    std::memcpy(byte, &hop, 4);
    const auto is_in = [&byte](unsigned a, unsigned b, unsigned c) { return byte[0] == a && byte[1] == b && byte[2] == c; };
    const bool is_own = hop == kOwnAddress.raw || (is_in(10, 30, 0) && byte[3] == 1);
    if (is_own || byte[3] == 255) return std::nullopt;
    if (hop == kNeighbour.raw) return kNeighbourMac;
    if (is_in(203, 0, 113) || is_in(10, 40, 0) || (is_in(10, 20, 0) && byte[3] == 1)) return kGatewayMac;
    if (is_in(10, 20, 0) || is_in(10, 30, 0)) return Bytes{};
    return std::nullopt;
}

TEST_F(BackendOnItsNetwork, AgreesWithTheOracleOnFortyThousandFrames) {
    constexpr std::size_t kFrameCount = 40'000;
    FrameMutator mutator(20'260);
    const BackendOracle oracle{{kBalancer.raw}, {kVip.raw}, kGuePort, kOwnMac, way_to};
    std::vector<std::uint64_t> wanted(wire::kBackendOutcomeCount);
    for (std::size_t i = 0; i < kFrameCount; ++i) {
        const auto frame = mutator.next();
        auto expected = oracle.judge(frame);
        ++wanted[expected.outcome];
        const auto result = object_->run(frame, interface_);
        ASSERT_EQ(result.error, 0);
        ASSERT_EQ(result.verdict, verdict_of(expected.outcome))
            << "frame " << i << ": " << wire::kBackendOutcomes[expected.outcome].name;
        if (result.verdict == XDP_DROP) continue;
        if (expected.is_checksum_free) write16(expected.frame, 24, read16(result.frame, 24));
        ASSERT_EQ(result.frame, expected.frame) << "frame " << i;
    }
    EXPECT_EQ(counts(), wanted);
    using enum wire::BackendOutcome;
    const BackendOutcome need_a_connection[] = {kBackend_delivered_connection, kBackend_delivered_request,
                                                kBackend_delivered_time_wait, kBackend_delivered_cookie};
    const BackendOutcome need_another_network[] = {kBackend_next_hop_too_big, kBackend_forwarding_off};
    for (std::uint32_t outcome = 0; outcome < wire::kBackendOutcomeCount; ++outcome) {
        if (std::ranges::count(need_a_connection, outcome) + std::ranges::count(need_another_network, outcome) > 0) continue;
        EXPECT_GT(wanted[outcome], kFrameCount / 400) << "hardly tried: " << wire::kBackendOutcomes[outcome].name;
    }
}

} // namespace
} // namespace fairlead::bpf::test
