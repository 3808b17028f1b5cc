// SPDX-License-Identifier: Apache-2.0
/// The API over its real socket, with a controller behind it and no dataplane.
#include "controlplane/api/server.hpp"

#include <algorithm>
#include <fstream>
#include <stop_token>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "controlplane/api/client.hpp"
#include "controlplane/api/convert.hpp"
#include "controlplane/publish/descriptor.hpp"
#include "tests/unit/node/site.hpp"
#include "tests/unit/publish/dataplane_end.hpp"
#include "tests/unit/state/sample_config.hpp"
#include "tests/unit/state/sample_options.hpp"

namespace fairlead::api {
namespace {

using state::testing::config_with;

class ServerTest : public ::testing::Test {
  protected:
    ServerTest() {
        spdlog::set_level(spdlog::level::err);
        std::ofstream(directory_.file("c.yaml")) << config::format_yaml(config_with(2));
        controller_ = std::move(*state::Controller::start(state::testing::options_in(directory_), statistics_));
    }

    [[nodiscard]] std::expected<std::unique_ptr<Server>, Error> start() {
        if (!lock_) {
            auto lock = SocketLock::take(socket_path());
            if (!lock) return std::unexpected(std::move(lock.error()));
            lock_.emplace(std::move(*lock));
        }
        return Server::start(*lock_, "no-such-group", *controller_, statistics_, node_);
    }
    [[nodiscard]] std::string socket_path() const { return directory_.file("api.sock"); }
    [[nodiscard]] publish::Descriptor connect_raw() const {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, socket_path().c_str(), sizeof(address.sun_path) - 1);
        publish::Descriptor peer(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (::connect(peer.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) != 0) peer.reset();
        return peer;
    }

    /// The site's, but that statistics are told, as fairleadd's are.
    [[nodiscard]] node::Surroundings surroundings() {
        auto surroundings = site_.surroundings();
        surroundings.changed = [this](const node::Standing &standing) { statistics_->set_node(standing); };
        return surroundings;
    }

    publish::testing::TemporaryDirectory directory_;
    std::shared_ptr<metrics::Statistics> statistics_ = std::make_shared<metrics::Statistics>(
        std::make_shared<publish::CountersReader>(directory_.file("dataplane.sock")));
    std::unique_ptr<state::Controller> controller_;
    node::testing::Site site_;
    node::Node node_{site_.commands(), node::WithdrawnMark(directory_.file("withdrawn")), surroundings()};
    std::optional<SocketLock> lock_;
};

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

TEST_F(ServerTest, TheSocketIsForOwnerAndGroupOnly) {
    const auto server = start();
    struct stat status {};
    ASSERT_EQ(::stat(socket_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0660u);
    if (::geteuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
    // The directory lets everybody in, so that it is the socket that says no.
    ASSERT_EQ(::chmod(directory_.file("").c_str(), 0755), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
        ::_exit(!connect_raw() && errno == EACCES ? 0 : 1);
    }
    int code = -1;
    ::waitpid(child, &code, 0);
    EXPECT_EQ(WEXITSTATUS(code), 0);
}

TEST_F(ServerTest, AStaleSocketIsReplacedAndALiveOneIsNot) {
    { // what a kill -9 leaves
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, socket_path().c_str(), sizeof(address.sun_path) - 1);
        const publish::Descriptor stale(::socket(AF_UNIX, SOCK_STREAM, 0));
        ASSERT_EQ(::bind(stale.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address), 0);
    }
    auto first = start();
    ASSERT_TRUE(first) << first.error().format();
    const auto second = SocketLock::take(socket_path());
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().what.find("another fairleadd serves this socket"), std::string::npos);
    EXPECT_TRUE(Client(socket_path(), std::chrono::seconds(10)).status()) << "the first is unharmed";
    first->reset();
    EXPECT_FALSE(std::filesystem::exists(socket_path())) << "nothing is left";
}

TEST_F(ServerTest, WithoutADaemonACallSaysWhatToDo) {
    const auto answer = Client(socket_path(), std::chrono::seconds(10)).status();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().kind, CallFailure::Kind::kUnreachable);
    EXPECT_EQ(answer.error().error.what, "cannot reach fairleadd: No such file or directory");
}

TEST_F(ServerTest, APathTooLongForASocketIsRefused) {
    const auto lock = SocketLock::take(directory_.file(std::string(120, 'x')));
    ASSERT_FALSE(lock);
    EXPECT_NE(lock.error().what.find("too many for a socket's path"), std::string::npos);
}

long resident_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    return 0;
}

