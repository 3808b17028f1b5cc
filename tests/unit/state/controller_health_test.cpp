// SPDX-License-Identifier: Apache-2.0
/// The controller with real health checks, in a network namespace whose loopback has the backends' addresses.
#include <fstream>
#include <future>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "controlplane/state/controller.hpp"
#include "tests/unit/health/listener.hpp"
#include "tests/unit/nexthop/network_namespace.hpp"
#include "tests/unit/publish/counters_file.hpp"
#include "tests/unit/state/sample_config.hpp"
#include "tests/unit/state/sample_options.hpp"

namespace fairlead::state {
namespace {

using health::test::Listener;
using publish::test::CountersFile;
using publish::test::DataplaneEnd;
using publish::test::TemporaryDirectory;
using test::backend;

/// Four backends on 10.1.0.1 to 10.1.0.4, port 80, checked every 100 ms.
config::Config checked_config() {
    config::Config config = test::config_with(4);
    config.services[0].health.interval_ms = 100;
    config.services[0].health.timeout_ms = 5000; // nothing here waits for it
    config.services[0].health.rise = 1;
    config.services[0].health.fall = 1;
    return config;
}

class ControllerHealthTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!apart_.why_not().empty()) GTEST_SKIP() << "no network namespace: " << apart_.why_not();
        spdlog::set_level(spdlog::level::off);
        apart_.shell("ip link set lo up; for i in 1 2 3 4; do ip addr add 10.1.0.$i/32 dev lo; done");
        write_config(checked_config());
    }
    void write_config(const config::Config &config) const {
        std::ofstream(directory_.file("c.yaml"), std::ios::trunc) << config::format_yaml(config);
    }
    [[nodiscard]] std::unique_ptr<Controller> start(bool has_health_checks = true) const {
        ControllerOptions options = test::options_in(directory_);
        options.has_health_checks = has_health_checks;
        auto controller = Controller::start(std::move(options), statistics_);
        EXPECT_TRUE(controller) << controller.error().format();
        return controller ? std::move(*controller) : nullptr;
    }

    /// The slot states of the next publication, by slot.
    static std::vector<int> receive_states(DataplaneEnd &dataplane) {
        while (true) {
            const auto arrival = dataplane.receive();
            if (arrival.type == wire::kControlSegment) continue;
            EXPECT_EQ(arrival.type, wire::kControlPublish);
            if (arrival.type != wire::kControlPublish) return {};
            const std::vector<std::byte> bytes = arrival.content();
            wire::SnapshotRoot root;
            std::memcpy(&root, bytes.data(), sizeof root);
            std::vector<int> states;
            for (std::uint32_t i = 0; i < root.slot_count; ++i) {
                wire::SlotEntry slot;
                std::memcpy(&slot, bytes.data() + sizeof root + root.service_count * sizeof(wire::ServiceEntry) + i * sizeof slot,
                            sizeof slot);
                states.push_back(slot.state);
            }
            dataplane.adopt(root.generation);
            return states;
        }
    }
    /// Adopts publications until one has these slot states.
    static void await_states(DataplaneEnd &dataplane, const std::vector<int> &expected) {
        std::vector<int> states;
        for (int i = 0; i < 20 && states != expected; ++i) {
            states = receive_states(dataplane);
            if (states.empty()) break;
        }
        EXPECT_EQ(states, expected);
    }
    template <class IsRight> static void await_view(const Controller &controller, IsRight is_right) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!is_right(*controller.view())) {
            ASSERT_LT(std::chrono::steady_clock::now(), end);
            std::this_thread::yield();
        }
    }

    nexthop::test::NetworkNamespace apart_;
    TemporaryDirectory directory_;
    std::shared_ptr<metrics::Statistics> statistics_ = std::make_shared<metrics::Statistics>(
        std::make_shared<publish::CountersReader>(directory_.file("counters.sock")));
};

constexpr int kUp = wire::kSlotUp, kDraining = wire::kSlotDraining, kRehash = wire::kSlotRehash;

