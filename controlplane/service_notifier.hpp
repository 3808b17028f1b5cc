// SPDX-License-Identifier: Apache-2.0
/// What systemd is told of fairleadd: that it answers, by what it stands, that it reloads or ends, and that neither its main
/// thread nor the controller's hangs. Where nobody is to be told (sd_notify(3): no NOTIFY_SOCKET) nothing is said.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "controlplane/state/controller.hpp"

namespace fairlead {

class ServiceNotifier {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::seconds kLookPeriod{1};

    explicit ServiceNotifier(state::Controller &controller);

    /// Whether anybody is to be told: else look() need not be called.
    [[nodiscard]] bool is_there() const { return is_there_; }
    void serves();
    /// To be called every kLookPeriod by the main thread. The watchdog is answered by the controller's thread, when that gets to it.
    void look(Clock::time_point now);
    void reloads();
    void ends();

  private:
    [[nodiscard]] std::string status() const;

    state::Controller &controller_;
    bool is_there_;
    std::string status_told_;
    Clock::duration watchdog_period_{}; ///< 0: there is none
    Clock::time_point next_question_{};
};

} // namespace fairlead
