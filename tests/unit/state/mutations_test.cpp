// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/mutations.hpp"

#include <gtest/gtest.h>

#include "tests/unit/state/sample_config.hpp"

namespace fairlead::state {
namespace {

using config::Config;
using test::backend;
using test::config_with;
using test::service;

std::string error_of_change(const Changed &changed) { return changed ? "no error" : changed.error().format(); }

TEST(Mutations, EachChangesWhatItSaysAndNothingElse) {
    const Config before = config_with(2);
    Config expected = before;

    expected.services.push_back(service("dns", 2, 0));
    EXPECT_EQ(add_service(before, service("dns", 2, 0)), expected);
    EXPECT_EQ(remove_service(expected, "dns"), before);

    expected = before;
    expected.services[0].algorithm = tables::Algorithm::kMaglev;
    expected.services[0].timeouts.udp_s = 5;
    EXPECT_EQ(set_service(before, "web", {.algorithm = tables::Algorithm::kMaglev, .udp_s = 5}), expected);
    EXPECT_EQ(set_service(before, "web", {}), before);

    expected = before;
    expected.services[0].backends.push_back({backend(3).address, 0, false});
    EXPECT_EQ(add_backend(before, "web", {backend(3).address, 0, false}), expected);
    EXPECT_EQ(remove_backend(expected, "web", backend(3).address), before);

    expected = before;
    expected.services[0].backends[1].weight = 65535;
    EXPECT_EQ(set_backend(before, "web", backend(2).address, 65535), expected);

    expected = before;
    expected.services[0].backends[0].drain = true;
    EXPECT_EQ(drain_backend(before, "web", backend(1).address, true), expected);
    EXPECT_EQ(drain_backend(expected, "web", backend(1).address, false), before);
}

TEST(Mutations, AServicesHealthIsChangedPartByPart) {
    Config expected = config_with(2);
    expected.services[0].on_dead = config::OnDead::kKeep;
    expected.services[0].health.type = config::HealthType::kHttp;
    expected.services[0].health.path = "/healthz";
    expected.services[0].health.status = {{200, 299}};
    const Config http = set_service(config_with(2), "web",
                                    {.on_dead = config::OnDead::kKeep,
                                     .health = {.type = config::HealthType::kHttp,
                                                .path = "/healthz",
                                                .status = std::vector<config::StatusRange>{{200, 299}}}})
                            .value();
    EXPECT_EQ(http, expected);
    expected.services[0].health.fall = 5;
    const Config patient = set_service(http, "web", {.health = {.fall = 5}}).value();
    EXPECT_EQ(patient, expected) << "the rest stays";
    expected.services[0].health = {.type = config::HealthType::kTcp};
    expected.services[0].health.fall = 5;
    EXPECT_EQ(set_service(patient, "web", {.health = {.type = config::HealthType::kTcp}}), expected)
        << "tcp has neither path nor status";
    EXPECT_EQ(error_of_change(set_service(config_with(2), "web", {.health = {.path = "/x"}})),
              "services[0].health.type: path and status are for checks of type http; give type: http, or neither of them");
    EXPECT_EQ(error_of_change(set_service(http, "web", {.protocol = wire::kIpProtocolUdp})),
              "services[0].on_dead: \"keep\" is for TCP: UDP flows move at once; give rehash");
}

TEST(Mutations, WhatDoesNotExistIsRefusedWithWhatDoes) {
    const Config config = config_with(2);
    EXPECT_EQ(error_of_change(remove_service(config, "wab")), "service: \"wab\" does not exist; known: web");
    EXPECT_EQ(error_of_change(set_service(config, "wab", {})), "service: \"wab\" does not exist; known: web");
    EXPECT_EQ(error_of_change(add_backend(config, "wab", backend(3))), "service: \"wab\" does not exist; known: web");
    EXPECT_EQ(error_of_change(drain_backend(config, "web", backend(3).address, true)),
              "address: \"10.1.0.3\" is no backend of service \"web\"; known: 10.1.0.1, 10.1.0.2");
    EXPECT_EQ(error_of_change(remove_backend(config_with(0), "web", backend(3).address)),
              "address: \"10.1.0.3\" is no backend of service \"web\"; there is none");
    EXPECT_EQ(error_of_change(remove_backend(config_with(10), "web", backend(30).address)),
              "address: \"10.1.0.30\" is no backend of service \"web\"; known: 10.1.0.1, 10.1.0.2, 10.1.0.3, 10.1.0.4, "
              "10.1.0.5, 10.1.0.6, 10.1.0.7, 10.1.0.8 and 2 more");
}

TEST(Mutations, TheRulesOfTheFileHoldForEachChange) {
    const Config config = config_with(2);
    EXPECT_EQ(error_of_change(add_service(config, service("web", 2, 0))),
              "services[1].name: \"web\" is already the name of services[0]; give each service a name of its own");
    EXPECT_EQ(error_of_change(add_service(config, service("dns", 1, 0))),
              "services[1].vip: \"192.0.2.1\" port 80 tcp is already service \"web\"; give each service a VIP, port and protocol "
              "that no other has");
    EXPECT_EQ(error_of_change(add_backend(config, "web", backend(2))),
              "services[0].backends[2].address: \"10.1.0.2\" is already backend 1; give each backend of a service once; weight "
              "says how much it takes");
    EXPECT_EQ(error_of_change(set_backend(config, "web", backend(2).address, 65536)),
              "services[0].backends[1].weight: \"65536\" is out of range; give 0..65535; 0 takes no new flows");
    EXPECT_EQ(error_of_change(set_service(config, "web", {.closing_s = 604801})),
              "services[0].timeouts.closing: \"604801s\" is out of range; give 1s..168h");
    EXPECT_EQ(error_of_change(set_service(config, "web", {.protocol = 132})),
              "services[0].protocol: \"132\" is not a protocol; give tcp or udp");
    EXPECT_EQ(error_of_change(set_service(config, "web", {.vip = backend(1).address})),
              "services[0].backends[0].address: \"10.1.0.1\" is a VIP: its packets would come back; give the server's own address");
}

} // namespace
} // namespace fairlead::state
