// SPDX-License-Identifier: Apache-2.0
/// This balancer as one of a fleet: taken out of routing, emptied and stopped (drain), put back (announce).
///
///   announced -> withdrawing -> draining -> drained -> (stopped)
///       ^             |            |
///       |             v            v  deadline, client gone
///       |    (as it was before)  withdrawn
///       '--------- announcing <----'
///
/// Routing itself is changed by two commands of the site's; fairleadd announces nothing on its own, not at its start either.
/// Packets that still come are forwarded as ever, in every state. One drain at a time, in its caller's thread; an announcement
/// gives it up.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <expected>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/error.hpp"
#include "controlplane/node/command.hpp"
#include "controlplane/node/quiet_watch.hpp"
#include "controlplane/node/standing.hpp"
#include "controlplane/node/withdrawn_mark.hpp"

namespace fairlead::node {

/// What services have received until now, and what the connection tables hold.
struct Traffic {
    std::string trouble; ///< why it is not known; empty: it is
    std::uint64_t packets = 0;
    std::uint64_t connections = 0;
};

/// What the node stands among; functions, so that tests have others, time included.
struct Surroundings {
    std::function<std::vector<std::string>()> vips;
    std::function<Traffic()> traffic;
    std::function<std::string()> why_not_forwarding; ///< empty: the dataplane runs what is desired
    std::function<std::expected<void, Error>()> stop_dataplane;
    std::function<void()> stop_self; ///< has fairleadd end, soon
    std::function<std::expected<std::string, CommandFailure>(const Command &, const Environment &, const std::atomic<bool> &)> run;
    std::function<std::chrono::steady_clock::time_point()> now;
    std::function<void(std::chrono::milliseconds)> pause;
    std::function<std::uint64_t()> unix_s;
    std::function<void(const Standing &)> changed; ///< called with each new standing
};

struct DrainOptions {
    std::chrono::seconds quiet_for{10};
    std::chrono::seconds deadline{600}; ///< from the command's end
    bool keeps_running = false;         ///< ends drained, not stopped; excludes the next
    bool stops_at_deadline = false;     ///< whatever traffic still comes
};

struct Progress {
    enum class Phase { kWithdrawing, kWaiting, kStopping, kAnnouncing, kDone };
    Phase phase = Phase::kDone;
    std::string text;              ///< the command, what it said, or why traffic is not known
    double packets_per_second = 0; ///< waiting; done: in the last quiet_for
    std::uint64_t connections = 0; ///< waiting, done: live entries of the connection tables
    bool is_at_deadline = false;   ///< stopping, done: since the deadline has come, not since traffic is gone
};

/// Who called, and wants to know.
struct Caller {
    std::function<void(const Progress &)> tell;
    std::function<bool()> is_gone;
};

class Node {
  public:
    struct Commands {
        Command withdraw;
        Command announce;
    };
    static constexpr std::chrono::milliseconds kLookPeriod{500};
    /// A dataplane that has just been started is waited for before the node is announced.
    static constexpr std::chrono::seconds kForwardsWithin{15};

    /// @param commands nothing: none are configured, and drain and announce are refused.
    Node(std::optional<Commands> commands, WithdrawnMark mark, Surroundings surroundings);

    /// Withdraws, waits until traffic is gone, stops. Commands may be run in any state, so they must bear being run twice.
    [[nodiscard]] std::expected<void, Error> drain(const DrainOptions &options, const Caller &caller);

    /// Puts the node back; a drain under way ends with an error.
    [[nodiscard]] std::expected<void, Error> announce(const Caller &caller);

    [[nodiscard]] Standing standing() const;

    void end(); ///< fairleadd ends: whatever is under way does, and nothing more begins

  private:
    class Turn;
    [[nodiscard]] std::expected<void, Error> withdraw(const Caller &caller);
    [[nodiscard]] std::expected<Progress, Error> wait_for_quiet(const DrainOptions &options, const Caller &caller);
    [[nodiscard]] std::expected<Progress, Error> at_deadline(const DrainOptions &options, Progress last);
    [[nodiscard]] std::expected<void, Error> stop(const DrainOptions &options, const Caller &caller, Progress progress);
    [[nodiscard]] std::expected<void, Error> wait_until_forwarding(const Caller &caller);
    [[nodiscard]] std::expected<std::string, CommandFailure> run_command(const char *option, const char *action, const Command &command);
    [[nodiscard]] std::optional<Error> why_give_up(const Caller &caller) const;
    void set_state(State state, std::string reason = {});
    std::unexpected<Error> fail_in(State state, Error error);

    const std::optional<Commands> commands_;
    const WithdrawnMark mark_;
    const Surroundings surroundings_;
    std::atomic<bool> is_ending_ = false;
    std::atomic<bool> is_given_up_ = false; ///< the drain under way: somebody announces

    mutable std::mutex mutex_; ///< guards what follows
    std::condition_variable free_;
    bool is_busy_ = false;
    bool is_announcing_ = false;
    Standing standing_;
};

} // namespace fairlead::node
