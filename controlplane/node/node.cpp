// SPDX-License-Identifier: Apache-2.0
#include "controlplane/node/node.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <utility>

namespace fairlead::node {

namespace {

constexpr const char *kPutBack = "fairlead node drain goes on, fairlead node announce puts it back";

Error no_commands() {
    return error_of("no command is configured that takes this node out of routing",
                    "start fairleadd with --on-withdraw and --on-announce (FAIRLEADD_OPTIONS in /etc/fairlead/fairleadd.env)");
}

Progress word_of(Progress::Phase phase, std::string text) { return {phase, std::move(text), 0, 0}; }

} // namespace

/// The right to change the node's standing; one at a time has it.
class Node::Turn {
  public:
    static std::expected<Turn, Error> take_for_drain(Node &node) {
        const std::lock_guard lock(node.mutex_);
        if (node.is_ending_) return std::unexpected(error_of("fairleadd ends; the node is not drained"));
        if (node.is_busy_ || node.is_announcing_)
            return std::unexpected(error_of(node.is_announcing_ ? "the node is being announced" : "the node is being drained", "see fairlead status"));
        node.is_given_up_ = false;
        node.is_busy_ = true;
        return Turn(node);
    }
    /// Has a drain under way give up, and waits for that.
    static std::expected<Turn, Error> take_for_announcement(Node &node) {
        std::unique_lock lock(node.mutex_);
        if (node.is_ending_) return std::unexpected(error_of("fairleadd ends; the node is not announced"));
        if (node.is_announcing_) return std::unexpected(error_of("the node is being announced", "see fairlead status"));
        node.is_announcing_ = true;
        node.is_given_up_ = true;
        node.free_.wait(lock, [&node] { return !node.is_busy_; });
        node.is_busy_ = true;
        return Turn(node);
    }
    ~Turn() {
        if (node_ == nullptr) return;
        {
            const std::lock_guard lock(node_->mutex_);
            node_->is_busy_ = false;
            if (is_announcement_) node_->is_announcing_ = false;
        }
        node_->free_.notify_all();
    }
    Turn(Turn &&other) noexcept : node_(std::exchange(other.node_, nullptr)), is_announcement_(other.is_announcement_) {}
    Turn &operator=(Turn &&) = delete;

