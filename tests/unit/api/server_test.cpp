// SPDX-License-Identifier: Apache-2.0
/// The API's calls over the real socket: what is asked is done, or refused with its place.
#include "tests/unit/api/server_fixture.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "controlplane/api/convert.hpp"

namespace fairlead::api {
namespace {

using state::test::config_with;

class ServerTest : public test::ServerFixture {};

TEST_F(ServerTest, EachCallDoesWhatItSays) {
    const auto server = start();
    ASSERT_TRUE(server) << server.error().format();
    Client client(socket_path(), std::chrono::seconds(10));

    v1::ServiceAddRequest service_add;
    service_add.mutable_service()->set_name("dns");
    service_add.mutable_service()->set_vip("192.0.2.53");
    service_add.mutable_service()->set_port(53);
    service_add.mutable_service()->set_protocol(v1::PROTOCOL_UDP);
    const auto added = client.service_add(service_add);
    ASSERT_TRUE(added) << added.error().error.format();
    EXPECT_EQ(added->warnings(0), "saved; dataplane not connected");

    v1::ServiceSetRequest service_set;
    service_set.set_name("dns");
    service_set.set_port(0);
    EXPECT_TRUE(client.service_set(service_set));
    v1::BackendAddRequest backend_add;
    backend_add.set_service("dns");
    backend_add.mutable_backend()->set_address("10.9.0.1");
    EXPECT_TRUE(client.backend_add(backend_add));
    v1::BackendSetRequest backend_set;
    backend_set.set_service("dns");
    backend_set.set_address("10.9.0.1");
    backend_set.set_weight(7);
    EXPECT_TRUE(client.backend_set(backend_set));
    v1::BackendDrainRequest drain;
    drain.set_service("dns");
    drain.set_address("10.9.0.1");
    drain.set_drain(true);
    EXPECT_TRUE(client.backend_drain(drain));

    const auto config = from_message(client.get_config()->config());
    ASSERT_TRUE(config);
    ASSERT_EQ(config->services.size(), 2u);
    EXPECT_EQ(config->services[1].port, wire::kPortAny);
    EXPECT_EQ(config->services[1].backends, (std::vector<config::Backend>{{wire::Be32::from_host(0x0a090001), 7, true}}));
    EXPECT_EQ(*config, controller_->view()->config);

    v1::BackendRemoveRequest backend_remove;
    backend_remove.set_service("dns");
    backend_remove.set_address("10.9.0.1");
    EXPECT_TRUE(client.backend_remove(backend_remove));
    v1::ServiceRemoveRequest service_remove;
    service_remove.set_name("dns");
    EXPECT_TRUE(client.service_remove(service_remove));
    EXPECT_EQ(controller_->view()->config, config_with(2));

    v1::ApplyRequest apply;
    apply.set_text(config::format_yaml(config_with(5)));
    EXPECT_TRUE(client.apply(apply));
    EXPECT_EQ(controller_->view()->config, config_with(5));

    const auto status = client.status();
    ASSERT_TRUE(status);
    EXPECT_FALSE(status->dataplane().is_connected());
    EXPECT_EQ(status->services(0).backends(), 5u);
    EXPECT_EQ(status->services(0).rows(), 65537u);
    EXPECT_EQ(status->services(0).rows_digest().size(), 16u);
    const auto stats = client.stats();
    ASSERT_TRUE(stats);
    EXPECT_FALSE(stats->is_up());
    EXPECT_FALSE(stats->reason().empty());
}

TEST_F(ServerTest, AStateGoesOutAndComesBackAndStatusTellsItsDigests) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    v1::BackendAddRequest add;
    add.set_service("web");
    add.mutable_backend()->set_address("10.9.0.1");
    ASSERT_TRUE(client.backend_add(add));
    const auto exported = client.state_export();
    ASSERT_TRUE(exported);
    const auto before = client.status();
    ASSERT_TRUE(before);
    EXPECT_EQ(before->services(0).history_sets(), 2u);
    EXPECT_EQ(before->services(0).history_digest().size(), 16u);

    v1::ApplyRequest apply;
    apply.set_text(config::format_yaml(config_with(5)));
    ASSERT_TRUE(client.apply(apply));
    EXPECT_NE(client.status()->services(0).history_digest(), before->services(0).history_digest());
    v1::StateImportRequest import;
    import.set_text(exported->text());
    import.set_file_name("lb1.json");
    const auto imported = client.state_import(import);
    ASSERT_TRUE(imported) << imported.error().error.format();
    const auto after = client.status();
    EXPECT_EQ(after->services(0).history_digest(), before->services(0).history_digest());
    EXPECT_EQ(after->services(0).rows_digest(), before->services(0).rows_digest());

    import.set_text("\xff\xfe, not a state");
    const auto refused = client.state_import(import);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, CallFailure::Kind::kRefused);
    EXPECT_EQ(refused.error().error.format(), "lb1.json: the saved state is damaged: it is not a state file of Fairlead; "
                                              "export it again from the balancer that has it; nothing is changed here");
}

