// SPDX-License-Identifier: Apache-2.0
#include "controlplane/config/config.hpp"

#include <gtest/gtest.h>

namespace fairlead::config {
namespace {

TEST(Address, ReadsDottedQuadsAndNothingElse) {
    EXPECT_EQ(parse_ipv4("198.51.100.10")->host(), 0xc633640au);
    EXPECT_EQ(parse_ipv4("0.0.0.0")->host(), 0u);
    EXPECT_EQ(parse_ipv4("255.255.255.255")->host(), 0xffffffffu);
    for (const char *text : {"", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", "1.2.3.256", "1.2.3.1000", "01.2.3.4", "1.2.3.00",
                             " 1.2.3.4", "1.2.3.4 ", "1..3.4", "+1.2.3.4", "-1.2.3.4", "0x1.2.3.4", "1.2.3.4/32", "::1", "a.b.c.d"})
        EXPECT_FALSE(parse_ipv4(text)) << text;
}

TEST(Address, FormatIsTheInverseOfParse) {
    for (const char *text : {"0.0.0.0", "1.2.3.4", "10.0.0.1", "198.51.100.10", "255.255.255.255"})
        EXPECT_EQ(format_ipv4(*parse_ipv4(text)), text);
    EXPECT_EQ(format_mac(*parse_mac("02:00:AB:cd:00:fe")), "02:00:ab:cd:00:fe");
    for (const char *text : {"", "02:00:00:00:00", "02:00:00:00:00:f", "02-00-00-00-00-fe", "02:00:00:00:00:fg", "02:00:00:00:00:fe:"})
        EXPECT_FALSE(parse_mac(text)) << text;
}

TEST(Words, PortsAre1To65535OrAny) {
    EXPECT_EQ(parse_port("any"), wire::kPortAny);
    EXPECT_EQ(parse_port("1"), 1);
    EXPECT_EQ(parse_port("65535"), 65535);
    for (const char *text : {"", "0", "65536", "-1", "+1", "80 ", "0x50", "8e1", "http", "Any", "4294967376", "18446744073709551696"})
        EXPECT_FALSE(parse_port(text)) << text;
}

TEST(Words, DurationsHaveUnitsAndDoNotOverflow) {
    EXPECT_EQ(parse_duration_s("30s"), 30u);
    EXPECT_EQ(parse_duration_s("30"), 30u);
    EXPECT_EQ(parse_duration_s("5m"), 300u);
    EXPECT_EQ(parse_duration_s("6h"), 21600u);
    for (const char *text : {"", "s", "h", "-1s", "1.5h", "1d", "1ms", "6H", "4294967296s", "71582789m", "1193047h", "99999999999999999999h"})
        EXPECT_FALSE(parse_duration_s(text)) << text;
    for (const std::uint32_t seconds : {1u, 59u, 60u, 61u, 3599u, 3600u, 3660u, 21600u, 604800u})
        EXPECT_EQ(parse_duration_s(format_duration_s(seconds)), seconds);
}

} // namespace
} // namespace fairlead::config
