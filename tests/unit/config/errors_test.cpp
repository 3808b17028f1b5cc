// SPDX-License-Identifier: Apache-2.0
/// Every kind of mistake, and the exact words an operator reads about it.
#include "controlplane/config/config.hpp"

#include <gtest/gtest.h>

#include "tests/unit/config/sample.hpp"

namespace fairlead::config {
namespace {

/// A file that is right, but for one line.
std::string with_line(int number, const std::string &replacement) {
    std::string text = test::kSample;
    std::size_t begin = 0;
    for (int i = 1; i < number; ++i) begin = text.find('\n', begin) + 1;
    const std::size_t end = text.find('\n', begin);
    return text.replace(begin, end - begin, replacement);
}

std::string error_of_text(const std::string &text) {
    const auto config = parse(text, "lab.yaml");
    return config ? "no error" : config.error().format();
}

struct Case {
    int line;
    const char *replacement;
    const char *expected;
};

class OneWrongLine : public ::testing::TestWithParam<Case> {};

TEST_P(OneWrongLine, NamesFileLineFieldValueAndMend) {
    EXPECT_EQ(error_of_text(with_line(GetParam().line, GetParam().replacement)), GetParam().expected);
}

constexpr Case kCases[] = {
    // Unknown and duplicate keys, at every level.
    {1, "balancers:", "lab.yaml:1: balancers: unknown key; known here: balancer, services"},
    {5, "  dcsp: 46", "lab.yaml:5: balancer.dcsp: unknown key; known here: source_address, next_hop_mac, seed, dscp, gue_port"},
    {9, "    vip: 198.51.100.10\n    ports: 80",
     "lab.yaml:10: services[0].ports: unknown key; known here: name, vip, port, protocol, forwarding, algorithm, second_chance, timeouts, on_dead, health, backends"},
    {14, "    timeouts: {half_open: 10s, idle: 2h}",
     "lab.yaml:14: services[0].timeouts.idle: unknown key; known here: half_open, established, closing, udp"},
    {17, "      - {address: 10.20.0.32, wieght: 50}",
     "lab.yaml:17: services[0].backends[1].wieght: unknown key; known here: address, weight, drain"},
    {10, "    vip: 198.51.100.12", "lab.yaml:10: services[0].vip: is given twice; give each key once"},
    {7, "balancer:", "lab.yaml:7: balancer: is given twice; give each key once"},
    // The balancer.
    {2, "  dscp: 1", "lab.yaml:5: balancer.dscp: is given twice; give each key once"},
    {2, "", "lab.yaml:3: balancer.source_address: is missing; give this balancer's own IPv4 address, the outer source of encapsulated packets"},
    {2, "  source_address: 10.20.0",
     "lab.yaml:2: balancer.source_address: \"10.20.0\" is not an IPv4 address; give this balancer's own IPv4 address, the outer source of encapsulated packets"},
    {2, "  source_address: 2001:db8::1",
     "lab.yaml:2: balancer.source_address: \"2001:db8::1\" is not supported: IPv4 only for now; give this balancer's own IPv4 address, the outer source of encapsulated packets"},
    {2, "  source_address: 127.0.0.1",
     "lab.yaml:2: balancer.source_address: \"127.0.0.1\" is not the address of a host; give a unicast IPv4 address, not loopback, multicast or reserved"},
    {3, "  next_hop_mac: 02:00:00:00:00",
     "lab.yaml:3: balancer.next_hop_mac: \"02:00:00:00:00\" is not a MAC address; give six bytes in hexadecimal, such as 02:00:00:00:00:fe"},
    {3, "  next_hop_mac: 01:00:5e:00:00:01",
     "lab.yaml:3: balancer.next_hop_mac: \"01:00:5e:00:00:01\" is not one station's address; give a unicast MAC address, such as 02:00:00:00:00:fe"},
    {4, "  seed: 0011", "lab.yaml:4: balancer.seed: is not 128 bits in hexadecimal; give 32 hexadecimal digits"},
    {5, "  dscp: 64", "lab.yaml:5: balancer.dscp: \"64\" is not a number from 0 to 63; give 0..63"},
    {6, "  gue_port: 0", "lab.yaml:6: balancer.gue_port: \"0\" is not a number from 1 to 65535; give 1..65535"},
    // A service.
    {8, "  - {}", "lab.yaml:9: not YAML: end of sequence not found; look at this line's indentation, quotes and brackets"},
    {8, "  - forwarding: gue\n    name: -web",
     "lab.yaml:13: services[0].forwarding: is given twice; give each key once"},
    {8, "  - name: we b",
     "lab.yaml:8: services[0].name: \"we b\" is not a name; give 1..63 letters, digits, '.', '_' or '-', a letter or digit first"},
    {8, "  - name: [web]", "lab.yaml:8: services[0].name: is not a name; give the service a name"},
    {9, "    vip: 300.1.1.1", "lab.yaml:9: services[0].vip: \"300.1.1.1\" is not an IPv4 address; give the IPv4 address that clients connect to"},
    {9, "    vip: 2001:db8::10",
     "lab.yaml:9: services[0].vip: \"2001:db8::10\" is not supported: IPv4 only for now; give the IPv4 address that clients connect to"},
    {9, "    vip: 0.0.0.0", "lab.yaml:9: services[0].vip: \"0.0.0.0\" is not the address of a host; give the IPv4 address that clients connect to"},
    {9, "    vip: 10.20.0.11", "lab.yaml:9: services[0].vip: \"10.20.0.11\" is also balancer.source_address; give the VIP an address that no host owns"},
    {10, "    port: 70000", "lab.yaml:10: services[0].port: \"70000\" is not a port; give 1..65535 or any"},
    {10, "    port:", "lab.yaml:10: services[0].port: is not a port; give 1..65535 or any"},
    {10, "", "lab.yaml:8: services[0].port: is missing; give 1..65535 or any"},
    {11, "    protocol: sctp", "lab.yaml:11: services[0].protocol: \"sctp\" is not a protocol; give tcp or udp"},
    {11, "", "lab.yaml:8: services[0].protocol: is missing; give tcp or udp"},
    {12, "    forwarding: nat", "lab.yaml:12: services[0].forwarding: \"nat\" is not a forwarding mode; give gue or ipip"},
    {13, "    algorithm: wrr", "lab.yaml:13: services[0].algorithm: \"wrr\" is not an algorithm; give one of rendezvous, maglev"},
    {14, "    timeouts: {half_open: soon}",
     "lab.yaml:14: services[0].timeouts.half_open: \"soon\" is not a duration; give a number of s, m or h, such as 30s or 6h"},
    {14, "    timeouts: {udp: 0s}", "lab.yaml:14: services[0].timeouts.udp: \"0s\" is out of range; give 1s..168h"},
    {14, "    timeouts: {established: 169h}", "lab.yaml:14: services[0].timeouts.established: \"169h\" is out of range; give 1s..168h"},
    {14, "    timeouts: 30s",
     "lab.yaml:14: services[0].timeouts: \"30s\" is not a map; give keys and values: half_open, established, closing, udp"},
    {26, "    second_chance: on", "lab.yaml:26: services[1].second_chance: \"on\" is not a yes or no; give true or false"},
    {26, "    second_chance: true",
     "lab.yaml:26: services[1].second_chance: \"true\" needs protocol tcp and forwarding gue, but this service is udp over ipip; give tcp over gue, or leave second_chance out"},
    {12, "    forwarding: ipip\n    second_chance: true",
     "lab.yaml:13: services[0].second_chance: \"true\" needs protocol tcp and forwarding gue, but this service is tcp over ipip; give tcp over gue, or leave second_chance out"},
    // Health and on_dead.
    {14, "    on_dead: restart", "lab.yaml:14: services[0].on_dead: \"restart\" is not an on_dead; give rehash, reset or keep"},
    {25, "    on_dead: reset", "lab.yaml:25: services[1].on_dead: \"reset\" is for TCP: UDP flows move at once; give rehash"},
    {14, "    health: tcp",
     "lab.yaml:14: services[0].health: \"tcp\" is not a map; give keys and values: type, port, path, status, interval, timeout, rise, fall"},
    {14, "    health: {kind: tcp}",
     "lab.yaml:14: services[0].health.kind: unknown key; known here: type, port, path, status, interval, timeout, rise, fall"},
    {14, "    health: {type: icmp}", "lab.yaml:14: services[0].health.type: \"icmp\" is not a type of check; give tcp, http or none"},
    {14, "    health: {port: 0}", "lab.yaml:14: services[0].health.port: \"0\" is not a number from 1 to 65535; give 1..65535"},
    {14, "    health:\n      type: http\n      path: healthz",
     "lab.yaml:16: services[0].health.path: \"healthz\" is not a path; give one that begins with / and has no spaces, quotes, backslashes or #, such as /healthz"},
    {14, "    health: {type: http, path: '/a b'}",
     "lab.yaml:14: services[0].health.path: \"/a b\" is not a path; give one that begins with / and has no spaces, quotes, backslashes or #, such as /healthz"},
    {14, "    health: {path: /healthz}",
     "lab.yaml:14: services[0].health.type: path and status are for checks of type http; give type: http, or neither of them"},
    {14, "    health: {type: http, status: ok}",
     "lab.yaml:14: services[0].health.status: \"ok\" is not an HTTP status; give 100..599, a range such as 200-299, or a list of them"},
    {14, "    health: {type: http, status: [200, 299-200]}",
     "lab.yaml:14: services[0].health.status: \"299-200\" is not an HTTP status; give 100..599, a range such as 200-299, or a list of them"},
    {14, "    health: {type: http, status: []}", "lab.yaml:14: services[0].health.status: 0 elements; give 1..16"},
    {14, "    health: {interval: often}",
     "lab.yaml:14: services[0].health.interval: \"often\" is not a duration; give a number of ms, s, m or h, such as 500ms or 2s"},
    {14, "    health: {interval: 99ms}", "lab.yaml:14: services[0].health.interval: \"99ms\" is out of range; give 100ms..1h"},
    {14, "    health: {timeout: 2h}", "lab.yaml:14: services[0].health.timeout: \"2h\" is out of range; give 10ms..1h"},
    {14, "    health: {rise: 0}", "lab.yaml:14: services[0].health.rise: \"0\" is not a number from 1 to 100; give 1..100"},
    {14, "    health: {fall: 101}", "lab.yaml:14: services[0].health.fall: \"101\" is not a number from 1 to 100; give 1..100"},
    {25, "    health: {type: tcp}",
     "lab.yaml:25: services[1].health.port: is missing: a service of port any has none of its own to check; give the port to check, or type: none"},
    // A backend.
    {16, "      - 10.20.0.31",
     "lab.yaml:16: services[0].backends[0]: \"10.20.0.31\" is not a map; give keys and values: address, weight, drain"},
    {16, "      - {weight: 5}", "lab.yaml:16: services[0].backends[0].address: is missing; give the server's IPv4 address"},
    {16, "      - {address: server1}",
     "lab.yaml:16: services[0].backends[0].address: \"server1\" is not an IPv4 address; give the server's IPv4 address"},
    {17, "      - {address: 10.20.0.31}",
     "lab.yaml:17: services[0].backends[1].address: \"10.20.0.31\" is already backend 0; give each backend of a service once; weight says how much it takes"},
    {17, "      - {address: 198.51.100.11}",
     "lab.yaml:17: services[0].backends[1].address: \"198.51.100.11\" is a VIP: its packets would come back; give the server's own address"},
    {17, "      - {address: 10.20.0.11}",
     "lab.yaml:17: services[0].backends[1].address: \"10.20.0.11\" is this balancer's source_address; give the server's own address"},
    {17, "      - {address: 224.0.0.1}",
     "lab.yaml:17: services[0].backends[1].address: \"224.0.0.1\" is not the address of a host; give a unicast IPv4 address, not loopback, multicast or reserved"},
    {17, "      - {address: 10.20.0.32, weight: 65536}",
     "lab.yaml:17: services[0].backends[1].weight: \"65536\" is not a number from 0 to 65535; give 0..65535; 0 takes no new flows"},
    {17, "      - {address: 10.20.0.32, weight: -1}",
     "lab.yaml:17: services[0].backends[1].weight: \"-1\" is not a number from 0 to 65535; give 0..65535; 0 takes no new flows"},
    {17, "      - {address: 10.20.0.32, weight: 1.5}",
     "lab.yaml:17: services[0].backends[1].weight: \"1.5\" is not a number from 0 to 65535; give 0..65535; 0 takes no new flows"},
    {17, "      - {address: 10.20.0.32, drain: maybe}",
     "lab.yaml:17: services[0].backends[1].drain: \"maybe\" is not a yes or no; give true or false"},
    {25, "    backends: 10.20.0.31", "lab.yaml:25: services[1].backends: is not a list; give one \"- ...\" for each element, or []"},
    // Two services.
    {19, "  - name: web", "lab.yaml:19: services[1].name: \"web\" is already the name of services[0]; give each service a name of its own"},
    {20, "    vip: 198.51.100.10\n    port: 80\n    protocol: tcp\n  - name: third\n    vip: 198.51.100.13",
     "lab.yaml:20: services[1].vip: \"198.51.100.10\" port 80 tcp is already service \"web\"; give each service a VIP, port and protocol that no other has"},
    // YAML itself.
    {7, "services: web", "lab.yaml:8: not YAML: illegal map value; look at this line's indentation, quotes and brackets"},
    {25, "    backends: [", "lab.yaml:27: not YAML: end of sequence flow not found; look at this line's indentation, quotes and brackets"},
    {8, "  - name: !secret web", "lab.yaml:8: services[0].name: the tag \"!secret\" has no meaning here; give the value without it"},
    {25, "    backends: []\n---\nbalancer: {}", "lab.yaml:26: a second document begins; give one document"},
    {25, "    backends: *none", "lab.yaml:25: not YAML: the referenced anchor is not defined; look at this line's indentation, quotes and brackets"},
    {25, "    backends: &self [*self]",
     "lab.yaml:25: services[1].backends[0]: an alias to what is not complete, or as a key; write the value out"},
    {25, "    ? [a]\n    : 1", "lab.yaml:25: services[1]: a key that is not a word; give plain words as keys"},
};

INSTANTIATE_TEST_SUITE_P(Errors, OneWrongLine, ::testing::ValuesIn(kCases), [](const ::testing::TestParamInfo<Case> &case_info) {
    return "Line" + std::to_string(case_info.param.line) + "Case" + std::to_string(case_info.index);
});

TEST(Errors, TheSampleItselfHasNone) { EXPECT_EQ(error_of_text(test::kSample), "no error"); }

TEST(Errors, AnEmptyFileSaysWhatBelongsInIt) {
    for (const char *text : {"", "\n", "# nothing\n", "---\n", "null\n"})
        EXPECT_EQ(error_of_text(text), "lab.yaml:1: the file is empty; give balancer: and services:") << text;
}

TEST(Errors, AFileThatIsNoMapSaysSo) {
    EXPECT_EQ(error_of_text("hello\n"), "lab.yaml:1: \"hello\" is not a map; give keys and values: balancer, services");
    EXPECT_EQ(error_of_text("- a\n"), "lab.yaml:1: is a list, not a map; give keys and values: balancer, services");
}

TEST(Errors, ANameThatLooksLikeASeedIsNeverQuotedBack) {
    const std::string secret = "00112233445566778899aabbccddee"; // two digits short
    EXPECT_EQ(error_of_text(with_line(4, "  seed: " + secret)).find(secret), std::string::npos);
}

TEST(Errors, UnprintableBytesAreEscaped) {
    const std::string error = error_of_text(with_line(8, "  - name: \"a\\x1b[2J\\n\""));
    EXPECT_EQ(error.find('\x1b'), std::string::npos);
    EXPECT_NE(error.find("\\x1b[2J\\x0a"), std::string::npos) << error;
}

TEST(Errors, AFileThatCannotBeReadIsNamed) {
    const auto missing = parse_file("there/is/none.yaml");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().format(),
              "there/is/none.yaml: cannot be read: No such file or directory; give a file that exists and may be read");
    const auto directory = parse_file("/");
    ASSERT_FALSE(directory);
    EXPECT_EQ(directory.error().format(), "/: is a directory; give a file");
}

} // namespace
} // namespace fairlead::config
