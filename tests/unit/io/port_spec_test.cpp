// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/port_spec.hpp"

#include <gtest/gtest.h>

namespace fairlead::io {
namespace {

TEST(PortSpec, NamesWhatItIs) {
    EXPECT_EQ(parse_port_spec("null")->kind, PortKind::kNull);
    const auto af_xdp = parse_port_spec("af_xdp:eth0");
    ASSERT_TRUE(af_xdp) << af_xdp.error();
    EXPECT_EQ(af_xdp->kind, PortKind::kAfXdp);
    EXPECT_EQ(af_xdp->name, "eth0");
    const auto ring = parse_port_spec("ring:loop");
    ASSERT_TRUE(ring) << ring.error();
    EXPECT_EQ(ring->kind, PortKind::kRing);
    EXPECT_EQ(ring->name, "loop");
}

TEST(PortSpec, TakesCapturesInAnyOrderAndAlone) {
    for (const char *text : {"pcap:rx=in.pcap,tx=out.pcap", "pcap:tx=out.pcap,rx=in.pcap"}) {
        const auto both = parse_port_spec(text);
        ASSERT_TRUE(both) << both.error();
        EXPECT_EQ(both->rx_file, "in.pcap");
        EXPECT_EQ(both->tx_file, "out.pcap");
    }
    const auto one = parse_port_spec("pcap:rx=in.pcap");
    ASSERT_TRUE(one) << one.error();
    EXPECT_TRUE(one->tx_file.empty());
}

TEST(PortSpec, TakesPciAddressesWithAndWithoutDomain) {
    for (const char *text : {"pci:0000:03:00.0", "0000:03:00.0", "03:00.0", "pci:03:00.0"}) {
        const auto spec = parse_port_spec(text);
        ASSERT_TRUE(spec) << spec.error();
        EXPECT_EQ(spec->kind, PortKind::kPci);
        EXPECT_EQ(spec->name, "0000:03:00.0") << text;
    }
    EXPECT_EQ(parse_port_spec("0000:AF:00.1")->name, "0000:af:00.1");
    EXPECT_EQ(parse_port_spec("pci:03:00.0")->twin, "");
    EXPECT_EQ(parse_port_spec("pci:03:00.0,twin=eth1")->twin, "eth1");
    EXPECT_EQ(parse_port_spec("03:00.0,twin=none")->twin, "none");
    EXPECT_EQ(parse_port_spec("03:00.0,twin=none")->text, "03:00.0");
    EXPECT_EQ(parse_port_spec("pci:03:00.0,twin=none")->text, "pci:03:00.0");
}

TEST(PortSpec, RefusesTheRestNamingIt) {
    for (const char *text : {"", "eth0", "af_xdp", "af_xdp:", "af_xdp:name-of-16-chars", "af_xdp:a,queue_count=4", "af_xdp:a b",
                             "pcap:", "pcap:in.pcap", "pcap:rx=", "pcap:rx=a,rx=b", "pcap:rx=a,iface=eth0", "pcap:rx=a=b",
                             "ring:", "ring:a-name-that-is-too-long", "nullx", "null:1", "pci:", "pci:03:00", "pci:03:00.8",
                             "pci:0000:03:00.0,arg", "pci:03:00.0,twin=", "pci:03:00.0,twin=a b", "pci:03:00.0,twin=name-of-16-chars", "03:00.0,twin=a,twin=b", "0000:03:0g.0"}) {
        const auto spec = parse_port_spec(text);
        ASSERT_FALSE(spec) << text;
        EXPECT_NE(spec.error().find(text), std::string::npos) << spec.error();
        EXPECT_EQ(spec.error().find('\n'), std::string::npos);
    }
}

} // namespace
} // namespace fairlead::io