  private:
    explicit Turn(Node &node) : node_(&node), is_announcement_(node.is_announcing_) {}
    Node *node_;
    bool is_announcement_;
};

Node::Node(std::optional<Commands> commands, WithdrawnMark mark, Surroundings surroundings)
    : commands_(std::move(commands)), mark_(std::move(mark)), surroundings_(std::move(surroundings)) {
    standing_.is_managed = commands_.has_value();
    if (const auto since = mark_.read()) {
        standing_.state = State::kWithdrawn;
        standing_.since_unix_s = *since;
        spdlog::warn("this node was taken out of routing before fairleadd started; {}",
                     commands_ ? "fairlead node announce puts it back" : "no command is configured that puts it back: --on-withdraw and --on-announce");
    }
    surroundings_.changed(standing_);
}

Standing Node::standing() const {
    const std::lock_guard lock(mutex_);
    return standing_;
}

void Node::end() { is_ending_ = true; }

void Node::set_state(State state, std::string reason) {
    Standing standing;
    {
        const std::lock_guard lock(mutex_);
        if (standing_.state != state) standing_.since_unix_s = surroundings_.unix_s();
        standing_.state = state;
        standing_.reason = std::move(reason);
        standing = standing_;
    }
    surroundings_.changed(standing);
}

std::unexpected<Error> Node::fail_in(State state, Error error) {
    spdlog::warn("node: {}", error.format());
    set_state(state, error.format());
    return std::unexpected(std::move(error));
}

std::optional<Error> Node::why_give_up(const Caller &caller) const {
    if (is_ending_) return error_of("fairleadd ends: the node stays withdrawn", kPutBack);
    if (is_given_up_) return error_of("given up: the node is announced again");
    if (caller.is_gone()) return error_of("whoever waited is gone: the node stays withdrawn and runs", kPutBack);
    return std::nullopt;
}

std::expected<std::string, CommandFailure> Node::run_command(const char *option, const char *action, const Command &command) {
    const Environment environment = {{"FAIRLEAD_ACTION", action}, {"FAIRLEAD_VIPS", fmt::format("{}", fmt::join(surroundings_.vips(), " "))}};
    spdlog::info("node: {} runs {}", option, command.text);
    auto said = surroundings_.run(command, environment, is_ending_);
    if (!said) said.error().error.field = option;
    return said;
}

std::expected<void, Error> Node::drain(const DrainOptions &options, const Caller &caller) {
    if (!commands_) return std::unexpected(no_commands());
    const auto turn = Turn::take_for_drain(*this);
    if (!turn) return std::unexpected(turn.error());
    if (auto done = withdraw(caller); !done) return done;
    const auto last = wait_for_quiet(options, caller);
    if (!last) return std::unexpected(last.error());
    return stop(options, caller, *last);
}

/// A command that fails leaves the node standing as it did: nothing is run to take it back, since nobody knows how far it came.
/// Of one that was cut short the worse is assumed: that it has withdrawn.
std::expected<void, Error> Node::withdraw(const Caller &caller) {
    const Standing before = standing();
    const bool was_withdrawn = mark_.read().has_value();
    if (auto ok = mark_.set(surroundings_.unix_s()); !ok) return fail_in(before.state, std::move(ok.error()));
    set_state(State::kWithdrawing);
    caller.tell(word_of(Progress::Phase::kWithdrawing, commands_->withdraw.text));
    const auto said = run_command("--on-withdraw", "withdraw", commands_->withdraw);
    if (said) {
        spdlog::info("node: withdrawn; waits for its traffic to go");
        set_state(State::kDraining);
        return {};
    }
    Error error = said.error().error;
    if (was_withdrawn) {
        error.what += "; the node stays withdrawn, as it was, and runs";
    } else if (said.error().was_cut_short) {
        error.what += "; it may have withdrawn the node, which is taken for withdrawn, and runs";
        error.mend = fmt::format("look at the routes; {}", kPutBack);
        return fail_in(State::kWithdrawn, std::move(error));
    } else {
        (void)mark_.clear();
        error.what += "; the node is taken for announced, as it was, and runs";
    }
    error.mend = "mend what the command says and drain again; it must leave routing as it was when it fails";
    return fail_in(was_withdrawn ? State::kWithdrawn : State::kAnnounced, std::move(error));
}

/// Ends drained; or as it was, at a deadline that is none.
std::expected<Progress, Error> Node::wait_for_quiet(const DrainOptions &options, const Caller &caller) {
    QuietWatch watch(options.quiet_for);
    const auto end = surroundings_.now() + options.deadline;
    Progress last;
    last.phase = Progress::Phase::kWaiting;
    for (;;) {
        if (auto reason = why_give_up(caller)) return fail_in(State::kWithdrawn, std::move(*reason));
        const Traffic traffic = surroundings_.traffic();
        const auto now = surroundings_.now();
        last.text = traffic.trouble;
        last.connections = traffic.connections;
        if (traffic.trouble.empty()) watch.look(now, traffic.packets);
        else watch.forget();
        last.packets_per_second = watch.packets_per_second();
        if (watch.is_quiet()) {
            last.packets_per_second = static_cast<double>(watch.packets()) / static_cast<double>(options.quiet_for.count());
            spdlog::info("node: drained, {:.1f} packets a second, {} connections known", last.packets_per_second, last.connections);
            set_state(State::kDrained);
            return last;
        }
        caller.tell(last);
        if (now >= end) return at_deadline(options, std::move(last));
        surroundings_.pause(kLookPeriod);
    }
}

std::expected<Progress, Error> Node::at_deadline(const DrainOptions &options, Progress last) {
    const bool is_known = last.text.empty();
    const std::string left = is_known ? fmt::format("{:.1f} packets a second", last.packets_per_second)
                                      : "an unknown number of packets (" + last.text + ")";
    if (options.stops_at_deadline) {
        spdlog::warn("node: {} still come at the deadline; it is stopped, as was asked for", left);
        set_state(State::kWithdrawn);
        last.is_at_deadline = true;
        return last;
    }
    const char *mend = is_known ? "look at what routes them here" : "see fairlead status; to stop it nevertheless, fairlead node drain --at-deadline stop";
    return fail_in(State::kWithdrawn, error_of(fmt::format("{} still come after {} s; the node stays withdrawn and runs", left, options.deadline.count()),
                                               fmt::format("{}; {}", mend, kPutBack)));
}

std::expected<void, Error> Node::stop(const DrainOptions &options, const Caller &caller, Progress progress) {
    if (!options.keeps_running) {
        const State here = standing().state;
        if (auto reason = why_give_up(caller)) return fail_in(here, std::move(*reason));
        progress.phase = Progress::Phase::kStopping;
        caller.tell(progress);
        if (auto stopped = surroundings_.stop_dataplane(); !stopped) {
            Error error = stopped.error();
            error.what += fmt::format("; the node stays {}, and fairleadd runs", name_of(here));
            return fail_in(here, std::move(error));
        }
        spdlog::info("node: the dataplane has ended; so does fairleadd");
        surroundings_.stop_self();
    }
    progress.phase = Progress::Phase::kDone;
    caller.tell(progress);
    return {};
}

std::expected<void, Error> Node::wait_until_forwarding(const Caller &caller) {
    const auto end = surroundings_.now() + kForwardsWithin;
    for (;;) {
        if (is_ending_) return std::unexpected(error_of("fairleadd ends; the node is not announced"));
        if (caller.is_gone()) return std::unexpected(error_of("whoever waited is gone; the node is not announced"));
        const std::string trouble = surroundings_.why_not_forwarding();
        if (trouble.empty()) return {};
        if (surroundings_.now() >= end)
            return std::unexpected(error_of(fmt::format("this node does not forward: {}; it is not announced", trouble),
                                            "see fairlead status"));
        caller.tell(word_of(Progress::Phase::kWaiting, trouble));
        surroundings_.pause(kLookPeriod);
    }
}

std::expected<void, Error> Node::announce(const Caller &caller) {
    if (!commands_) return std::unexpected(no_commands());
    const auto turn = Turn::take_for_announcement(*this);
    if (!turn) return std::unexpected(turn.error());
    const State before = standing().state;
    if (auto ready = wait_until_forwarding(caller); !ready) return fail_in(before, std::move(ready.error()));
    set_state(State::kAnnouncing);
    caller.tell(word_of(Progress::Phase::kAnnouncing, commands_->announce.text));
    auto said = run_command("--on-announce", "announce", commands_->announce);
    auto cleared = said ? mark_.clear() : std::expected<void, Error>();
    if (!said || !cleared) {
        Error error = said ? cleared.error() : said.error().error;
        if (said || said.error().was_cut_short) { // traffic may come
            const State now = before == State::kDrained ? State::kWithdrawn : before;
            error.what += fmt::format("; the node {} announced; it is taken for {}, and runs", said ? "is" : "may be", name_of(now));
            error.mend = "announce again";
            return fail_in(now, std::move(error));
        }
        error.what += fmt::format("; the node is taken for {}, as it was, and runs", name_of(before));
        error.mend = "mend what the command says and announce again";
        return fail_in(before, std::move(error));
    }
    spdlog::info("node: announced");
    set_state(State::kAnnounced);
    caller.tell(word_of(Progress::Phase::kDone, *said));
    return {};
}

} // namespace fairlead::node
