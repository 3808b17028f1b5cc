// SPDX-License-Identifier: Apache-2.0
/// What a node takes for traffic and for forwarding, from counters.
#include "controlplane/node_surroundings.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace fairlead {
namespace {

metrics::Sample sample_of(std::uint64_t generation) {
    metrics::Sample sample;
    sample.up = true;
    sample.dataplane.generation = generation;
    sample.services.resize(2);
    sample.services[0].counters.packets = 40;
    sample.services[1].counters.packets = 2;
    sample.workers.resize(2);
    sample.workers[0].connections = 3;
    sample.workers[1].connections = 4;
    for (const char *name : {"0000:03:00.0", "0000:03:00.1"}) {
        wire::PortCounters port{};
        std::strncpy(port.name, name, sizeof port.name - 1);
        port.is_there = port.link_is_up = 1;
        sample.ports.push_back(port);
    }
    return sample;
}

publish::PublisherStatus runs(std::uint64_t generation) {
    publish::PublisherStatus status;
    status.connected = true;
    status.generation = generation;
    return status;
}

TEST(NodeSurroundings, TrafficIsWhatServicesReceive) {
    const node::Traffic traffic = traffic_of(sample_of(7));
    EXPECT_EQ(traffic.trouble, "");
    EXPECT_EQ(traffic.packets, 42u);
    EXPECT_EQ(traffic.connections, 7u);
}

TEST(NodeSurroundings, WithoutAGenerationTrafficIsNotKnown) {
    EXPECT_EQ(traffic_of(sample_of(0)).trouble, "the dataplane runs no generation, and counts no service's packets");
    metrics::Sample down;
    down.down_reason = "it hangs";
    EXPECT_EQ(traffic_of(down).trouble, "the dataplane is down: it hangs");
}

TEST(NodeSurroundings, ForwardsWhenItRunsWhatIsDesiredAndAPortIsUp) {
    EXPECT_EQ(why_not_forwarding(runs(7), 7, sample_of(7)), "");
    EXPECT_EQ(why_not_forwarding(runs(6), 7, sample_of(6)), "the dataplane runs generation 6, desired is 7");
    EXPECT_EQ(why_not_forwarding(runs(0), 0, sample_of(0)), "the dataplane runs generation 0, desired is 0");
    publish::PublisherStatus away;
    away.last_error = "no answer in time";
    EXPECT_EQ(why_not_forwarding(away, 7, sample_of(7)), "the dataplane is down: no answer in time");

    metrics::Sample sample = sample_of(7);
    sample.ports[0].link_is_up = 0;
    EXPECT_EQ(why_not_forwarding(runs(7), 7, sample), "") << "there is another";
    sample.ports[1].is_there = 0;
    EXPECT_EQ(why_not_forwarding(runs(7), 7, sample), "port 0000:03:00.0: its link is down; port 0000:03:00.1: its device is away; bind it again");
}

} // namespace
} // namespace fairlead
