// SPDX-License-Identifier: Apache-2.0
/// The controller against a dataplane's end played by the test: what is saved, published, taken back.
#include "controlplane/state/controller.hpp"

#include <algorithm>
#include <fstream>
#include <future>
#include <random>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "tests/unit/nexthop/network_namespace.hpp"
#include "tests/unit/publish/dataplane_end.hpp"
#include "tests/unit/state/sample_config.hpp"
#include "tests/unit/state/sample_options.hpp"

namespace fairlead::state {
namespace {

using publish::test::DataplaneEnd;
using publish::test::TemporaryDirectory;
using test::backend;
using test::config_with;
using test::service;

class ControllerTest : public ::testing::Test {
  protected:
    ControllerTest() {
        spdlog::set_level(spdlog::level::err);
        write_config(config::format_yaml(config_with(2)));
    }

    void write_config(const std::string &text) const { std::ofstream(directory_.file("c.yaml"), std::ios::trunc) << text; }
    [[nodiscard]] std::string state_text() const {
        std::ifstream stream(directory_.file("state") + "/state.json");
        return {std::istreambuf_iterator<char>(stream), {}};
    }
    [[nodiscard]] std::expected<std::unique_ptr<Controller>, Error> try_start() const {
        return Controller::start(test::options_in(directory_), std::make_shared<metrics::Statistics>(
                                                         std::make_shared<publish::CountersReader>(directory_.file("none.sock"))));
    }
    [[nodiscard]] std::unique_ptr<Controller> start() const {
        auto controller = try_start();
        EXPECT_TRUE(controller) << controller.error().format();
        return controller ? std::move(*controller) : nullptr;
    }
    [[nodiscard]] std::string socket_path() const { return directory_.file("dataplane.sock"); }

    /// A change under way while the test plays the dataplane.
    static auto add_backend_later(Controller &controller, std::uint32_t number) {
        return std::async(std::launch::async, [&controller, number] {
            return controller.change([number](const config::Config &config) { return add_backend(config, "web", backend(number)); }, {});
        });
    }

