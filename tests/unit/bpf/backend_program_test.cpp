// SPDX-License-Identifier: Apache-2.0
/// The decapsulation program, run by the real kernel on single frames.
#include <gtest/gtest.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>

#include "bpf/backend.hpp"
#include "bpf/backend.skel.h"
#include "tests/unit/bpf/backend_oracle.hpp"
#include "tests/unit/bpf/loaded_object.hpp"

namespace fairlead::bpf::testing {
namespace {

using wire::BackendOutcome;

constexpr std::uint16_t kGuePort = wire::kGueDefaultPort;
const wire::Be32 kBalancer = address("10.20.0.11");
const wire::Be32 kStranger = address("10.20.0.12");
const wire::Be32 kBackend = address("10.20.0.31");
const wire::Be32 kVip = address("198.51.100.10");
const wire::Be32 kOtherAddress = address("198.51.100.11");
const wire::Be32 kClient = address("203.0.113.5");

const Ipv4Fields kOuterGue = {.source = kBalancer, .destination = kBackend, .protocol = wire::kIpProtocolUdp};
const Ipv4Fields kOuterIpip = {.source = kBalancer, .destination = kBackend, .protocol = wire::kIpProtocolIpip};

Bytes inner_packet(std::size_t payload_size = 100) {
    return ipv4({.source = kClient, .destination = kVip, .protocol = wire::kIpProtocolUdp},
                udp(5353, 80, pattern(payload_size)));
}

Bytes gue_frame(const Bytes &message, Ipv4Fields outer = kOuterGue) {
    return ethernet(ipv4(outer, udp(54321, kGuePort, message)));
}

Bytes ipip_frame(const Bytes &inner, Ipv4Fields outer = kOuterIpip) { return ethernet(ipv4(outer, inner)); }

/// A change to a sound frame at some offset of the outer IPv4 header, its checksum made right again.
Bytes with_outer(Bytes frame, std::size_t offset, std::uint8_t value) {
    frame[14 + offset] = value;
    if ((frame[14] & 0x0f) >= 5) renew_checksum(std::span(frame).subspan(14));
    return frame;
}

Bytes with_byte(Bytes frame, std::size_t offset, std::uint8_t value) {
    frame[offset] = value;
    return frame;
}

Bytes cut(Bytes frame, std::size_t size) {
    frame.resize(size);
    return frame;
}

class BackendProgram : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const auto missing = missing_privilege()) GTEST_SKIP() << *missing;
        std::size_t size = 0;
        const void *elf = backend_bpf::elf_bytes(&size);
        object_ = std::make_unique<LoadedObject>(bpf_object__open_mem(elf, size, nullptr));
        ASSERT_TRUE(object_->is_loaded());
        ASSERT_EQ(object_->program_name(), FAIRLEAD_BACKEND_PROGRAM);
        ASSERT_TRUE(AddressSet(object_->map(FAIRLEAD_BACKEND_BALANCERS)).add(key_of(kBalancer)));
        ASSERT_TRUE(AddressSet(object_->map(FAIRLEAD_BACKEND_VIPS)).add(key_of(kVip)));
        set_gue_port(kGuePort);
    }

    void set_gue_port(std::uint16_t port) {
        const wire::u32 only = 0;
        const wire::BackendConfig config{.gue_port = wire::Be16::from_host(port), .second_chance = 1, .raised_forwarding = 0};
        ASSERT_EQ(bpf_map_update_elem(object_->map(FAIRLEAD_BACKEND_CONFIG), &only, &config, BPF_ANY), 0);
    }

    [[nodiscard]] std::vector<std::uint64_t> counts() const {
        return read_outcomes(object_->map(FAIRLEAD_BACKEND_OUTCOMES_MAP), wire::kBackendOutcomeCount).value();
    }

    /// Runs the frame, and holds the verdict against the one counter that went up by one.
    RunResult run_expecting(const Bytes &frame, BackendOutcome outcome) {
        auto wanted = counts();
        ++wanted[outcome];
        const auto result = object_->run(frame);
        EXPECT_EQ(result.error, 0);
        EXPECT_EQ(counts(), wanted) << "expected " << wire::kBackendOutcomes[outcome].name;
        const bool to_kernel = outcome == BackendOutcome::kBackend_delivered || outcome == BackendOutcome::kBackend_passed;
        EXPECT_EQ(result.verdict, to_kernel ? XDP_PASS : XDP_DROP);
        return result;
    }

    [[nodiscard]] BackendOracle oracle() const { return {{kBalancer.raw}, {kVip.raw}, kGuePort}; }

    std::unique_ptr<LoadedObject> object_;
};

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
    set_gue_port(19523);
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

/// Frames near the sound ones: a few bytes changed, mostly in the headers, sometimes cut or made longer.
class FrameMutator {
  public:
    explicit FrameMutator(std::uint32_t seed) : random_(seed) {}

    Bytes next() {
        if (below(20) == 0) return noise();
        Ipv4Fields inner{.source = kClient, .destination = below(8) ? kVip : kOtherAddress, .protocol = wire::kIpProtocolUdp};
        inner.dscp_ecn = static_cast<std::uint8_t>(below(256));
        inner.option_words = below(4) ? 0 : below(11);
        const auto packet = ipv4(inner, udp(5353, 80, pattern(below(80))));
        auto outer = below(2) ? kOuterGue : kOuterIpip;
        outer.dscp_ecn = static_cast<std::uint8_t>(below(256));
        outer.option_words = below(4) ? 0 : below(11);
        if (below(16) == 0) outer.source = kStranger;
        auto frame = outer.protocol == wire::kIpProtocolUdp ? gue_frame(gue(packet, below(3) ? 0 : below(32)), outer)
                                                            : ipip_frame(packet, outer);
        damage(frame);
        return frame;
    }

  private:
    std::uint32_t below(std::uint32_t bound) { return std::uniform_int_distribution<std::uint32_t>(0, bound - 1)(random_); }

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

TEST_F(BackendProgram, AgreesWithTheOracleOnTwentyThousandFrames) {
    constexpr std::size_t kFrameCount = 20'000;
    FrameMutator mutator(20'260);
    const auto judge = oracle();
    std::vector<std::uint64_t> wanted(wire::kBackendOutcomeCount);
    for (std::size_t i = 0; i < kFrameCount; ++i) {
        const auto frame = mutator.next();
        auto expected = judge.judge(frame);
        ++wanted[expected.outcome];
        const auto result = object_->run(frame);
        ASSERT_EQ(result.error, 0);
        ASSERT_EQ(result.verdict, expected.frame.empty() ? XDP_DROP : XDP_PASS)
            << "frame " << i << ": " << wire::kBackendOutcomes[expected.outcome].name;
        if (expected.frame.empty()) continue;
        if (expected.is_checksum_free) write16(expected.frame, 24, read16(result.frame, 24));
        ASSERT_EQ(result.frame, expected.frame) << "frame " << i;
    }
    EXPECT_EQ(counts(), wanted);
    for (std::size_t outcome = 0; outcome < wanted.size(); ++outcome)
        EXPECT_GT(wanted[outcome], kFrameCount / 200) << "hardly tried: " << wire::kBackendOutcomes[outcome].name;
}

} // namespace
} // namespace fairlead::bpf::testing