/// FAULTS F14.
TEST_F(ServerTest, AThousandConnectionsHalfMessagesAndAGiantOneHarmNobody) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 4096) GTEST_SKIP() << "needs 4,096 descriptors";
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    const auto server = start();
    const long before_kib = resident_kib();

    // Half of them say nothing, the rest the beginning of HTTP/2 and then nothing, or no HTTP/2 at all.
    std::vector<publish::Descriptor> peers;
    constexpr std::string_view kBeginnings[] = {"", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                                                std::string_view("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\xff", 35)};
    for (int i = 0; i < 1000; ++i) {
        peers.push_back(connect_raw());
        ASSERT_TRUE(peers.back()) << i;
        const std::string_view text = kBeginnings[i % 4];
        (void)::send(peers.back().get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
    Client client(socket_path(), std::chrono::seconds(20));
    EXPECT_TRUE(client.status());

    v1::ApplyRequest giant;
    giant.set_text(std::string(64u << 20, '#'));
    const auto refused = client.apply(giant);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, CallFailure::Kind::kRefused);
    giant.clear_text();
    EXPECT_TRUE(client.status());
    EXPECT_EQ(controller_->view()->config, config_with(2));
    // The client's 64 MiB are this process's own: twice, as text and as message.
    EXPECT_LT(resident_kib() - before_kib, 400 << 10);
}

TEST_F(ServerTest, TheDaemonsProcessIsKnownByItsSocket) {
    Client client(socket_path(), std::chrono::seconds(10));
    EXPECT_FALSE(client.daemon_process()) << "nobody listens";
    const auto server = start();
    const publish::Descriptor process = client.daemon_process();
    ASSERT_TRUE(process);
    std::ifstream facts("/proc/self/fdinfo/" + std::to_string(process.get()));
    const std::string text{std::istreambuf_iterator<char>(facts), {}};
    EXPECT_NE(text.find("Pid:\t" + std::to_string(::getpid()) + "\n"), std::string::npos) << text;
}

TEST_F(ServerTest, ADrainTellsItsProgressAndItsEnd) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    std::vector<v1::NodeProgress> words;
    const auto tell = [&words](const v1::NodeProgress &word) { words.push_back(word); };
    v1::NodeDrainRequest request;
    request.set_quiet_for_s(5);
    const auto drained = client.node_drain(request, tell, {});
    ASSERT_TRUE(drained) << drained.error().error.format();
    ASSERT_GE(words.size(), 10u) << "a look each half a second";
    EXPECT_EQ(words.front().phase(), v1::NodeProgress::PHASE_WITHDRAWING);
    EXPECT_EQ(words.front().text(), node::testing::Site::kWithdraw);
    EXPECT_EQ(words[1].phase(), v1::NodeProgress::PHASE_WAITING);
    EXPECT_EQ(words[1].connections(), 7u);
    EXPECT_EQ(words[words.size() - 2].phase(), v1::NodeProgress::PHASE_STOPPING);
    EXPECT_EQ(words.back().phase(), v1::NodeProgress::PHASE_DONE);
    EXPECT_EQ(site_.dataplane_stops, 1);
    EXPECT_EQ(site_.self_stops, 1);
    EXPECT_EQ(site_.seconds(), 5);
}

