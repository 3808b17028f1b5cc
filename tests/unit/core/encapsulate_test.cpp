// SPDX-License-Identifier: Apache-2.0
// GUE headers written in vectors against the same written field by field, over all lengths and many backends: the
// checksum's carry depends on both.
#include "dataplane/core/checksum.hpp"
#include "dataplane/core/encapsulate.hpp"
#include "tests/unit/core/snapshot_fixture.hpp"

#include <gtest/gtest.h>

#include <random>

using namespace fairlead;
using namespace fairlead::core;

namespace {

constexpr MacAddress kMac = {2, 0x11, 0x22, 0x33, 0x44, 0x55};

/// The backend's outer headers with these addresses.
core::Generation::Built backend(wire::u32 source, wire::u32 address, wire::u8 dscp, wire::u8 forwarding) {
    auto snapshot = test::Snapshot::with_backends(1);
    snapshot.source = source;
    snapshot.dscp = dscp;
    snapshot.slots[0] = test::slot_entry(address, 0);
    snapshot.services[0].forwarding = forwarding;
    snapshot.render();
    return snapshot.build();
}

wire::Ipv4Header outer_ip(const wire::u8 *outer) {
    wire::Ipv4Header ip;
    std::memcpy(&ip, outer + sizeof(wire::EthernetHeader), sizeof ip);
    return ip;
}

TEST(Encapsulate, VectorsAndPlainCodeAgreeAndTheChecksumIsRight) {
    std::mt19937 random(1);
    int carried = 0;
    for (int n = 0; n < 300; ++n) {
        const auto built = backend(random(), random(), static_cast<wire::u8>(random() % 64), wire::kForwardingGue);
        ASSERT_TRUE(built.generation) << built.refusal;
        const Forwarding &forwarding = built.generation->forwarding(0);
        for (wire::u32 length = 20; length <= 9216; length += 1 + random() % 37) {
            const wire::u32 entropy = random();
            wire::u8 vectors[48]{}, plain[48]{};
            write_gue(vectors + 48, forwarding, static_cast<wire::u16>(length), entropy, OuterSource(kMac));
            write_gue_scalar(plain + 48, forwarding, static_cast<wire::u16>(length), entropy, kMac);
            ASSERT_EQ(std::memcmp(vectors + 2, plain + 2, kGueHeadersLength), 0) << length;
            const auto ip = outer_ip(vectors + 2);
            ASSERT_EQ(fold(word_sum(ip)), 0xffff) << length;
            ASSERT_EQ(ip.total_length.host(), length + 32);
            carried += forwarding.checksum + length > 0xffff;
        }
    }
    EXPECT_GT(carried, 1000) << "the carry was tested";
}

TEST(Encapsulate, IpipHeadersAreRight) {
    std::mt19937 random(2);
    for (int n = 0; n < 300; ++n) {
        const auto built = backend(random(), random(), 0, wire::kForwardingIpip);
        ASSERT_TRUE(built.generation) << built.refusal;
        wire::u8 bytes[128]{};
        const wire::u16 length = static_cast<wire::u16>(20 + random() % 30);
        wire::u8 *inner = bytes + 64;
        ASSERT_EQ(encapsulate(inner, built.generation->forwarding(0), length, random(), OuterSource(kMac)), kIpipHeadersLength);
        ASSERT_EQ(std::memcmp(inner - kIpipHeadersLength + 6, kMac.data(), kMac.size()), 0);
        const auto ip = outer_ip(inner - kIpipHeadersLength);
        ASSERT_EQ(fold(word_sum(ip)), 0xffff);
        ASSERT_EQ(ip.total_length.host(), length + 20);
    }
}

} // namespace
