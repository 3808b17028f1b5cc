// SPDX-License-Identifier: Apache-2.0
/// Decapsulation, run by the real kernel on single frames.
#include "tests/unit/bpf/backend_fixture.hpp"

namespace fairlead::bpf::test {
namespace {

TEST_F(BackendProgram, DeliversTheInnerPacketOfGueByteForByte) {
    const auto inner = inner_packet();
    const auto result = run_expecting(gue_frame(gue(inner)), BackendOutcome::kBackend_delivered);
    EXPECT_EQ(result.frame, ethernet(inner));
}

TEST_F(BackendProgram, DeliversTheInnerPacketOfIpipByteForByte) {
    const auto inner = inner_packet();
    const auto result = run_expecting(ipip_frame(inner), BackendOutcome::kBackend_delivered);
    EXPECT_EQ(result.frame, ethernet(inner));
}

TEST_F(BackendProgram, SkipsPrivateDataOfEveryLength) {
    const auto inner = inner_packet();
    for (std::size_t words = 0; words <= wire::kGueHlenMask; ++words) {
        const auto result = run_expecting(gue_frame(gue(inner, words)), BackendOutcome::kBackend_delivered);
        EXPECT_EQ(result.frame, ethernet(inner)) << words << " words";
    }
}

TEST_F(BackendProgram, SkipsOptionsOfTheOuterHeader) {
    const auto inner = inner_packet();
    for (std::size_t words = 0; words <= 10; ++words) {
        auto outer = kOuterGue;
        outer.option_words = words;
        EXPECT_EQ(run_expecting(gue_frame(gue(inner, 31), outer), BackendOutcome::kBackend_delivered).frame, ethernet(inner));
        outer.protocol = wire::kIpProtocolIpip;
        EXPECT_EQ(run_expecting(ipip_frame(inner, outer), BackendOutcome::kBackend_delivered).frame, ethernet(inner));
    }
}

TEST_F(BackendProgram, DeliversTheSmallestInnerPacketFromAPaddedFrame) {
    const auto inner = ipv4({.source = kClient, .destination = kVip, .protocol = wire::kIpProtocolTcp}, {});
    auto padded = ipip_frame(inner);
    ASSERT_LT(padded.size(), 60U);
    padded.resize(60, 0xee);
    const auto result = run_expecting(padded, BackendOutcome::kBackend_delivered);
    EXPECT_TRUE(std::ranges::equal(ethernet(inner), std::span(result.frame).first(14 + inner.size())));
}

TEST_F(BackendProgram, DeliversAJumboPacketThatLiesInSeveralBuffers) {
    const auto inner = inner_packet(8'900);
    EXPECT_EQ(run_expecting(gue_frame(gue(inner)), BackendOutcome::kBackend_delivered).frame, ethernet(inner));
}

TEST_F(BackendProgram, FollowsTheConfiguredGuePort) {
    const auto inner = inner_packet();
    const auto glb_frame = ethernet(ipv4(kOuterGue, udp(54321, 19523, gue(inner))));
    EXPECT_EQ(run_expecting(glb_frame, BackendOutcome::kBackend_passed).frame, glb_frame);
    configure(19523);
    EXPECT_EQ(run_expecting(glb_frame, BackendOutcome::kBackend_delivered).frame, ethernet(inner));
    run_expecting(gue_frame(gue(inner)), BackendOutcome::kBackend_passed);
}

TEST_F(BackendProgram, RefusesStrangersWhateverTheySend) {
    auto outer = kOuterGue;
    outer.source = kStranger;
    run_expecting(gue_frame(gue(inner_packet()), outer), BackendOutcome::kBackend_balancer_not_allowed);
    run_expecting(gue_frame(pattern(40), outer), BackendOutcome::kBackend_balancer_not_allowed);
    outer.protocol = wire::kIpProtocolIpip;
    run_expecting(ipip_frame(inner_packet(), outer), BackendOutcome::kBackend_balancer_not_allowed);
}

TEST_F(BackendProgram, RefusesInnerPacketsToOtherAddresses) {
    const auto inner =
        ipv4({.source = kClient, .destination = kOtherAddress, .protocol = wire::kIpProtocolTcp}, pattern(40));
    run_expecting(gue_frame(gue(inner)), BackendOutcome::kBackend_vip_not_allowed);
    run_expecting(ipip_frame(inner), BackendOutcome::kBackend_vip_not_allowed);
}

TEST_F(BackendProgram, RefusesOuterHeadersThatLie) {
    const auto sound = gue_frame(gue(inner_packet()));
    const auto sound_ipip = ipip_frame(inner_packet());
    const auto bad = BackendOutcome::kBackend_outer_bad;
    run_expecting(with_byte(sound, 14 + 10, sound[14 + 10] ^ 1), bad);      // checksum
    run_expecting(with_outer(sound, 0, 0x55), bad);                         // version 5
    run_expecting(with_outer(sound_ipip, 0, 0x44), bad);                    // header of 16 bytes
    run_expecting(with_outer(with_outer(sound, 2, 0), 3, 19), bad);         // total length 19
    run_expecting(with_outer(sound, 6, 0x20), bad);                         // first fragment
    run_expecting(with_outer(sound_ipip, 6, 0x20), bad);
    run_expecting(with_outer(sound_ipip, 7, 0x05), bad);                    // a later fragment
    run_expecting(with_byte(sound, 14 + 20 + 5, 7), bad);                   // UDP length 7
    run_expecting(with_byte(sound, 14 + 20 + 4, 0x10), bad);                // UDP length past the packet
    run_expecting(with_outer(sound, 2, 0x10), BackendOutcome::kBackend_truncated); // total length past the frame
}

TEST_F(BackendProgram, RefusesGueThatItDoesNotUnderstand) {
    const auto inner = inner_packet();
    const auto bad = BackendOutcome::kBackend_gue_bad;
    run_expecting(gue_frame(inner), bad); // version 1: an IPv4 packet directly in UDP
    auto message = gue(inner);
    run_expecting(gue_frame(with_byte(message, 0, 0x20)), bad); // control
    run_expecting(gue_frame(with_byte(message, 0, 0x80)), bad); // version 2
    run_expecting(gue_frame(with_byte(message, 1, 41)), bad);   // IPv6 inside
    run_expecting(gue_frame(with_byte(message, 2, 0x80)), bad); // flags
    run_expecting(gue_frame(with_byte(message, 3, 0x01)), bad);
}

TEST_F(BackendProgram, RefusesMessagesThatEndWithinTheirHeaders) {
    const auto truncated = BackendOutcome::kBackend_truncated;
    run_expecting(gue_frame({}), truncated);
    run_expecting(gue_frame(Bytes(3)), truncated);
    run_expecting(gue_frame(with_byte(gue(inner_packet(0)), 0, 31)), truncated); // private data past the end
    run_expecting(gue_frame(cut(gue(inner_packet()), 4 + 19)), truncated);
    run_expecting(ipip_frame(cut(inner_packet(), 19)), truncated);
}

TEST_F(BackendProgram, RefusesInnerHeadersThatLie) {
    const auto inner = inner_packet();
    const auto bad = BackendOutcome::kBackend_inner_bad;
    run_expecting(gue_frame(gue(with_byte(inner, 0, 0x65))), bad); // version 6
    run_expecting(gue_frame(gue(with_byte(inner, 0, 0x44))), bad); // header of 16 bytes
    run_expecting(gue_frame(gue(with_byte(with_byte(inner, 2, 0), 3, 19))), bad);
    run_expecting(gue_frame(gue(with_byte(inner, 3, static_cast<std::uint8_t>(inner[3] + 1)))), bad); // past the end
    run_expecting(ipip_frame(with_byte(inner, 3, static_cast<std::uint8_t>(inner[3] + 1))), bad);
}

TEST_F(BackendProgram, PassesWhatIsNotForItUntouched) {
    const auto plain = inner_packet();
    auto later_fragment = kOuterGue;
    later_fragment.fragment = 100;
    auto multicast = gue_frame(gue(plain));
    multicast[0] |= 1;
    auto tagged = gue_frame(gue(plain));
    const Bytes tag = {0x81, 0x00, 0x00, 0x05};
    tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
    const Bytes frames[] = {
        ethernet(plain),                                                   // UDP to another port
        ethernet(ipv4({.source = kBalancer, .destination = kBackend, .protocol = wire::kIpProtocolTcp}, pattern(40))),
        ethernet(pattern(28), wire::kEtherTypeArp),
        ethernet(pattern(60), wire::kEtherTypeIpv6),
        tagged,
        gue_frame(gue(plain), later_fragment),                             // its port is not known
        multicast,
        ethernet({}),
    };
    for (const auto &frame : frames) EXPECT_EQ(run_expecting(frame, BackendOutcome::kBackend_passed).frame, frame);
}

TEST_F(BackendProgram, KeepsCongestionMarks) {
    for (std::uint8_t inner_ecn = 0; inner_ecn < 4; ++inner_ecn)
        for (std::uint8_t outer_ecn = 0; outer_ecn < 4; ++outer_ecn) {
            Ipv4Fields fields = {.source = kClient, .destination = kVip, .protocol = wire::kIpProtocolTcp};
            fields.dscp_ecn = 0xb8 | inner_ecn;
            auto outer = kOuterGue;
            outer.dscp_ecn = outer_ecn;
            const auto result = run_expecting(gue_frame(gue(ipv4(fields, pattern(40))), outer), BackendOutcome::kBackend_delivered);
            const bool is_marked = outer_ecn == 3 && inner_ecn != 0;
            if (is_marked) fields.dscp_ecn = 0xb8 | 3;
            EXPECT_EQ(result.frame, ethernet(ipv4(fields, pattern(40)))) << int{inner_ecn} << " in " << int{outer_ecn};
        }
}

TEST_F(BackendProgram, DeliversAFrameAtItsFullLengthOnly) {
    const Bytes frames[] = {gue_frame(gue(inner_packet())), gue_frame(gue(inner_packet(), 5)), ipip_frame(inner_packet())};
    for (const auto &frame : frames) {
        const bool is_gue = frame[14 + 9] == wire::kIpProtocolUdp;
        for (std::size_t length = 14; length < frame.size(); ++length) {
            const bool is_recognised = length >= 14U + 20 + (is_gue ? 8 : 0);
            const auto outcome = is_recognised ? BackendOutcome::kBackend_truncated : BackendOutcome::kBackend_passed;
            run_expecting(cut(frame, length), outcome);
        }
        run_expecting(frame, BackendOutcome::kBackend_delivered);
        for (std::size_t length = 0; length < 14; ++length) // no frame: the kernel runs no program on it
            EXPECT_EQ(object_->run(cut(frame, length)).error, EINVAL);
    }
}

} // namespace
} // namespace fairlead::bpf::test
