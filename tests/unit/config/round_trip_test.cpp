// SPDX-License-Identifier: Apache-2.0
#include "controlplane/config/config.hpp"

#include <random>

#include <gtest/gtest.h>

#include "tests/unit/config/sample.hpp"

namespace fairlead::config {
namespace {

TEST(Parse, ReadsEveryKey) {
    const auto config = parse(test::kSample, "sample.yaml");
    ASSERT_TRUE(config) << config.error().format();
    const Balancer &balancer = config->balancer;
    EXPECT_EQ(format_ipv4(balancer.source_address), "10.20.0.11");
    EXPECT_EQ(format_mac(*balancer.next_hop_mac), "02:00:00:00:00:fe");
    EXPECT_EQ(format_hex(balancer.seed->data(), 16), "00112233445566778899aabbccddeeff");
    EXPECT_EQ(balancer.dscp, 46);
    EXPECT_EQ(balancer.gue_port, 19523);
    ASSERT_EQ(config->services.size(), 2u);
    const Service &web = config->services[0];
    EXPECT_EQ(web.name, "web");
    EXPECT_EQ(format_ipv4(web.vip), "198.51.100.10");
    EXPECT_EQ(web.port, 80);
    EXPECT_EQ(web.protocol, wire::kIpProtocolTcp);
    EXPECT_EQ(web.forwarding, wire::kForwardingGue);
    EXPECT_EQ(web.algorithm, tables::Algorithm::kRendezvous);
    EXPECT_EQ(web.second_chance, std::nullopt);
    EXPECT_EQ(web.timeouts, (Timeouts{10, 7200, 30, 300}));
    ASSERT_EQ(web.backends.size(), 3u);
    EXPECT_EQ(web.backends[1].weight, 50u);
    EXPECT_TRUE(web.backends[1].drain);
    EXPECT_EQ(web.backends[2].weight, 100u) << "the default";
    const Service &dns = config->services[1];
    EXPECT_EQ(dns.port, wire::kPortAny);
    EXPECT_EQ(dns.protocol, wire::kIpProtocolUdp);
    EXPECT_EQ(dns.forwarding, wire::kForwardingIpip);
    EXPECT_EQ(dns.algorithm, tables::Algorithm::kMaglev);
    EXPECT_EQ(dns.second_chance, false);
    EXPECT_EQ(dns.timeouts, Timeouts{});
}

TEST(Parse, TheLeastFileIsASourceAddress) {
    const auto config = parse("balancer: {source_address: 10.0.0.1}\n", "least.yaml");
    ASSERT_TRUE(config) << config.error().format();
    EXPECT_TRUE(config->services.empty());
    EXPECT_FALSE(config->balancer.seed);
    EXPECT_EQ(config->balancer.gue_port, 6080);
}

TEST(Parse, ReadsHealthAndOnDead) {
    const auto config = parse("balancer: {source_address: 10.0.0.1}\n"
                              "services:\n"
                              "  - name: a\n"
                              "    vip: 192.0.2.1\n"
                              "    port: 80\n"
                              "    protocol: tcp\n"
                              "    on_dead: reset\n"
                              "    health: {type: http, port: 8080, path: /healthz, status: [200, 300-399], interval: 500ms,\n"
                              "             timeout: 250ms, rise: 4, fall: 5}\n",
                              "health.yaml");
    ASSERT_TRUE(config) << config.error().format();
    EXPECT_EQ(config->services[0].on_dead, OnDead::kReset);
    EXPECT_EQ(config->services[0].health,
              (HealthCheck{HealthType::kHttp, 8080, "/healthz", {{200, 200}, {300, 399}}, 500, 250, 4, 5}));
}

TEST(CheckOf, IsTcpWhereThereIsAPort) {
    const auto check = [](std::uint8_t protocol, std::uint16_t port, std::uint16_t health_port) {
        Service service;
        service.protocol = protocol;
        service.port = port;
        service.health.port = health_port;
        const HealthCheck found = check_of(service);
        return std::pair(*found.type, found.port);
    };
    using Answer = std::pair<HealthType, std::uint16_t>;
    EXPECT_EQ(check(wire::kIpProtocolTcp, 80, 0), Answer(HealthType::kTcp, 80));
    EXPECT_EQ(check(wire::kIpProtocolTcp, 80, 8080), Answer(HealthType::kTcp, 8080));
    EXPECT_EQ(check(wire::kIpProtocolTcp, wire::kPortAny, 0).first, HealthType::kNone);
    EXPECT_EQ(check(wire::kIpProtocolTcp, wire::kPortAny, 22), Answer(HealthType::kTcp, 22));
    EXPECT_EQ(check(wire::kIpProtocolUdp, 53, 0).first, HealthType::kNone);
    EXPECT_EQ(check(wire::kIpProtocolUdp, 53, 53), Answer(HealthType::kTcp, 53));
}

TEST(Parse, AnAliasStandsForItsAnchor) {
    const auto config = parse("balancer: {source_address: 10.0.0.1}\n"
                              "services:\n"
                              "  - {name: a, vip: 192.0.2.1, port: 80, protocol: tcp, backends: &web [{address: 10.0.0.2}]}\n"
                              "  - {name: b, vip: 192.0.2.1, port: 443, protocol: tcp, backends: *web}\n",
                              "alias.yaml");
    ASSERT_TRUE(config) << config.error().format();
    EXPECT_EQ(config->services[0].backends, config->services[1].backends);
}

TEST(Parse, AnyBesideASpecificPortIsAllowed) {
    const auto config = parse("balancer: {source_address: 10.0.0.1}\n"
                              "services:\n"
                              "  - {name: a, vip: 192.0.2.1, port: any, protocol: tcp}\n"
                              "  - {name: b, vip: 192.0.2.1, port: 443, protocol: tcp}\n"
                              "  - {name: c, vip: 192.0.2.1, port: 443, protocol: udp}\n",
                              "any.yaml");
    EXPECT_TRUE(config) << config.error().format();
}

HealthCheck random_health(std::mt19937 &random) {
    const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); };
    HealthCheck health;
    if (below(4) == 0) return health;
    if (below(3) != 0) health.type = static_cast<HealthType>(below(3));
    if (below(2) != 0) health.port = static_cast<std::uint16_t>(below(65536));
    if (health.type == HealthType::kHttp || health.type == HealthType::kNone) {
        const char *paths[] = {"/", "/healthz", "/a,b{c}[d]:e?f=%20&g='h'", "//"};
        health.path = paths[below(4)];
        if (below(2) != 0) health.status.assign(1 + below(16), {100, static_cast<std::uint16_t>(100 + below(500))});
    }
    health.interval_ms = kHealthIntervalMinMs + below(kHealthPeriodMaxMs - kHealthIntervalMinMs + 1);
    health.timeout_ms = (1 + below(60)) * 1000;
    health.rise = 1 + below(100);
    health.fall = 1 + below(100);
    return health;
}

