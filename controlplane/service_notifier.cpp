// SPDX-License-Identifier: Apache-2.0
#include "controlplane/service_notifier.hpp"

#include <cstdint>
#include <cstdlib>

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

namespace fairlead {

namespace {

constexpr int kAnswersPerTimeout = 4; ///< one that comes late is not the last

} // namespace

ServiceNotifier::ServiceNotifier(state::Controller &controller)
    : controller_(controller), is_there_(std::getenv("NOTIFY_SOCKET") != nullptr) {
    std::uint64_t timeout_us = 0;
    if (::sd_watchdog_enabled(0, &timeout_us) > 0) watchdog_period_ = std::chrono::microseconds(timeout_us / kAnswersPerTimeout);
}

std::string ServiceNotifier::status() const {
    const auto view = controller_.view();
    const auto dataplane = controller_.dataplane();
    const std::string services = fmt::format("{} service(s), generation {}", view->services.size(), view->generation);
    if (!dataplane.connected) return services + ", dataplane not connected";
    return dataplane.generation == view->generation ? services
                                                    : fmt::format("{}, the dataplane runs {}", services, dataplane.generation);
}

void ServiceNotifier::serves() {
    status_told_ = status();
    ::sd_notifyf(0, "READY=1\nSTATUS=%s", status_told_.c_str());
}

void ServiceNotifier::look(Clock::time_point now) {
    if (std::string now_told = status(); now_told != status_told_) {
        status_told_ = std::move(now_told);
        ::sd_notifyf(0, "STATUS=%s", status_told_.c_str());
    }
    if (watchdog_period_ == Clock::duration::zero() || now < next_question_) return;
    next_question_ = now + watchdog_period_;
    controller_.post([] { ::sd_notify(0, "WATCHDOG=1"); });
}

void ServiceNotifier::reloads() {
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch());
    ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloads %s", static_cast<long long>(now.count()),
                 controller_.config_file().c_str());
}

void ServiceNotifier::ends() { ::sd_notify(0, "STOPPING=1\nSTATUS=ends"); }

} // namespace fairlead