TEST_F(ServerTest, TheListOfBackendsSaysHowTheyAre) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    v1::BackendListRequest request;
    auto list = client.backend_list(request);
    ASSERT_TRUE(list) << list.error().error.format();
    ASSERT_EQ(list->backends_size(), 2);
    EXPECT_FALSE(list->is_up());
    EXPECT_FALSE(list->reason().empty());
    EXPECT_EQ(list->backends(0).service(), "web");
    EXPECT_EQ(list->backends(0).address(), "10.1.0.1");
    EXPECT_TRUE(list->backends(0).is_checked());
    EXPECT_EQ(list->backends(0).health(), "up");
    EXPECT_EQ(list->backends(0).reason(), "");
    request.set_service("web");
    request.set_address("10.1.0.2");
    list = client.backend_list(request);
    ASSERT_TRUE(list);
    EXPECT_EQ(list->backends_size(), 1);
    request.set_address("10.1.0.9");
    EXPECT_EQ(client.backend_list(request).error().error.field, "address");
    request.set_service("wab");
    EXPECT_EQ(client.backend_list(request).error().error.field, "service");
}

TEST_F(ServerTest, AServicesCheckIsSetPartByPart) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    v1::ServiceSetRequest set;
    set.set_name("web");
    set.set_on_dead("reset");
    set.mutable_health()->set_type("http");
    set.mutable_health()->set_path("/healthz");
    ASSERT_TRUE(client.service_set(set));
    set.Clear();
    set.set_name("web");
    set.mutable_health()->set_fall(7);
    ASSERT_TRUE(client.service_set(set));
    const config::Service &service = controller_->view()->config.services[0];
    EXPECT_EQ(service.on_dead, config::OnDead::kReset);
    EXPECT_EQ(service.health.path, "/healthz");
    EXPECT_EQ(service.health.fall, 7u);
    set.mutable_health()->set_interval_ms(1);
    EXPECT_EQ(client.service_set(set).error().error.field, "services[0].health.interval");
}

TEST_F(ServerTest, ARemovalWithoutKnownConnectionsIsAWarning) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    v1::BackendRemoveRequest remove;
    remove.set_service("web");
    remove.set_address("10.1.0.1");
    const auto removed = client.backend_remove(remove);
    ASSERT_TRUE(removed);
    EXPECT_TRUE(removed->warnings(0).starts_with("whether what is removed had open connections is unknown"));
    remove.set_address("10.1.0.2");
    remove.set_force(true);
    const auto forced = client.backend_remove(remove);
    ASSERT_TRUE(forced);
    EXPECT_EQ(forced->warnings(0), "saved; dataplane not connected");
    v1::BackendAddRequest add;
    add.set_service("web");
    add.mutable_backend()->set_address("10.1.0.3");
    ASSERT_TRUE(client.backend_add(add));
    v1::ServiceSetRequest move;
    move.set_name("web");
    move.set_port(81);
    move.set_force(true);
    EXPECT_EQ(client.service_set(move)->warnings(0), "saved; dataplane not connected");
    move.set_port(82);
    move.set_force(false);
    EXPECT_TRUE(client.service_set(move)->warnings(0).starts_with("whether what is removed")) << "its old address loses all";
    v1::ApplyRequest apply;
    apply.set_text(config::format_yaml(config_with(1)));
    apply.set_force(true);
    EXPECT_EQ(client.apply(apply)->warnings(0), "saved; dataplane not connected");
    v1::ServiceRemoveRequest service_remove;
    service_remove.set_name("web");
    service_remove.set_force(true);
    EXPECT_EQ(client.service_remove(service_remove)->warnings(0), "saved; dataplane not connected");
}

TEST_F(ServerTest, ARefusalComesWithFileLineAndField) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    v1::ApplyRequest apply;
    apply.set_text("balancer:\n  source_address: 10.0.0.999\n");
    apply.set_file_name("lab.yaml");
    const auto refused = client.apply(apply);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, CallFailure::Kind::kRefused);
    EXPECT_EQ(refused.error().error.file, "lab.yaml");
    EXPECT_EQ(refused.error().error.line, 2);
    EXPECT_EQ(refused.error().error.field, "balancer.source_address");
    EXPECT_EQ(controller_->view()->config, config_with(2));
}

TEST_F(ServerTest, ManyClientsAtOnceAreAllServed) {
    const auto server = start();
    std::vector<std::thread> threads;
    std::atomic<int> done = 0;
    for (std::uint32_t i = 0; i < 16; ++i)
        threads.emplace_back([&, i] {
            Client client(socket_path(), std::chrono::seconds(60));
            v1::BackendAddRequest add;
            add.set_service("web");
            for (std::uint32_t j = 0; j < 5; ++j) {
                add.mutable_backend()->set_address(config::format_ipv4(wire::Be32::from_host(0x0a020000 + i * 256 + j + 1)));
                done += client.backend_add(add).has_value();
                done += client.status().has_value();
            }
        });
    for (std::thread &thread : threads) thread.join();
    EXPECT_EQ(done, 160);
    EXPECT_EQ(controller_->view()->config.services[0].backends.size(), 82u);
}

} // namespace
} // namespace fairlead::api
