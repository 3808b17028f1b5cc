// SPDX-License-Identifier: Apache-2.0
#include "controlplane/node/command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <system_error>

#include "controlplane/node/printed.hpp"
#include "controlplane/publish/descriptor.hpp"

namespace fairlead::node {

namespace {

using Clock = std::chrono::steady_clock;
using publish::Descriptor;

constexpr std::chrono::milliseconds kGlance{50};   ///< how soon is_ending is seen
constexpr std::chrono::milliseconds kGrace{1000};  ///< from SIGTERM to SIGKILL
constexpr int kShellSignalBase = 128;              ///< a shell ends with this and the signal that its command was killed by

/// This process's environment, without what is said to it alone.
std::vector<std::string> environment_of(const Environment &more) {
    std::vector<std::string> all;
    for (char **entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const auto is = [&](std::string_view prefix) { return text.starts_with(prefix); };
        if (is("NOTIFY_SOCKET=") || is("WATCHDOG_") || is("LISTEN_") || is("FAIRLEAD_")) continue;
        all.emplace_back(text);
    }
    for (const auto &[name, value] : more) all.push_back(name + "=" + value);
    return all;
}

std::vector<char *> pointers_to(const std::vector<std::string> &words) {
    std::vector<char *> pointers;
    for (const std::string &word : words) pointers.push_back(const_cast<char *>(word.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

class SpawnActions {
  public:
    explicit SpawnActions(int output) {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions_, output, STDERR_FILENO);
        ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1); // some library's may stay open at exec
    }
    ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
    SpawnActions(const SpawnActions &) = delete;
    SpawnActions &operator=(const SpawnActions &) = delete;
    [[nodiscard]] const posix_spawn_file_actions_t *get() const { return &actions_; }

  private:
    posix_spawn_file_actions_t actions_{};
};

/// A group of its own, which a signal reaches whole; signals as a program expects them, not as this one has set them.
class SpawnAttributes {
  public:
    SpawnAttributes() {
        ::posix_spawnattr_init(&attributes_);
        sigset_t none;
        sigset_t all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        ::posix_spawnattr_setpgroup(&attributes_, 0);
        ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    }
    ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
    SpawnAttributes(const SpawnAttributes &) = delete;
    SpawnAttributes &operator=(const SpawnAttributes &) = delete;
    [[nodiscard]] const posix_spawnattr_t *get() const { return &attributes_; }

  private:
    posix_spawnattr_t attributes_{};
};

/// A child, reaped when this ends.
class Process {
  public:
    explicit Process(pid_t pid) : pid_(pid) {}
    ~Process() {
        if (!is_reaped_) (void)wait();
    }
    Process(const Process &) = delete;
    Process &operator=(const Process &) = delete;

    /// It stays a zombie, and its group's number its own, until wait().
    [[nodiscard]] bool has_ended() const {
        siginfo_t info{};
        return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid_;
    }
    void signal_group(int signal) const { ::kill(-pid_, signal); }
    /// Its status; nothing: it is not to be had, the kernel has reaped it.
    std::optional<int> wait() {
        int status = 0;
        pid_t reaped = 0;
        do reaped = ::waitpid(pid_, &status, 0);
        while (reaped < 0 && errno == EINTR);
        is_reaped_ = true;
        return reaped == pid_ ? std::optional(status) : std::nullopt;
    }

  private:
    pid_t pid_;
    bool is_reaped_ = false;
};

enum class End { kItsOwn, kTimeout, kCancelled };

/// Follows it to its end, or ends it.
End follow(const Process &process, Descriptor output, Printed &printed, std::chrono::milliseconds timeout, const std::atomic<bool> &is_ending) {
    End end = End::kItsOwn;
    Clock::time_point until = Clock::now() + timeout;
    for (;;) {
        pollfd polled{output.get(), POLLIN, 0}; // its end is mostly the command's; without one a glance's time passes
        (void)::poll(&polled, 1, static_cast<int>(kGlance.count()));
        if (polled.revents != 0 && !printed.take(output.get())) output.reset();
        if (process.has_ended()) break;
        const bool is_cancelled = is_ending.load();
        if (end == End::kItsOwn && (is_cancelled || Clock::now() >= until)) {
            end = is_cancelled ? End::kCancelled : End::kTimeout;
            process.signal_group(SIGTERM);
            until = Clock::now() + kGrace;
        } else if (end != End::kItsOwn && Clock::now() >= until) {
            process.signal_group(SIGKILL);
        }
    }
    if (end != End::kItsOwn) process.signal_group(SIGKILL); // what it has started
    if (output) (void)printed.take(output.get()); // no end is waited for: what it leaves running may hold the pipe
    return end;
}

bool is_by_signal(int status) { return WIFSIGNALED(status) || WEXITSTATUS(status) > kShellSignalBase; }

std::string describe(int status) {
    if (WIFSIGNALED(status)) return fmt::format("killed by signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
    return fmt::format("exit status {}", WEXITSTATUS(status));
}

} // namespace

std::expected<std::string, CommandFailure> run(const Command &command, const Environment &environment, std::chrono::milliseconds timeout,
                                               const std::atomic<bool> &is_ending) {
    const auto fail = [&](std::string what, bool was_cut_short = false) {
        return std::unexpected(CommandFailure(error_of(command.words.front() + ": " + std::move(what)), was_cut_short));
    };
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(fmt::format("no pipe: {}", std::generic_category().message(errno)));
    Descriptor output(ends[0]);
    Descriptor input(ends[1]);
    ::fcntl(output.get(), F_SETFL, O_NONBLOCK);

    const SpawnActions actions(input.get());
    const SpawnAttributes attributes;
    const auto variables = environment_of(environment);
    pid_t pid = 0;
    const int failure = ::posix_spawn(&pid, command.words.front().c_str(), actions.get(), attributes.get(),
                                      pointers_to(command.words).data(), pointers_to(variables).data());
    if (failure != 0) return fail(fmt::format("cannot be run: {}", std::generic_category().message(failure)));
    input.reset();
    Process process(pid);
    Printed printed(command.words.front());
    const End end = follow(process, std::move(output), printed, timeout, is_ending);
    const auto status = process.wait();
    const std::string last = printed.last();
    const std::string said = last.empty() ? ", and says nothing" : ": " + last;
    switch (end) {
    case End::kTimeout: return fail(fmt::format("ended after {} ms without an end of its own{}", timeout.count(), said), true);
    case End::kCancelled: return fail(fmt::format("ended, since fairleadd ends{}", said), true);
    case End::kItsOwn: break;
    }
    if (!status) return fail("how it ended is not known, since SIGCHLD is ignored" + said, true);
    if (*status != 0) return fail(describe(*status) + said, is_by_signal(*status) || is_ending.load());
    return last;
}

} // namespace fairlead::node