TEST_F(ControllerHealthTest, ATransitionIsAGenerationAndARecoveryAnother) {
    apart_.inside([this] {
        std::vector<std::unique_ptr<Listener>> servers;
        for (std::uint32_t i = 1; i <= 3; ++i) {
            servers.push_back(std::make_unique<Listener>(backend(i).address, 80));
            servers.back()->listen();
        }
        DataplaneEnd dataplane(directory_.file("dataplane.sock"));
        auto controller = start();
        ASSERT_TRUE(dataplane.accept());
        dataplane.say_hello(0);
        await_states(dataplane, {kUp, kUp, kUp, kDraining}); // 10.1.0.4 refuses
        apart_.shell("ip addr del 10.1.0.4/32 dev lo");
        await_states(dataplane, {kUp, kUp, kUp, kRehash}); // and is gone
        await_view(*controller, [](const View &view) { return view.services[0].health.dead == 1; });
        const auto view = controller->view();
        EXPECT_EQ(view->services[0].backends_taking, 3u);
        EXPECT_EQ(view->health.begin()->second.reason, "connect to port 80: Network is unreachable, 1 of 1");
        apart_.shell("ip addr add 10.1.0.4/32 dev lo");
        Listener returned(backend(4).address, 80);
        returned.listen();
        await_states(dataplane, {kUp, kUp, kUp, kUp});
        await_view(*controller, [](const View &now) { return now.services[0].backends_taking == 4; });
        EXPECT_EQ(controller->view()->services[0].history_sets, 2u) << "with it and without it; the first came back";
    });
}

TEST_F(ControllerHealthTest, ARestartGoesOnWithTheGradesThatWereSaved) {
    apart_.inside([this] {
        std::vector<std::unique_ptr<Listener>> servers;
        for (std::uint32_t i = 1; i <= 3; ++i) {
            servers.push_back(std::make_unique<Listener>(backend(i).address, 80));
            servers.back()->listen();
        }
        apart_.shell("ip addr del 10.1.0.4/32 dev lo");
        auto controller = start();
        await_view(*controller, [](const View &view) { return view.services[0].health.dead == 1; });
        const HealthRecord record = controller->view()->health;
        controller.reset();
        DataplaneEnd dataplane(directory_.file("dataplane.sock"));
        controller = start(false); // nothing could find it out again
        EXPECT_EQ(controller->view()->health, record);
        ASSERT_TRUE(dataplane.accept());
        dataplane.say_hello(0);
        EXPECT_EQ(receive_states(dataplane), (std::vector<int>{kUp, kUp, kUp, kRehash})) << "the first generation";
    });
}

TEST_F(ControllerHealthTest, WhenMoreThanHalfFailAllAreKeptAndItSaysSo) {
    apart_.inside([this] {
        Listener first(backend(1).address, 80);
        first.listen();
        auto controller = start(); // three of four refuse
        await_view(*controller, [](const View &view) { return view.services[0].health.failing == 3; });
        auto view = controller->view();
        EXPECT_TRUE(view->services[0].health.is_kept);
        EXPECT_EQ(view->services[0].backends_taking, 4u);
        ASSERT_EQ(view->warnings.size(), 1u);
        EXPECT_TRUE(view->warnings[0].starts_with("web: 3 of 4 backends are failing or dead"));
        const metrics::HealthSample sample = statistics_->sample().health;
        EXPECT_TRUE(sample.services.at(0).is_kept);
        EXPECT_EQ(sample.backends.at(3).grade, health::Grade::kFailing);
        EXPECT_GE(sample.backends.at(3).counts.probes[1], 1u);
        Listener second(backend(2).address, 80);
        second.listen();
        await_view(*controller, [](const View &v) { return v.services[0].health.failing == 2; });
        view = controller->view();
        EXPECT_FALSE(view->services[0].health.is_kept);
        EXPECT_EQ(view->services[0].backends_taking, 2u);
        EXPECT_TRUE(view->warnings.empty());
    });
}

