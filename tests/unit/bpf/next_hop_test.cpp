// SPDX-License-Identifier: Apache-2.0
/// Sending on: what is rewritten, by which way, and what is refused.
#include "tests/unit/bpf/own_network_fixture.hpp"

namespace fairlead::bpf::test {
namespace {

using enum wire::BackendOutcome;

const Segment kUnknown = {.source = kClient,
                          .destination = kVip,
                          .source_port = 40'000,
                          .destination_port = 80,
                          .sequence = 1,
                          .acknowledgement = 2,
                          .flags = wire::kTcpAck,
                          .payload_size = 300};

/// The frame with these Ethernet addresses.
Bytes between(Bytes frame, const Bytes &destination, const Bytes &source) {
    std::ranges::copy(destination, frame.begin());
    std::ranges::copy(source, frame.begin() + 6);
    return frame;
}

class NextHop : public BackendOnItsNetwork {
  protected:
    /// From a balancer to `destination`, the connection unknown to everybody.
    static Bytes frame(wire::Be32 destination, const std::vector<wire::Be32> &hops, std::uint8_t next_hop,
                       std::uint8_t ttl = 64) {
        auto outer = kOuterGue;
        outer.destination = destination;
        outer.ttl = ttl;
        outer.dscp_ecn = 0xb9;
        return gue_frame(gue_with_hops(tcp_packet(kUnknown), hops, next_hop), outer);
    }
    /// From a balancer to us, with hops that were changed by hand.
    static Bytes with_hops_bytes(std::size_t offset, unsigned value, const std::vector<wire::Be32> &hops) {
        auto message = gue_with_hops(tcp_packet(kUnknown), hops);
        message[offset] = static_cast<std::uint8_t>(value);
        return gue_frame(message);
    }
};

TEST_F(NextHop, APacketOnItsWayIsTheBalancersButForWhatTheNextBackendNeeds) {
    const auto result = run_expecting(frame(kOwnAddress, {kNeighbour, kDistant}, 0), kBackend_next_hop);
    EXPECT_EQ(result.frame, between(frame(kNeighbour, {kNeighbour, kDistant}, 1, 63), kNeighbourMac, kOwnMac));
}

TEST_F(NextHop, EachBackendTakesTheHopThatIsNext) {
    const std::vector hops = {kSilentNeighbour, kNeighbour, kDistant};
    const auto second = run_expecting(frame(kOwnAddress, hops, 1), kBackend_next_hop);
    EXPECT_EQ(second.frame, between(frame(kNeighbour, hops, 2, 63), kNeighbourMac, kOwnMac));
    const auto third = run_expecting(frame(kOwnAddress, hops, 2), kBackend_next_hop);
    EXPECT_EQ(third.frame, between(frame(kDistant, hops, 3, 63), kGatewayMac, kOwnMac));
    const auto last = run_expecting(frame(kOwnAddress, hops, 3), kBackend_delivered_last);
    EXPECT_EQ(last.frame, ethernet(tcp_packet(kUnknown)));
}

TEST_F(NextHop, AHopThatIsThisHostIsSkipped) {
    const std::vector hops = {kOwnAddress, kNeighbour, kOwnAddress};
    const auto result = run_expecting(frame(kOwnAddress, hops, 0), kBackend_next_hop);
    EXPECT_EQ(result.frame, between(frame(kNeighbour, hops, 2, 63), kNeighbourMac, kOwnMac));
    run_expecting(frame(kOwnAddress, hops, 2), kBackend_delivered_last);
}

TEST_F(NextHop, TheOuterUdpChecksumIsGivenUp) {
    auto sent = frame(kOwnAddress, {kNeighbour}, 0);
    write16(sent, 14 + 20 + 6, 0x1234);
    const auto result = run_expecting(sent, kBackend_next_hop);
    EXPECT_EQ(result.frame, between(frame(kNeighbour, {kNeighbour}, 1, 63), kNeighbourMac, kOwnMac));
}

TEST_F(NextHop, OptionsOfTheOuterHeaderStay) {
    for (std::size_t words = 0; words <= 10; ++words) {
        auto outer = kOuterGue;
        outer.option_words = words;
        const auto inner = tcp_packet(kUnknown);
        const auto result = run_expecting(gue_frame(gue_with_hops(inner, {kNeighbour}), outer), kBackend_next_hop);
        outer.destination = kNeighbour;
        outer.ttl = 63;
        EXPECT_EQ(result.frame, between(gue_frame(gue_with_hops(inner, {kNeighbour}, 1), outer), kNeighbourMac, kOwnMac));
    }
}

TEST_F(NextHop, TheKernelSendsOnWhatNeedsANeighbourOrAnotherDevice) {
    for (const auto hop : {kSilentNeighbour, kByOtherDevice}) {
        const auto result = run_expecting(frame(kOwnAddress, {hop}, 0), kBackend_next_hop_kernel);
        EXPECT_EQ(result.frame, frame(hop, {hop}, 1)) << "the kernel lowers the TTL and sets the MAC addresses";
    }
}

TEST_F(NextHop, WhereTheDeviceLosesWhatXdpSendsTheKernelSendsEverything) {
    configure(kGuePort, wire::kSecondChanceKernel);
    const auto result = run_expecting(frame(kOwnAddress, {kNeighbour}, 0), kBackend_next_hop_kernel);
    EXPECT_EQ(result.frame, frame(kNeighbour, {kNeighbour}, 1));
}

TEST_F(NextHop, APacketThatCannotGoOnIsDroppedByName) {
    for (const auto hop : {kUnreachable, kNowhere, address("224.0.0.5"), address("127.0.0.1"), address("10.20.0.255")})
        run_expecting(frame(kOwnAddress, {hop}, 0), kBackend_next_hop_unreachable);
    for (const unsigned ttl : {0U, 1U}) run_expecting(frame(kOwnAddress, {kNeighbour}, 0, static_cast<std::uint8_t>(ttl)), kBackend_ttl_expired);
    run_expecting(frame(kOwnAddress, {kNeighbour}, 0, 2), kBackend_next_hop);

    auto large = kUnknown;
    large.payload_size = 600;
    const auto inner = tcp_packet(large);
    run_expecting(gue_frame(gue_with_hops(inner, {kByNarrowWay})), kBackend_next_hop_too_big);
    run_expecting(frame(kOwnAddress, {kByNarrowWay}, 0), kBackend_next_hop);

    set_ipv4("conf/v0/forwarding", "0");
    run_expecting(frame(kOwnAddress, {kNeighbour}, 0), kBackend_forwarding_off);
}

TEST_F(NextHop, MalformedHopsAreRefused) {
    const std::vector hops = {kNeighbour, kDistant};
    for (const unsigned next_hop : {3U, 4U, 255U}) run_expecting(with_hops_bytes(6, next_hop, hops), kBackend_hops_bad);
    for (const unsigned hop_count : {0U, 1U, 3U, 4U, 255U})
        run_expecting(with_hops_bytes(7, hop_count, hops), kBackend_hops_bad);
    run_expecting(gue_frame(gue_with_hops(tcp_packet(kUnknown), {kNeighbour, kDistant, kNeighbour, kDistant})),
                  kBackend_hops_bad); // consistent, and more than there may be
    const auto closer = with_hops_bytes(0, 2, hops); // hlen lets the packet begin within the hops
    run_expecting(closer, kBackend_inner_bad);
}

TEST_F(NextHop, HopsThatAreNotForUsAreSkipped) {
    const std::vector hops = {kNeighbour};
    run_expecting(with_hops_bytes(5, 1, hops), kBackend_delivered); // a type of another meaning
    run_expecting(with_hops_bytes(4, 1, hops), kBackend_delivered);
    run_expecting(gue_frame(gue_with_hops(inner_packet(), hops)), kBackend_delivered); // UDP inside

    const auto inner = tcp_packet(kUnknown);
    auto fragment = inner;
    write16(fragment, 6, 0x2000);
    renew_checksum(fragment);
    run_expecting(gue_frame(gue_with_hops(fragment, hops)), kBackend_delivered);
    write16(fragment, 6, 100);
    renew_checksum(fragment);
    run_expecting(gue_frame(gue_with_hops(fragment, hops)), kBackend_delivered);
    const auto headless = ipv4({.source = kClient, .destination = kVip, .protocol = wire::kIpProtocolTcp}, pattern(19));
    run_expecting(gue_frame(gue_with_hops(headless, hops)), kBackend_delivered);
}

TEST_F(NextHop, OtherPortsOfGueCarryHopsToo) {
    configure(19523);
    const auto message = gue_with_hops(tcp_packet(kUnknown), {kNeighbour});
    run_expecting(ethernet(ipv4(kOuterGue, udp(54321, 19523, message))), kBackend_next_hop);
    run_expecting(gue_frame(message), kBackend_passed);
}

} // namespace
} // namespace fairlead::bpf::test