/// A valid configuration drawn at random, names and values at their limits included.
Config random_config(std::mt19937 &random) {
    const auto below = [&](std::uint32_t bound) { return static_cast<std::uint32_t>(random() % bound); };
    const char *names[] = {"null", "no", "1e3", "0x10", "~a", "web", "a.b-c_d", "true", "12", "1.5"};
    Config config;
    config.balancer.source_address = wire::Be32::from_host(0x0a000001);
    if (below(2) != 0) config.balancer.next_hop_mac = MacAddress{0x02, 0, 0, 0, 0, static_cast<std::uint8_t>(below(256))};
    if (below(2) != 0) config.balancer.seed.emplace().fill(static_cast<std::uint8_t>(below(256)));
    config.balancer.dscp = static_cast<std::uint8_t>(below(64));
    config.balancer.gue_port = static_cast<std::uint16_t>(1 + below(65535));
    const std::uint32_t service_count = below(6);
    for (std::uint32_t i = 0; i < service_count; ++i) {
        Service &service = config.services.emplace_back();
        service.name = std::string(names[below(10)] == std::string("~a") ? "x" : names[below(4)]) + (i == 0 ? "" : std::to_string(i));
        service.vip = wire::Be32::from_host(0xc0000200 + i);
        service.port = static_cast<std::uint16_t>(below(65536));
        service.protocol = below(2) != 0 ? wire::kIpProtocolTcp : wire::kIpProtocolUdp;
        service.forwarding = below(2) != 0 ? wire::kForwardingGue : wire::kForwardingIpip;
        service.algorithm = below(2) != 0 ? tables::Algorithm::kRendezvous : tables::Algorithm::kMaglev;
        if (below(2) != 0) service.second_chance = can_have_second_chance(service) && below(2) != 0;
        if (below(2) != 0)
            service.timeouts = {1 + below(kTimeoutMaxS), 1 + below(kTimeoutMaxS), 1 + below(kTimeoutMaxS), kTimeoutMaxS};
        if (service.protocol == wire::kIpProtocolTcp) service.on_dead = static_cast<OnDead>(below(3));
        service.health = random_health(random);
        if (check_of(service).type != HealthType::kNone && check_of(service).port == 0) service.health.port = 8080;
        const std::uint32_t backend_count = below(20);
        for (std::uint32_t j = 0; j < backend_count; ++j)
            service.backends.push_back({wire::Be32::from_host(0x0a010000 + j), below(kWeightMax + 1), below(2) != 0});
    }
    return config;
}

TEST(FormatYaml, ParsesBackToTheSameConfig) {
    std::mt19937 random(1);
    for (int i = 0; i < 500; ++i) {
        const Config config = random_config(random);
        ASSERT_TRUE(validate(config)) << validate(config).error().format();
        const std::string text = format_yaml(config);
        const auto parsed = parse(text, "round.yaml");
        ASSERT_TRUE(parsed) << parsed.error().format() << "\n" << text;
        ASSERT_EQ(*parsed, config) << text;
        ASSERT_EQ(format_yaml(*parsed), text);
    }
}

} // namespace
} // namespace fairlead::config
