// SPDX-License-Identifier: Apache-2.0
/// The backend's program in the real kernel, its settings, and frames for it.
#pragma once

#include <gtest/gtest.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "bpf/backend.hpp"
#include "bpf/backend.skel.h"
#include "tests/unit/bpf/loaded_object.hpp"

namespace fairlead::bpf::test {

using wire::BackendOutcome;

inline constexpr std::uint16_t kGuePort = wire::kGueDefaultPort;
inline const wire::Be32 kBalancer = address("10.20.0.11");
inline const wire::Be32 kStranger = address("10.20.0.12");
inline const wire::Be32 kBackend = address("10.20.0.31");

inline const Ipv4Fields kOuterGue = {.source = kBalancer, .destination = kBackend, .protocol = wire::kIpProtocolUdp};
inline const Ipv4Fields kOuterIpip = {.source = kBalancer, .destination = kBackend, .protocol = wire::kIpProtocolIpip};

inline Bytes inner_packet(std::size_t payload_size = 100) {
    return ipv4({.source = kClient, .destination = kVip, .protocol = wire::kIpProtocolUdp},
                udp(5353, 80, pattern(payload_size)));
}

inline Bytes gue_frame(const Bytes &message, Ipv4Fields outer = kOuterGue) {
    return ethernet(ipv4(outer, udp(54321, kGuePort, message)));
}

inline Bytes ipip_frame(const Bytes &inner, Ipv4Fields outer = kOuterIpip) { return ethernet(ipv4(outer, inner)); }

/// A change to a sound frame at some offset of the outer IPv4 header, its checksum made right again.
inline Bytes with_outer(Bytes frame, std::size_t offset, std::uint8_t value) {
    frame[14 + offset] = value;
    if ((frame[14] & 0x0f) >= 5) renew_checksum(std::span(frame).subspan(14));
    return frame;
}

inline Bytes with_byte(Bytes frame, std::size_t offset, std::uint8_t value) {
    frame[offset] = value;
    return frame;
}

inline Bytes cut(Bytes frame, std::size_t size) {
    frame.resize(size);
    return frame;
}

/// What the kernel is to do with a packet of this outcome.
inline std::uint32_t verdict_of(BackendOutcome outcome) {
    switch (outcome) {
    case BackendOutcome::kBackend_passed:
    case BackendOutcome::kBackend_delivered:
    case BackendOutcome::kBackend_delivered_syn:
    case BackendOutcome::kBackend_delivered_connection:
    case BackendOutcome::kBackend_delivered_request:
    case BackendOutcome::kBackend_delivered_time_wait:
    case BackendOutcome::kBackend_delivered_cookie:
    case BackendOutcome::kBackend_delivered_last:
    case BackendOutcome::kBackend_next_hop_kernel: return XDP_PASS;
    case BackendOutcome::kBackend_next_hop: return XDP_TX;
    default: return XDP_DROP;
    }
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
        configure(kGuePort);
    }

    void configure(std::uint16_t gue_port, wire::SecondChance second_chance = wire::kSecondChanceXdp) {
        const wire::u32 only = 0;
        const wire::BackendConfig config{
            .gue_port = wire::Be16::from_host(gue_port), .second_chance = second_chance, .raised_forwarding = 0};
        ASSERT_EQ(bpf_map_update_elem(object_->map(FAIRLEAD_BACKEND_CONFIG), &only, &config, BPF_ANY), 0);
    }

    [[nodiscard]] std::vector<std::uint64_t> counts() const {
        return read_outcomes(object_->map(FAIRLEAD_BACKEND_OUTCOMES_MAP), wire::kBackendOutcomeCount).value();
    }

    /// Runs the frame, and holds the verdict against the one counter that went up by one.
    RunResult run_expecting(const Bytes &frame, BackendOutcome outcome) {
        auto wanted = counts();
        ++wanted[outcome];
        const auto result = object_->run(frame, interface_);
        EXPECT_EQ(result.error, 0);
        EXPECT_EQ(counts(), wanted) << "expected " << wire::kBackendOutcomes[outcome].name;
        EXPECT_EQ(result.verdict, verdict_of(outcome));
        return result;
    }

    std::unique_ptr<LoadedObject> object_;
    unsigned interface_ = 0; ///< by which frames come in; 0: the loopback device
};

} // namespace fairlead::bpf::test
