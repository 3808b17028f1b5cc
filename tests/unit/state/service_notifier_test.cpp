// SPDX-License-Identifier: Apache-2.0
#include "controlplane/service_notifier.hpp"

#include <fstream>
#include <future>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "tests/unit/notify_socket.hpp"
#include "tests/unit/publish/dataplane_end.hpp"
#include "tests/unit/state/sample_config.hpp"
#include "tests/unit/state/sample_options.hpp"

namespace fairlead {
namespace {

using fairlead::test::NotifySocket;
using std::chrono::seconds;

class ServiceNotifierTest : public ::testing::Test {
  protected:
    ServiceNotifierTest() {
        spdlog::set_level(spdlog::level::err);
        std::ofstream(directory_.file("c.yaml")) << config::format_yaml(state::test::config_with(2));
    }
    [[nodiscard]] std::unique_ptr<state::Controller> start() const {
        auto controller = state::Controller::start(
            state::test::options_in(directory_), std::make_shared<metrics::Statistics>(std::make_shared<publish::CountersReader>(directory_.file("none.sock"))));
        EXPECT_TRUE(controller) << controller.error().format();
        return controller ? std::move(*controller) : nullptr;
    }

    publish::test::TemporaryDirectory directory_;
    ServiceNotifier::Clock::time_point start_{};
};

TEST_F(ServiceNotifierTest, SaysWhatItServesAndWhenThatChanges) {
    const NotifySocket systemd;
    const auto controller = start();
    ServiceNotifier notifier(*controller);
    ASSERT_TRUE(notifier.is_there());
    notifier.serves();
    EXPECT_EQ(systemd.receive(), "READY=1\nSTATUS=1 service(s), generation 0, dataplane not connected");
    notifier.look(start_);
    EXPECT_EQ(systemd.receive(), "");
    ASSERT_TRUE(controller->change(
        [](const config::Config &config) { return state::add_backend(config, "web", state::test::backend(3)); }, {}));
    notifier.look(start_);
    EXPECT_EQ(systemd.receive(), "STATUS=1 service(s), generation 1, dataplane not connected");
    notifier.ends();
    EXPECT_EQ(systemd.receive(), "STOPPING=1\nSTATUS=ends");
}

TEST_F(ServiceNotifierTest, TheControllersThreadAnswersTheWatchdog) {
    const NotifySocket systemd(seconds(8));
    const auto controller = start();
    ServiceNotifier notifier(*controller);
    notifier.look(start_ + seconds(100));
    EXPECT_EQ(systemd.receive(seconds(10)), "STATUS=1 service(s), generation 0, dataplane not connected");
    EXPECT_EQ(systemd.receive(seconds(10)), "WATCHDOG=1");

    std::promise<void> mended;
    controller->post([&, hung = mended.get_future().share()] { hung.wait(); });
    notifier.look(start_ + seconds(102));
    EXPECT_EQ(systemd.receive(std::chrono::milliseconds(300)), "") << "the controller's thread hangs";
    mended.set_value();
    EXPECT_EQ(systemd.receive(seconds(10)), "WATCHDOG=1");
    notifier.look(start_ + seconds(103));
    EXPECT_EQ(systemd.receive(std::chrono::milliseconds(100)), "") << "not before a quarter of its time";
}

TEST_F(ServiceNotifierTest, SaysThatItReloads) {
    const NotifySocket systemd;
    const auto controller = start();
    ServiceNotifier notifier(*controller);
    notifier.reloads();
    const auto message = systemd.receive();
    EXPECT_TRUE(message.starts_with("RELOADING=1\nMONOTONIC_USEC=")) << message;
    EXPECT_TRUE(message.ends_with("c.yaml")) << message;
    notifier.serves();
    EXPECT_TRUE(systemd.receive().starts_with("READY=1\n"));
}

} // namespace
} // namespace fairlead
