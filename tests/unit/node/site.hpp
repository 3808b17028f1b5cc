// SPDX-License-Identifier: Apache-2.0
/// What a Node stands among, played by a test: time that passes only when somebody pauses, packets that come at a rate until
/// the withdraw command has run, commands that succeed or fail as told.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "controlplane/node/node.hpp"

namespace fairlead::node::test {

class Site {
  public:
    static constexpr const char *kWithdraw = "/usr/sbin/birdc disable fairlead";
    static constexpr const char *kAnnounce = "/usr/sbin/birdc enable fairlead";

    double packets_per_second = 1000;           ///< while announced
    double packets_per_second_withdrawn = 0;    ///< afterwards
    std::string traffic_trouble;
    std::string not_forwarding;
    std::expected<std::string, CommandFailure> command_end = "done";
    std::expected<void, Error> stop_end{};
    bool has_real_pauses = false;               ///< a call through the API needs time that passes
    std::function<void()> on_pause;             ///< what happens meanwhile

    std::vector<std::string> ran;               ///< ACTION: command: VIPs
    int dataplane_stops = 0;
    int self_stops = 0;
    std::vector<State> states;                  ///< each once in a row

    [[nodiscard]] static std::optional<Node::Commands> commands() {
        return Node::Commands{*Command::parse(kWithdraw), *Command::parse(kAnnounce)};
    }

    [[nodiscard]] Surroundings surroundings() {
        return {.vips = [] { return std::vector<std::string>{"192.0.2.1", "192.0.2.2"}; },
                .traffic = [this] { return traffic(); },
                .why_not_forwarding = [this] { return not_forwarding; },
                .stop_dataplane = [this] { ++dataplane_stops; return stop_end; },
                .stop_self = [this] { ++self_stops; },
                .run = [this](const Command &command, const Environment &environment, const std::atomic<bool> &) { return run(command, environment); },
                .now = [this] { return now_; },
                .pause = [this](std::chrono::milliseconds time) { pause(time); },
                .unix_s = [this] { return 1'700'000'000 + static_cast<std::uint64_t>((now_ - Time{}) / std::chrono::seconds(1)); },
                .changed = [this](const Standing &standing) { if (states.empty() || states.back() != standing.state) states.push_back(standing.state); }};
    }

    [[nodiscard]] double seconds() const { return std::chrono::duration<double>(now_ - Time{}).count(); }

  private:
    using Time = std::chrono::steady_clock::time_point;

    Traffic traffic() const {
        return {.trouble = traffic_trouble, .packets = static_cast<std::uint64_t>(packets_), .connections = 7};
    }
    std::expected<std::string, CommandFailure> run(const Command &command, const Environment &environment) {
        ran.push_back(environment.at(0).second + ": " + command.text + ": " + environment.at(1).second);
        if (command_end) is_withdrawn_ = command.text == kWithdraw;
        return command_end;
    }
    void pause(std::chrono::milliseconds time) {
        now_ += time;
        packets_ += (is_withdrawn_ ? packets_per_second_withdrawn : packets_per_second) * std::chrono::duration<double>(time).count();
        if (on_pause) on_pause();
        if (has_real_pauses) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }

    Time now_{};
    double packets_ = 5000;
    bool is_withdrawn_ = false;
};

} // namespace fairlead::node::test