    TemporaryDirectory directory_;
};

TEST_F(ControllerTest, BeginsWithTheFileAndThenWithTheSavedState) {
    auto controller = start();
    EXPECT_EQ(controller->view()->config, config_with(2));
    EXPECT_EQ(controller->file_standing(), FileStanding::kSame);
    const auto done = controller->change([](const config::Config &config) { return add_backend(config, "web", backend(3)); }, {});
    ASSERT_TRUE(done);
    EXPECT_FALSE(done->is_adopted);
    EXPECT_EQ(done->warnings, std::vector<std::string>{"saved; dataplane not connected"});
    EXPECT_EQ(controller->file_standing(), FileStanding::kUnchanged);

    controller.reset();
    controller = start();
    EXPECT_EQ(controller->view()->config, config_with(3)) << "the saved state goes before the file";
    EXPECT_EQ(controller->view()->generation, done->generation);

    controller.reset();
    write_config(config::format_yaml(config_with(7)));
    controller = start();
    EXPECT_EQ(controller->view()->config, config_with(3)) << "also before an edited one";
    EXPECT_EQ(controller->file_standing(), FileStanding::kDiffers);

    write_config("nonsense");
    EXPECT_EQ(controller->file_standing(), FileStanding::kUnreadable);
    controller.reset();
    EXPECT_EQ(start()->view()->config, config_with(3)) << "also before a broken one";
}

TEST_F(ControllerTest, DoesNotBeginWithoutAStateNorAFile) {
    write_config("balancer: {source_address: nowhere}\n");
    const auto controller = try_start();
    ASSERT_FALSE(controller);
    EXPECT_EQ(controller.error().line, 1);
    EXPECT_EQ(controller.error().field, "balancer.source_address");
    EXPECT_EQ(state_text(), "") << "nothing was saved";
}

TEST_F(ControllerTest, AMadeSeedStays) {
    const std::string first = [&] {
        auto controller = start();
        return state_text();
    }();
    const auto before = parse_state(first, "s", BootClock::read());
    auto controller = start();
    const auto after = parse_state(state_text(), "s", BootClock::read());
    ASSERT_TRUE(before && after);
    EXPECT_NE(before->seed, config::Seed{});
    EXPECT_EQ(before->seed, after->seed);
}

TEST_F(ControllerTest, AChangeReturnsWhenTheDataplaneRunsIt) {
    DataplaneEnd dataplane(socket_path());
    auto controller = start();
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(40); // runs a generation of a control plane that lost its state
    EXPECT_EQ(dataplane.receive_publication(41).size(), 2u) << "hops and rows";
    dataplane.adopt(41);

    auto change = add_backend_later(*controller, 3);
    EXPECT_EQ(dataplane.receive_publication(42).size(), 2u);
    EXPECT_EQ(change.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout) << "not adopted yet";
    dataplane.adopt(42);
    const auto done = change.get();
    ASSERT_TRUE(done);
    EXPECT_TRUE(done->is_adopted);
    EXPECT_EQ(done->generation, 42u);
    EXPECT_TRUE(done->warnings.empty());
    EXPECT_EQ(controller->view()->config, config_with(3));
}

TEST_F(ControllerTest, WhatIsTheSameIsNotSentAgain) {
    DataplaneEnd dataplane(socket_path());
    auto controller = start();
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    ASSERT_EQ(dataplane.receive_publication(1).size(), 2u);
    dataplane.adopt(1);
    auto change = std::async(std::launch::async, [&] {
        return controller->change(
            [](const config::Config &config) { return set_service(config, "web", {.udp_s = 33}); }, {});
    });
    EXPECT_TRUE(dataplane.receive_publication(2).empty()) << "only the root is new";
    dataplane.adopt(2);
    EXPECT_TRUE(change.get());

    // No change at all: no generation at all.
    const auto same = controller->change([](const config::Config &config) -> Changed { return config; }, {});
    ASSERT_TRUE(same);
    EXPECT_EQ(same->generation, 2u);
    EXPECT_TRUE(same->is_adopted);
    EXPECT_TRUE(dataplane.is_silent(std::chrono::milliseconds(50)));
}

TEST_F(ControllerTest, ARefusedChangeIsTakenBackWhole) {
    DataplaneEnd dataplane(socket_path());
    auto controller = start();
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    ASSERT_EQ(dataplane.receive_publication(1).size(), 2u);
    dataplane.adopt(1);
    auto refused_change = add_backend_later(*controller, 3);
    (void)dataplane.receive_publication(2);
    dataplane.refuse(2, 0, "no memory");
    const auto refused = refused_change.get();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ChangeRefusal::Kind::kDataplane);
    EXPECT_NE(refused.error().error.format().find("no memory"), std::string::npos);
    EXPECT_EQ(controller->view()->config, config_with(2));
    const auto saved = parse_state(state_text(), "s", BootClock::read());
    ASSERT_TRUE(saved);
    EXPECT_EQ(saved->config, config_with(2));
    EXPECT_EQ(saved->generation, 2u) << "the number is spent";