TEST_F(ControllerHealthTest, ABackendAddedAgainAndACheckTurnedOffAreUp) {
    apart_.inside([this] {
        std::vector<std::unique_ptr<Listener>> servers;
        for (std::uint32_t i = 1; i <= 3; ++i) {
            servers.push_back(std::make_unique<Listener>(backend(i).address, 80));
            servers.back()->listen();
        }
        auto controller = start();
        await_view(*controller, [](const View &view) { return view.services[0].health.failing == 1; });
        const auto set = controller->change(
            [](const config::Config &now) { return set_service(now, "web", {.health = {.type = config::HealthType::kNone}}); }, {});
        ASSERT_TRUE(set) << set.error().error.format();
        EXPECT_EQ(controller->view()->services[0].health.failing, 0u);
        EXPECT_EQ(controller->view()->services[0].backends_taking, 4u);
        EXPECT_TRUE(statistics_->sample().health.backends.empty());
    });
}

TEST_F(ControllerHealthTest, RemovingWhatHasConnectionsAsksForForceAndLeavesItsSlot) {
    config::Config config = checked_config();
    config.services[0].on_dead = config::OnDead::kReset;
    write_config(config);
    CountersFile counters(2);
    counters.seal();
    counters.block(0).slots[1].connections = 30;
    counters.block(1).slots[1].connections = 7;
    DataplaneEnd counting(directory_.file("counters.sock"));
    auto reading = std::async(std::launch::async, [this] { return statistics_->sample().up; });
    publish::test::serve_counters(counting, counters);
    ASSERT_TRUE(reading.get());

    DataplaneEnd dataplane(directory_.file("dataplane.sock"));
    auto controller = start(false);
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    EXPECT_EQ(receive_states(dataplane), std::vector<int>(4, kUp));
    const auto remove_later = [&](std::uint32_t number, bool is_forced) {
        return std::async(std::launch::async, [&controller, number, is_forced] {
            return controller->change(
                [number](const config::Config &now) { return remove_backend(now, "web", backend(number).address); },
                {.is_forced = is_forced});
        });
    };
    const auto refused = remove_later(2, false).get();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ChangeRefusal::Kind::kRequest);
    EXPECT_EQ(refused.error().error.format(),
              "10.1.0.2 of web has 37 open connections; drain it first (fairlead backend drain web 10.1.0.2 --wait), or give --force");
    const auto refused_file = controller->apply(config::format_yaml(test::config_with(1)), "c.yaml", true);
    EXPECT_FALSE(refused_file) << "a dry run says so too";
    EXPECT_EQ(controller->view()->config, config);

    auto empty = remove_later(4, false);
    EXPECT_EQ(receive_states(dataplane), (std::vector<int>{kUp, kUp, kUp, wire::kSlotReset}));
    EXPECT_TRUE(empty.get());
    auto forced = remove_later(2, true);
    EXPECT_EQ(receive_states(dataplane), (std::vector<int>{kUp, wire::kSlotReset, kUp, wire::kSlotReset}));
    EXPECT_TRUE(forced.get());
}

TEST_F(ControllerHealthTest, TheSlotOfARemovedBackendIsFreedWhenItsTimeIsOver) {
    config::Config config = checked_config();
    config.services[0].on_dead = config::OnDead::kKeep;
    config.services[0].timeouts = {1, 1, 1, 1};
    write_config(config);
    DataplaneEnd dataplane(directory_.file("dataplane.sock"));
    auto controller = start(false);
    ASSERT_TRUE(dataplane.accept());
    dataplane.say_hello(0);
    EXPECT_EQ(receive_states(dataplane), std::vector<int>(4, kUp));
    auto removal = std::async(std::launch::async, [&] {
        return controller->change([](const config::Config &now) { return remove_backend(now, "web", backend(4).address); }, {});
    });
    EXPECT_EQ(receive_states(dataplane), (std::vector<int>{kUp, kUp, kUp, kDraining}));
    const auto done = removal.get();
    ASSERT_TRUE(done);
    EXPECT_NE(done->warnings.at(0).find("is unknown"), std::string::npos) << "no counters here";
    EXPECT_EQ(receive_states(dataplane), std::vector<int>(3, kUp)) << "by itself, after its quarantine";
}

} // namespace
} // namespace fairlead::state
