// SPDX-License-Identifier: Apache-2.0
/// fairlead node drain|announce
#include <chrono>
#include <csignal>
#include <ctime>
#include <memory>
#include <stop_token>
#include <thread>

#include <fmt/format.h>

#include "controlplane/cli/arguments.hpp"
#include "controlplane/cli/node_ends.hpp"
#include "controlplane/cli/progress.hpp"
#include "controlplane/cli/session.hpp"
#include "controlplane/config/config.hpp"
#include "controlplane/publish/process.hpp"

namespace fairlead::cli {

namespace {

struct DrainArguments {
    std::string quiet_for = "10s";
    std::string deadline = "10m";
    std::string at_deadline = "fail";
    bool keeps_running = false;
};

/// Turns the signals that end a command into a request to stop, for as long as this lives.
class Interruption {
  public:
    Interruption() {
        ::sigemptyset(&signals_);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals_, signal);
        ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr); // before gRPC starts threads, which then block them too
        thread_ = std::jthread([this](const std::stop_token &end) {
            constexpr timespec kGlance{.tv_sec = 0, .tv_nsec = 100'000'000};
            while (!end.stop_requested())
                if (::sigtimedwait(&signals_, nullptr, &kGlance) > 0) source_.request_stop();
        });
    }
    [[nodiscard]] std::stop_token token() const { return source_.get_token(); }
    /// Whether it is the signal that has ended the call: what is refused at the same moment is refused all the same.
    [[nodiscard]] bool has_ended(const api::CallFailure &failure) const {
        return source_.stop_requested() && failure.kind == api::CallFailure::Kind::kCancelled;
    }

  private:
    sigset_t signals_{};
    std::stop_source source_;
    std::jthread thread_;
};

/// Says each phase once, on stdout; on a terminal also how the waiting goes.
class Teller {
  public:
    void tell(const v1::NodeProgress &word) {
        const bool is_new = std::exchange(phase_, word.phase()) != word.phase();
        last_ = word;
        switch (word.phase()) {
        case v1::NodeProgress::PHASE_WITHDRAWING: say(is_new, "withdrawing: " + word.text()); break;
        case v1::NodeProgress::PHASE_ANNOUNCING: say(is_new, "announcing: " + word.text()); break;
        case v1::NodeProgress::PHASE_STOPPING: say(is_new, "stopping: " + (last_.is_at_deadline() ? "the deadline has come" : traffic_of(last_))); break;
        case v1::NodeProgress::PHASE_WAITING: wait(is_new); break;
        default: break;
        }
    }
    [[nodiscard]] const v1::NodeProgress &last() const { return last_; }
    void end() { progress_.clear(); }

  private:
    void say(bool is_new, const std::string &text) {
        if (!is_new) return;
        progress_.clear();
        fmt::print("{}\n", text);
        std::fflush(stdout);
    }
    void wait(bool is_new) {
        say(is_new, last_.text().empty() ? "withdrawn; waiting until traffic is gone" : "waiting");
        progress_.trouble(last_.text());
        if (last_.text().empty()) progress_.show(traffic_of(last_));
    }

    Progress progress_;
    v1::NodeProgress::Phase phase_ = v1::NodeProgress::PHASE_UNSPECIFIED;
    v1::NodeProgress last_;
};

/// fairleadd ends after its answer; what is started again before that would find it there.
bool ends(const publish::Descriptor &process) {
    constexpr std::chrono::seconds kDeadline{15};
    return !process || publish::is_readable_until(process.get(), std::chrono::steady_clock::now() + kDeadline); // none: not to be seen from here
}

std::uint32_t seconds_of(const std::string &duration) { return *config::parse_duration_s(duration); }

void drain(Session &session, const DrainArguments &arguments) {
    v1::NodeDrainRequest request;
    request.set_quiet_for_s(seconds_of(arguments.quiet_for));
    request.set_deadline_s(seconds_of(arguments.deadline));
    request.set_keep_running(arguments.keeps_running);
    request.set_stop_at_deadline(arguments.at_deadline == "stop");
    const Interruption interruption;
    Teller teller;
    const publish::Descriptor daemon = session.client().daemon_process();
    const auto done = session.client().node_drain(request, [&](const v1::NodeProgress &word) { teller.tell(word); }, interruption.token());
    teller.end();
    session.disconnect(); // a daemon that ends waits for its clients
    if (done && !arguments.keeps_running && !ends(daemon))
        return session.fail(error_of("the dataplane has stopped, but fairleadd does not end", "stop it: systemctl stop fairleadd"));
    if (done) return fmt::print("{}\n", end_of_drain(teller.last(), arguments.keeps_running));
    if (!interruption.has_ended(done.error())) return session.fail(done.error());
    session.fail(interrupted_drain(teller.last().phase()));
}

void announce(Session &session) {
    const Interruption interruption;
    Teller teller;
    const auto done = session.client().node_announce([&](const v1::NodeProgress &word) { teller.tell(word); }, interruption.token());
    teller.end();
    if (done) return fmt::print("announced{}\n", teller.last().text().empty() ? "" : ": " + teller.last().text());
    if (!interruption.has_ended(done.error())) return session.fail(done.error());
    session.fail(interrupted_announcement(teller.last().phase()));
}

} // namespace

void add_node_commands(CLI::App &app, Session &session) {
    CLI::App *node = app.add_subcommand("node", "This balancer: take it out of routing and stop it, put it back");
    node->require_subcommand(1);
    CLI::App *command = node->add_subcommand("drain", "Take this node out of routing, wait until its traffic is gone, stop it");
    auto arguments = std::make_shared<DrainArguments>();
    command->add_option("--quiet-for", arguments->quiet_for, "Traffic is gone when at most a packet a second came for so long")
        ->check(is_duration())
        ->capture_default_str();
    command->add_option("--deadline", arguments->deadline, "How long to wait for that at most")->check(is_duration())->capture_default_str();
    CLI::Option *at_deadline =
        command->add_option("--at-deadline", arguments->at_deadline, "What then: fail, and leave it withdrawn and running, or stop it nevertheless")
            ->check(CLI::IsMember({"fail", "stop"}))
            ->capture_default_str();
    command->add_flag("--keep-running", arguments->keeps_running, "Stop nothing when traffic is gone")->excludes(at_deadline);
    command->callback([&session, arguments] { drain(session, *arguments); });

    CLI::App *back = node->add_subcommand("announce", "Put this node back into routing, as soon as it forwards; a drain under way ends");
    back->callback([&session] { announce(session); });
}

} // namespace fairlead::cli