    auto change = add_backend_later(*controller, 4);
    (void)dataplane.receive_publication(3);
    dataplane.adopt(3);
    EXPECT_TRUE(change.get());
    EXPECT_EQ(controller->view()->config.services[0].backends.back(), backend(4));
}

TEST_F(ControllerTest, AChangeGoesAboveAGenerationThatAnotherPublished) {
    DataplaneEnd dataplane(socket_path());
    auto controller = start();
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    ASSERT_EQ(dataplane.receive_publication(1).size(), 2u);
    dataplane.adopt(1);
    auto change = add_backend_later(*controller, 3);
    (void)dataplane.receive_publication(2);
    dataplane.refuse(2, 0, "generation 2 does not exceed 7, which runs", 7);
    (void)dataplane.receive_publication(8);
    dataplane.adopt(8);
    const auto done = change.get();
    ASSERT_TRUE(done) << done.error().error.format();
    EXPECT_TRUE(done->is_adopted);
    EXPECT_EQ(controller->view()->config, config_with(3));
}

TEST_F(ControllerTest, ADataplaneThatComesBackGetsEverythingAgain) {
    DataplaneEnd dataplane(socket_path());
    auto controller = start();
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    ASSERT_EQ(dataplane.receive_publication(1).size(), 2u);
    dataplane.adopt(1);
    dataplane.hang_up();
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    EXPECT_EQ(dataplane.receive_publication(2).size(), 2u);
    dataplane.adopt(2);
}

TEST_F(ControllerTest, AChangeWhileTheDataplaneGoesAwayIsSavedAndPublishedLater) {
    DataplaneEnd dataplane(socket_path());
    auto controller = start();
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    ASSERT_EQ(dataplane.receive_publication(1).size(), 2u);
    dataplane.adopt(1);
    auto change = add_backend_later(*controller, 3);
    (void)dataplane.receive_publication(2);
    dataplane.hang_up();
    const auto done = change.get();
    ASSERT_TRUE(done) << done.error().error.format();
    EXPECT_FALSE(done->is_adopted);
    EXPECT_EQ(done->warnings, std::vector<std::string>{"saved; dataplane not connected"});
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(1);
    EXPECT_EQ(dataplane.receive_publication(3).size(), 2u);
    dataplane.adopt(3);
    EXPECT_EQ(controller->view()->config, config_with(3));
}

TEST_F(ControllerTest, ADryRunChangesNothing) {
    auto controller = start();
    const std::string before = state_text();
    const auto done = controller->apply(config::format_yaml(config_with(9)), "nine.yaml", true);
    ASSERT_TRUE(done);
    EXPECT_EQ(controller->view()->config, config_with(2));
    EXPECT_EQ(state_text(), before);
}

TEST_F(ControllerTest, ABackendWithoutANextHopIsAWarning) {
    config::Config config = config_with(2);
    config.balancer.next_hop_mac.reset();
    write_config(config::format_yaml(config));
    const nexthop::test::NetworkNamespace without_routes;
    if (!without_routes.why_not().empty()) GTEST_SKIP() << "no network namespace: " << without_routes.why_not();
    without_routes.inside([this] {
        auto controller = start();
        const auto done = controller->change([](const config::Config &now) { return add_backend(now, "web", backend(3)); }, {});
        ASSERT_TRUE(done);
        EXPECT_EQ(std::ranges::count(done->warnings, "backend 10.1.0.3 has no next hop: no route"), 1);
        const auto view = controller->view();
        EXPECT_EQ(std::ranges::count(view->warnings, "backend 10.1.0.3 has no next hop: no route"), 1);
        EXPECT_EQ(view->services[0].backends_unresolved.size(), 3u);
    });
}

TEST_F(ControllerTest, AnotherSeedIsAWarning) {
    auto controller = start();
    config::Config config = config_with(2);
    config.balancer.seed.emplace().fill(5);
    const auto done = controller->apply(config::format_yaml(config), "seed.yaml", false);
    ASSERT_TRUE(done);
    ASSERT_FALSE(done->warnings.empty());
    EXPECT_NE(done->warnings.front().find("the seed changed"), std::string::npos);
}

TEST_F(ControllerTest, HistorySurvivesARestartAndARefusedChangeIsNoPartOfIt) {
    DataplaneEnd dataplane(socket_path());
    auto controller = start();
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    ASSERT_EQ(dataplane.receive_publication(1).size(), 2u);
    dataplane.adopt(1);
    auto change = add_backend_later(*controller, 3);
    (void)dataplane.receive_publication(2);
    dataplane.adopt(2);
    ASSERT_TRUE(change.get());
    const auto before = controller->view()->services[0];
    EXPECT_EQ(before.history_sets, 2u);

    auto refused_change = add_backend_later(*controller, 4);
    (void)dataplane.receive_publication(3);
    dataplane.refuse(3, 0, "no memory");
    ASSERT_FALSE(refused_change.get());
    EXPECT_EQ(controller->view()->services[0].history_digest, before.history_digest);

    controller.reset();
    controller = start();
    EXPECT_EQ(controller->view()->services[0].history_digest, before.history_digest);
    EXPECT_EQ(controller->view()->services[0].history_sets, 2u);
    EXPECT_EQ(controller->view()->services[0].rows_digest, before.rows_digest);
}

/// A second balancer's controller, with a source address, a seed and services of its own.
class ImportTest : public ControllerTest {
  protected:
    ImportTest() {
        config::Config own = config_with(1);
        own.balancer.source_address = wire::Be32::from_host(0x0a000002);
        own.balancer.next_hop_mac = config::MacAddress{2, 0, 0, 0, 0, 2};
        own.services[0] = service("old", 9, 4);
        std::ofstream(other_.file("c.yaml")) << config::format_yaml(own);
        importer_ = std::move(*Controller::start({.state_directory = other_.file("state"),
                                                  .dataplane_socket = other_.file("dataplane.sock"),
                                                  .config_file = other_.file("c.yaml"),
                                                  .has_vip_blackholes = false},
                                                 std::make_shared<metrics::Statistics>(std::make_shared<publish::CountersReader>(
                                                     other_.file("none.sock")))));
    }