TEST_F(ServerTest, ADrainThatIsRefusedSaysWhyAsAnyCall) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    site_.command_end = std::unexpected(error_of("/usr/sbin/birdc: exit status 1: no such protocol"));
    const auto refused = client.node_drain({}, [](const v1::NodeProgress &) {}, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, CallFailure::Kind::kRefused);
    EXPECT_EQ(refused.error().error.field, "--on-withdraw");
    EXPECT_TRUE(refused.error().error.what.starts_with("/usr/sbin/birdc: exit status 1: no such protocol; ")) << refused.error().error.what;

    v1::NodeDrainRequest endless;
    endless.set_deadline_s(~0u);
    const auto wrong = client.node_drain(endless, [](const v1::NodeProgress &) {}, {});
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().error.field, "deadline");

    const auto error_of_drain = [&client](const v1::NodeDrainRequest &request) {
        const auto done = client.node_drain(request, [](const v1::NodeProgress &) {}, {});
        return done ? "done" : done.error().error.format();
    };
    v1::NodeDrainRequest both;
    both.set_keep_running(true);
    both.set_stop_at_deadline(true);
    EXPECT_EQ(error_of_drain(both), "keep_running: stopping nothing and stopping at the deadline exclude each other; "
                                    "give one of keep_running and stop_at_deadline");
    v1::NodeDrainRequest early;
    early.set_deadline_s(9);
    EXPECT_EQ(error_of_drain(early), "quiet_for: a deadline of 9 s ends before traffic can have been gone for 10 s; "
                                     "give a longer deadline, or a shorter quiet_for");
    EXPECT_EQ(site_.ran.size(), 1u) << "a wrong request runs nothing";
    early.set_stop_at_deadline(true);
    EXPECT_NE(error_of_drain(early).find("--on-withdraw"), std::string::npos) << "a deadline that stops it may come before";
}

TEST_F(ServerTest, AClientThatLeavesEndsItsDrainAndNothingIsStopped) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    site_.packets_per_second_withdrawn = 500;
    site_.has_real_pauses = true;
    std::stop_source source;
    int words = 0;
    v1::NodeDrainRequest request;
    request.set_deadline_s(86400);
    const auto left = client.node_drain(request, [&](const v1::NodeProgress &) { if (++words == 5) source.request_stop(); }, source.get_token());
    ASSERT_FALSE(left);
    EXPECT_EQ(left.error().kind, CallFailure::Kind::kCancelled) << "no refusal: it was the client's own will";
    for (int i = 0; i < 1000 && node_.standing().state != node::State::kWithdrawn; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(node_.standing().state, node::State::kWithdrawn);
    EXPECT_EQ(site_.dataplane_stops + site_.self_stops, 0);
    site_.has_real_pauses = false;

    const auto status = client.status();
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->node().is_managed());
    EXPECT_EQ(status->node().state(), "withdrawn");
    EXPECT_GE(status->node().since_unix_s(), 1'700'000'000u);
    EXPECT_NE(status->node().reason().find("whoever waited is gone"), std::string::npos);
    EXPECT_NE(std::ranges::find(status->warnings(), "this node is out of routing; fairlead node announce puts it back"), status->warnings().end());

    std::vector<v1::NodeProgress> said;
    ASSERT_TRUE(client.node_announce([&said](const v1::NodeProgress &word) { said.push_back(word); }, {}));
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(said[0].phase(), v1::NodeProgress::PHASE_ANNOUNCING);
    EXPECT_EQ(said[1].phase(), v1::NodeProgress::PHASE_DONE);
    EXPECT_EQ(client.status()->node().state(), "announced");
}

TEST_F(ServerTest, StatusWarnsOfAWithdrawnNodeThatNothingPutsBack) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    statistics_->set_node({.is_managed = false, .state = node::State::kWithdrawn, .since_unix_s = 1'700'000'000, .reason = {}});
    const auto status = client.status();
    ASSERT_TRUE(status);
    EXPECT_NE(std::ranges::find(status->warnings(), "this node was taken out of routing by a fairleadd that had commands for it, and this one has none "
                                                    "that put it back; start it with --on-withdraw and --on-announce"),
              status->warnings().end());
}

TEST_F(ServerTest, ADrainEndsWhenFairleaddDoes) {
    auto server = start();
    site_.packets_per_second_withdrawn = 500;
    site_.has_real_pauses = true;
    std::atomic<bool> has_begun = false;
    std::thread ending([&] {
        while (!has_begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        node_.end();
        server->reset();
    });
    Client client(socket_path(), std::chrono::seconds(10));
    v1::NodeDrainRequest request;
    request.set_deadline_s(86400);
    const auto ended = client.node_drain(request, [&](const v1::NodeProgress &) { has_begun = true; }, {});
    ending.join();
    ASSERT_FALSE(ended);
    EXPECT_NE(ended.error().error.format().find("fairleadd ends: the node stays withdrawn"), std::string::npos) << ended.error().error.format();
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
