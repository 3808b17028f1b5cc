// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/removal.hpp"

#include <gtest/gtest.h>

#include "tests/unit/state/sample_config.hpp"

namespace fairlead::state {
namespace {

using test::backend;
using test::config_with;
using test::service;

metrics::Sample sample_with(std::vector<std::uint64_t> connections) {
    metrics::Sample sample;
    sample.up = true;
    for (std::uint32_t i = 0; i < connections.size(); ++i) {
        sample.backends.push_back({"web", config::format_ipv4(backend(i + 1).address), {}});
        sample.backends.back().counters.connections = connections[i];
    }
    return sample;
}

std::string refusal_of(const std::vector<NamedBackend> &removed, const metrics::Sample &sample) {
    const auto checked = check_removal(removed, sample);
    return checked ? "no error" : checked.error().format();
}

TEST(RemovedBackends, AreThoseOfServicesByAddressNotByName) {
    config::Config before = config_with(3);
    config::Config after = before;
    EXPECT_TRUE(removed_backends(before, after).empty());
    after.services[0].name = "renamed";
    after.services[0].backends.erase(after.services[0].backends.begin());
    after.services[0].backends.push_back(backend(9));
    EXPECT_EQ(removed_backends(before, after), (std::vector<NamedBackend>{{"web", "10.1.0.1"}}));
    after = before;
    after.services[0].port = 81;
    EXPECT_EQ(removed_backends(before, after).size(), 3u) << "a service that moves loses all";
    after.services.clear();
    EXPECT_EQ(removed_backends(before, after).size(), 3u);
}

TEST(CheckRemoval, OpenConnectionsAreRefusedWithTheirNumberAndTheMend) {
    EXPECT_EQ(refusal_of({{"web", "10.1.0.1"}}, sample_with({0, 5})), "no error");
    EXPECT_EQ(refusal_of({{"web", "10.1.0.2"}}, sample_with({0, 5})),
              "10.1.0.2 of web has 5 open connections; drain it first (fairlead backend drain web 10.1.0.2 --wait), or give --force");
    EXPECT_EQ(refusal_of({{"web", "10.1.0.1"}, {"web", "10.1.0.2"}, {"web", "10.1.0.3"}}, sample_with({0, 5, 7})),
              "2 backends that would be removed have 12 open connections; 10.1.0.2 of web has 5; drain them first (fairlead "
              "backend drain SERVICE ADDRESS --wait), or give --force");
    EXPECT_EQ(refusal_of({}, sample_with({9})), "no error");
}

TEST(CheckRemoval, ConnectionsWhoseBackendIsNotKnownMayBeAnybodys) {
    metrics::Sample sample = sample_with({0, 0});
    sample.services.push_back({"web", {}});
    sample.services.back().counters.connections_unsure = 3;
    EXPECT_EQ(refusal_of({{"web", "10.1.0.1"}}, sample),
              "10.1.0.1 of web may have some of 3 connections that this balancer found without their beginning; wait until they "
              "have ended (fairlead backend drain web 10.1.0.1 --wait), or give --force");
    EXPECT_EQ(refusal_of({{"dns", "10.1.0.1"}}, sample), "no error");
}

TEST(CheckRemoval, UnknownNumbersAreAWarning) {
    metrics::Sample sample;
    sample.down_reason = "no dataplane";
    const auto warnings = check_removal({{"web", "10.1.0.1"}}, sample);
    ASSERT_TRUE(warnings);
    EXPECT_EQ(*warnings, std::vector<std::string>{"whether what is removed had open connections is unknown: no dataplane"});
    EXPECT_TRUE(check_removal({}, sample)->empty());
}

} // namespace
} // namespace fairlead::state
