// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/service_notifier.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>

#include <cstdint>
#include <utility>

namespace fairlead::io {

namespace {

constexpr wire::u64 kMicrosecond_ns = 1000;
constexpr wire::u64 kAnswersPerTimeout = 4; // one that comes late is not the last

std::string status_of(wire::u64 generation, const std::string &forwarding) {
    if (generation == 0) return fmt::format("waits for a generation from fairleadd, {}", forwarding);
    return fmt::format("forwards by generation {}, {}", generation, forwarding);
}

} // namespace

ServiceNotifier::ServiceNotifier(GenerationStore &store, std::string forwarding) : store_(store), forwarding_(std::move(forwarding)) {
    std::uint64_t timeout_us = 0;
    if (::sd_watchdog_enabled(0, &timeout_us) > 0) watchdog_period_ns_ = timeout_us * kMicrosecond_ns / kAnswersPerTimeout;
}

void ServiceNotifier::serves(wire::u64 now_ns) {
    generation_told_ = store_.number();
    ::sd_notifyf(0, "READY=1\nSTATUS=%s", status_of(generation_told_, forwarding_).c_str());
    if (watchdog_period_ns_ == 0) return;
    grace_ = store_.start_grace();
    next_answer_ns_ = now_ns + watchdog_period_ns_;
}

void ServiceNotifier::look(wire::u64 now_ns) {
    if (store_.number() != generation_told_) describe();
    if (watchdog_period_ns_ != 0 && now_ns >= next_answer_ns_) answer_watchdog(now_ns);
}

void ServiceNotifier::describe() {
    generation_told_ = store_.number();
    ::sd_notifyf(0, "STATUS=%s", status_of(generation_told_, forwarding_).c_str());
}

void ServiceNotifier::answer_watchdog(wire::u64 now_ns) {
    if (!store_.has_passed(grace_)) {
        if (!is_hang_told_) spdlog::error("a worker hangs: the watchdog is not answered until it goes on");
        is_hang_told_ = true;
        return;
    }
    is_hang_told_ = false;
    ::sd_notify(0, "WATCHDOG=1");
    grace_ = store_.start_grace();
    next_answer_ns_ = now_ns + watchdog_period_ns_;
}

void ServiceNotifier::ends() { ::sd_notify(0, "STOPPING=1\nSTATUS=ends"); }

} // namespace fairlead::io
