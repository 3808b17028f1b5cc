// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/convert.hpp"

#include <gtest/gtest.h>

#include "tests/unit/config/sample.hpp"
#include "tests/unit/state/sample_config.hpp"

namespace fairlead::api {
namespace {

TEST(Convert, AConfigurationSurvivesTheWayThroughAMessage) {
    const auto config = config::parse(config::test::kSample, "sample.yaml");
    ASSERT_TRUE(config);
    EXPECT_EQ(from_message(to_message(*config)), *config);
    EXPECT_EQ(from_message(to_message(state::test::config_with(3))), state::test::config_with(3));
}

TEST(Convert, HealthAndOnDeadSurviveToo) {
    config::Config config = state::test::config_with(1);
    config::Service &service = config.services[0];
    service.on_dead = config::OnDead::kReset;
    service.health = {config::HealthType::kHttp, 8080, "/healthz", {{200, 200}, {300, 399}}, 500, 250, 4, 5};
    EXPECT_EQ(from_message(to_message(config)), config);
    service.health = {};
    service.health.type = config::HealthType::kNone;
    EXPECT_EQ(from_message(to_message(config)), config);
}

TEST(Convert, AnErrorSurvivesTheWayThroughAMessage) {
    const Error error{.what = "w", .file = "f", .line = 3, .field = "x.y", .mend = "m"};
    EXPECT_EQ(from_message(to_message(error)), error);
}

TEST(Convert, AbsentValuesAreTheDefaults) {
    v1::Service message;
    message.set_name("web");
    message.set_vip("192.0.2.1");
    message.set_port(80);
    message.set_protocol(v1::PROTOCOL_TCP);
    message.add_backends()->set_address("10.0.0.1");
    config::Service expected;
    expected.name = "web";
    expected.vip = wire::Be32::from_host(0xc0000201);
    expected.port = 80;
    expected.backends.push_back({.address = wire::Be32::from_host(0x0a000001)});
    EXPECT_EQ(from_message(message), expected);
    message.set_second_chance(false);
    EXPECT_EQ(from_message(message)->second_chance, false) << "given, not left out";
    message.mutable_backends(0)->set_weight(0);
    EXPECT_EQ(from_message(message)->backends[0].weight, 0u) << "a weight of 0 was given, not left out";
}

TEST(Convert, WhatHasNoPlaceInTheConfigurationIsRefusedByField) {
    const auto field_of = [](auto edit) {
        v1::Service message;
        message.set_vip("192.0.2.1");
        message.set_protocol(v1::PROTOCOL_TCP);
        edit(message);
        const auto service = from_message(message);
        return service ? std::string("no error") : service.error().field;
    };
    EXPECT_EQ(field_of([](v1::Service &) {}), "no error");
    EXPECT_EQ(field_of([](v1::Service &m) { m.set_vip("web"); }), "vip");
    EXPECT_EQ(field_of([](v1::Service &m) { m.set_port(65536); }), "port");
    EXPECT_EQ(field_of([](v1::Service &m) { m.clear_protocol(); }), "protocol");
    EXPECT_EQ(field_of([](v1::Service &m) { m.set_protocol(static_cast<v1::Protocol>(132)); }), "protocol");
    EXPECT_EQ(field_of([](v1::Service &m) { m.set_forwarding(static_cast<v1::Forwarding>(9)); }), "forwarding");
    EXPECT_EQ(field_of([](v1::Service &m) { m.set_algorithm("wrr"); }), "algorithm");
    EXPECT_EQ(field_of([](v1::Service &m) { m.set_on_dead("reboot"); }), "on_dead");
    EXPECT_EQ(field_of([](v1::Service &m) { m.mutable_health()->set_type("icmp"); }), "health.type");
    EXPECT_EQ(field_of([](v1::Service &m) { m.mutable_health()->set_port(65536); }), "health.port");
    EXPECT_EQ(field_of([](v1::Service &m) { m.mutable_health()->set_status("ok"); }), "health.status");
    EXPECT_EQ(field_of([](v1::Service &m) { m.add_backends(); }), "backends[0].address");
}

} // namespace
} // namespace fairlead::api
