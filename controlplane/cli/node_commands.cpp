// SPDX-License-Identifier: Apache-2.0
/// fairlead node drain|announce
#include <csignal>
#include <ctime>
#include <memory>
#include <stop_token>
#include <thread>

#include <fmt/format.h>
#include <poll.h>

#include "controlplane/cli/arguments.hpp"
#include "controlplane/cli/progress.hpp"
#include "controlplane/cli/session.hpp"
#include "controlplane/cli/table.hpp"
#include "controlplane/config/config.hpp"

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
    [[nodiscard]] bool has_come() const { return source_.stop_requested(); }

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
        case v1::NodeProgress::PHASE_STOPPING: say(is_new, "stopping: " + traffic()); break;
        case v1::NodeProgress::PHASE_WAITING: wait(is_new); break;
        default: break;
        }
    }
    [[nodiscard]] std::string traffic() const {
        return fmt::format("{:.1f} packets a second, {} connections known", last_.packets_per_second(), grouped(last_.connections()));
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
        if (std::exchange(trouble_, last_.text()) != last_.text() && !last_.text().empty()) {
            progress_.clear();
            fmt::print(stderr, "fairlead: {}; waiting on\n", last_.text());
        }
        if (last_.text().empty()) progress_.show(traffic());
    }

    Progress progress_;
    v1::NodeProgress::Phase phase_ = v1::NodeProgress::PHASE_UNSPECIFIED;
    v1::NodeProgress last_;
    std::string trouble_;
};

/// fairleadd ends after its answer; what is started again before that would find it there.
bool ends(const publish::Descriptor &process) {
    constexpr int kDeadlineMs = 15'000;
    pollfd polled{process.get(), POLLIN, 0}; // none: not to be seen from here, and not waited for
    return !process || ::poll(&polled, 1, kDeadlineMs) > 0;
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
        return session.fail(error_of("drained, and the dataplane has stopped, but fairleadd does not end", "stop it: systemctl stop fairleadd"));
    if (done) return fmt::print("drained: {}; {}\n", teller.traffic(), arguments.keeps_running ? "it runs on" : "dataplane and fairleadd have stopped");
    if (!interruption.has_come()) return session.fail(done.error());
    session.fail(error_of("interrupted: nothing more is waited for, and the node stays withdrawn and runs",
                          "see fairlead status; fairlead node drain goes on, fairlead node announce puts it back"));
}

void announce(Session &session) {
    const Interruption interruption;
    Teller teller;
    const auto done = session.client().node_announce([&](const v1::NodeProgress &word) { teller.tell(word); }, interruption.token());
    teller.end();
    if (done) return fmt::print("announced{}\n", teller.last().text().empty() ? "" : ": " + teller.last().text());
    if (!interruption.has_come()) return session.fail(done.error());
    session.fail(error_of("interrupted", "see fairlead status"));
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
    command->add_option("--at-deadline", arguments->at_deadline, "What then: fail, and leave it withdrawn and running, or stop it nevertheless")
        ->check(CLI::IsMember({"fail", "stop"}))
        ->capture_default_str();
    command->add_flag("--keep-running", arguments->keeps_running, "Stop nothing when traffic is gone");
    command->callback([&session, arguments] { drain(session, *arguments); });

    CLI::App *back = node->add_subcommand("announce", "Put this node back into routing, as soon as it forwards; a drain under way ends");
    back->callback([&session] { announce(session); });
}

} // namespace fairlead::cli
