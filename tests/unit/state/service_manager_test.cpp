// SPDX-License-Identifier: Apache-2.0
#include "controlplane/service_manager.hpp"

#include <fstream>
#include <future>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "tests/unit/notify_socket.hpp"
#include "tests/unit/publish/dataplane_end.hpp"
#include "tests/unit/state/sample_config.hpp"

namespace fairlead {
namespace {

using fairlead::testing::NotifySocket;
using std::chrono::seconds;

class ServiceManagerTest : public ::testing::Test {
  protected:
    ServiceManagerTest() {
        spdlog::set_level(spdlog::level::err);
        std::ofstream(directory_.file("c.yaml")) << config::format_yaml(state::testing::config_with(2));
    }
    [[nodiscard]] std::unique_ptr<state::Controller> start() const {
        state::ControllerOptions options;
        options.state_directory = directory_.file("state");
        options.dataplane_socket = directory_.file("dataplane.sock");
        options.config_file = directory_.file("c.yaml");
        options.has_vip_blackholes = false;
        options.has_health_checks = false;
        auto controller = state::Controller::start(
            std::move(options), std::make_shared<metrics::Statistics>(std::make_shared<publish::CountersReader>(directory_.file("none.sock"))));
        EXPECT_TRUE(controller) << controller.error().format();
        return controller ? std::move(*controller) : nullptr;
    }

    publish::testing::TemporaryDirectory directory_;
    ServiceManager::Clock::time_point start_{};
};

TEST_F(ServiceManagerTest, SaysWhatItServesAndWhenThatChanges) {
    const NotifySocket systemd;
    const auto controller = start();
    ServiceManager manager(*controller);
    ASSERT_TRUE(manager.is_there());
    manager.serves();
    EXPECT_EQ(systemd.receive(), "READY=1\nSTATUS=1 service(s), generation 0, dataplane not connected");
    manager.look(start_);
    EXPECT_EQ(systemd.receive(), "");
    ASSERT_TRUE(controller->change(
        [](const config::Config &config) { return state::add_backend(config, "web", state::testing::backend(3)); }, {}));
    manager.look(start_);
    EXPECT_EQ(systemd.receive(), "STATUS=1 service(s), generation 1, dataplane not connected");
    manager.ends();
    EXPECT_EQ(systemd.receive(), "STOPPING=1\nSTATUS=ends");
}

TEST_F(ServiceManagerTest, TheControllersThreadAnswersTheWatchdog) {
    const NotifySocket systemd(seconds(8));
    const auto controller = start();
    ServiceManager manager(*controller);
    manager.look(start_ + seconds(100));
    EXPECT_EQ(systemd.receive(seconds(10)), "STATUS=1 service(s), generation 0, dataplane not connected");
    EXPECT_EQ(systemd.receive(seconds(10)), "WATCHDOG=1");

    std::promise<void> mended;
    controller->post([&, hung = mended.get_future().share()] { hung.wait(); });
    manager.look(start_ + seconds(102));
    EXPECT_EQ(systemd.receive(std::chrono::milliseconds(300)), "") << "the controller's thread hangs";
    mended.set_value();
    EXPECT_EQ(systemd.receive(seconds(10)), "WATCHDOG=1");
    manager.look(start_ + seconds(103));
    EXPECT_EQ(systemd.receive(std::chrono::milliseconds(100)), "") << "not before a quarter of its time";
}

TEST_F(ServiceManagerTest, SaysThatItReloads) {
    const NotifySocket systemd;
    const auto controller = start();
    ServiceManager manager(*controller);
    manager.reloads();
    const auto message = systemd.receive();
    EXPECT_TRUE(message.starts_with("RELOADING=1\nMONOTONIC_USEC=")) << message;
    EXPECT_TRUE(message.ends_with("c.yaml")) << message;
    manager.serves();
    EXPECT_TRUE(systemd.receive().starts_with("READY=1\n"));
}

} // namespace
} // namespace fairlead