    TemporaryDirectory other_;
    std::unique_ptr<Controller> importer_;
};

TEST_F(ImportTest, AnotherBalancerTakesTheWholeStateOver) {
    auto exporter = start();
    for (const std::uint32_t number : {3u, 4u})
        ASSERT_TRUE(exporter->change([number](const config::Config &config) { return add_backend(config, "web", backend(number)); }, {}));
    ASSERT_TRUE(exporter->change([](const config::Config &config) { return remove_backend(config, "web", backend(1).address); }, {}));
    const auto text = exporter->export_state();
    ASSERT_TRUE(text);
    const auto done = importer_->import_state(*text, "lb1.json");
    ASSERT_TRUE(done) << done.error().error.format();

    const auto there = importer_->view();
    config::Config expected = exporter->view()->config;
    expected.balancer.source_address = wire::Be32::from_host(0x0a000002);
    expected.balancer.next_hop_mac = config::MacAddress{2, 0, 0, 0, 0, 2};
    EXPECT_EQ(there->config, expected);
    EXPECT_EQ(there->services[0].rows_digest, exporter->view()->services[0].rows_digest);
    EXPECT_EQ(there->services[0].history_digest, exporter->view()->services[0].history_digest);
    EXPECT_EQ(there->services[0].history_sets, 4u);
    const auto here = parse_state(*text, "s", BootClock::read());
    const auto imported = parse_state(*importer_->export_state(), "s", BootClock::read());
    ASSERT_TRUE(here && imported);
    EXPECT_EQ(imported->allocation, here->allocation) << "slots, epochs, creation ids, quarantines";
    EXPECT_EQ(imported->seed, here->seed);
    EXPECT_EQ(imported->histories, here->histories);
    EXPECT_EQ(imported->generation, 1u) << "numbers go on from its own, which was 0";
}

TEST_F(ImportTest, WhatIsNoStateChangesNothing) {
    auto exporter = start();
    const std::string text = exporter->export_state().value();
    const std::string before = importer_->export_state().value();
    std::string damaged = text;
    damaged[damaged.find("\"seed\"") + 10] ^= 1;
    for (const std::string &bad : {std::string(), std::string("{}"), text.substr(0, text.size() / 2), damaged}) {
        const auto refused = importer_->import_state(bad, "lb1.json");
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ChangeRefusal::Kind::kRequest);
        EXPECT_EQ(refused.error().error.file, "lb1.json");
    }
    EXPECT_EQ(importer_->export_state().value(), before);
}

TEST_F(ImportTest, AStateWhoseBackendIsThisBalancerIsRefused) {
    auto exporter = start();
    ASSERT_TRUE(exporter->change(
        [](const config::Config &config) { return add_backend(config, "web", {.address = wire::Be32::from_host(0x0a000002)}); }, {}));
    const auto refused = importer_->import_state(exporter->export_state().value(), "lb1.json");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().error.format().find("is this balancer's source_address"), std::string::npos);
    EXPECT_EQ(importer_->view()->config.services[0].name, "old");
}

/// FAULTS F4: whatever is applied, the state is the old one whole or the new one whole.
TEST_F(ControllerTest, TwoThousandMutatedFilesAreRefusedOrAppliedWhole) {
    auto controller = start();
    std::mt19937 random(11);
    const std::string good = config::format_yaml(config_with(4));
    int applied = 0;
    for (int i = 0; i < 2000; ++i) {
        std::string text = good;
        for (std::size_t n = 1 + random() % 2; n > 0 && !text.empty(); --n) {
            const std::size_t at = random() % text.size();
            switch (random() % 4) {
            case 0: text[at] = static_cast<char>(random()); break;
            case 1: text.erase(at, 1 + random() % 30); break;
            case 2: text.insert(at, text.substr(random() % text.size(), random() % 40)); break;
            case 3: text.resize(at); break;
            }
        }
        const auto before = controller->view();
        const std::string saved_before = state_text();
        const auto expected = config::parse(text, "mutated.yaml");
        const auto done = controller->apply(text, "mutated.yaml", false);
        ASSERT_EQ(done.has_value(), expected.has_value());
        if (done) {
            ++applied;
            ASSERT_EQ(controller->view()->config, *expected);
        } else {
            ASSERT_EQ(done.error().error, expected.error());
            ASSERT_EQ(controller->view(), before);
            ASSERT_EQ(state_text(), saved_before);
        }
    }
    EXPECT_GT(applied, 20);
    EXPECT_LT(applied, 1500);
}

} // namespace
} // namespace fairlead::state
