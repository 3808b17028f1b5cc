// SPDX-License-Identifier: Apache-2.0
/// Real programs, run.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "controlplane/node/command.hpp"
#include "controlplane/node/printed.hpp"
#include "controlplane/publish/descriptor.hpp"
#include "tests/unit/publish/dataplane_end.hpp"

namespace fairlead::node {
namespace {

using namespace std::chrono_literals;

class CommandTest : public ::testing::Test {
  protected:
    CommandTest() { spdlog::set_level(spdlog::level::off); }

    std::expected<std::string, CommandFailure> run_shell(const std::string &script, std::chrono::milliseconds timeout = 10s,
                                                const Environment &environment = {}) {
        return run({script, {"/bin/sh", "-c", script}}, environment, timeout, is_ending_);
    }
    std::string error_of_shell(const std::string &script, std::chrono::milliseconds timeout = 10s) {
        const auto done = run_shell(script, timeout);
        EXPECT_FALSE(done) << script;
        was_cut_short_ = !done && done.error().was_cut_short;
        return done ? "" : done.error().error.format();
    }
    [[nodiscard]] std::string content(const std::string &name) const {
        std::ostringstream text;
        text << std::ifstream(directory_.file(name)).rdbuf();
        return text.str();
    }

    publish::test::TemporaryDirectory directory_;
    std::atomic<bool> is_ending_ = false;
    bool was_cut_short_ = false;
};

TEST_F(CommandTest, TheLastLineThatItPrintsIsItsWord) {
    EXPECT_EQ(run_shell("echo first; echo last >&2").value_or("failed"), "last");
    EXPECT_EQ(run_shell("printf 'no end of line'").value_or("failed"), "no end of line");
    EXPECT_EQ(run_shell("echo word; echo; echo '  '").value_or("failed"), "word") << "empty lines say nothing";
    EXPECT_EQ(run_shell("true").value_or("failed"), "");
    EXPECT_EQ(run_shell("printf 'a\\033[31mb\\n'").value_or("failed"), "a?[31mb") << "no control characters on a terminal";
    EXPECT_EQ(run_shell("head -c 200000 /dev/zero | tr '\\0' x").value_or("").size(), 300u) << "whatever it prints, little is kept";
}

TEST_F(CommandTest, ItsFailureSaysHowAndItsLastLine) {
    EXPECT_EQ(error_of_shell("echo syntax error >&2; exit 3"), "/bin/sh: exit status 3: syntax error");
    EXPECT_EQ(error_of_shell("exit 1"), "/bin/sh: exit status 1, and says nothing");
    EXPECT_FALSE(was_cut_short_);
    EXPECT_EQ(error_of_shell("kill -SEGV $$"), "/bin/sh: killed by signal 11 (Segmentation fault), and says nothing");
    EXPECT_TRUE(was_cut_short_);
    EXPECT_EQ(error_of_shell("sh -c 'kill -TERM $$'"), "/bin/sh: exit status 143: Terminated") << "as a shell tells it";
    EXPECT_TRUE(was_cut_short_) << "systemd ends a unit's processes all at once";
}

TEST_F(CommandTest, OneThatPrintsWithoutEndEndsAtTheTimeout) {
    const auto start = std::chrono::steady_clock::now();
    const std::string path = "/usr/bin/yes";
    const auto done = run({path, {path}}, {}, 2s, is_ending_);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().error.format(), path + ": ended after 2000 ms without an end of its own: y");
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST(Printed, WhatNeverRunsDryIsLeftForALookAtTheClock) {
    const publish::Descriptor zeros(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(zeros);
    const std::string program = "/bin/test";
    Printed printed(program);
    EXPECT_TRUE(printed.take(zeros.get())) << "there is more";
}

TEST_F(CommandTest, AChildThatPrintsWithoutEndIsNotWaitedFor) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(run_shell("yes & sleep 1").value_or("failed"), "y") << "the child holds the pipe, and keeps it full";
    EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST_F(CommandTest, WhereItsEndCannotBeKnownItHasFailed) {
    const auto before = ::signal(SIGCHLD, SIG_IGN); // what a process inherits
    const std::string failed = error_of_shell("exit 3");
    const bool was_cut_short = was_cut_short_;
    ::signal(SIGCHLD, before);
    EXPECT_EQ(failed, "/bin/sh: how it ended is not known, since SIGCHLD is ignored, and says nothing");
    EXPECT_TRUE(was_cut_short);
}

TEST_F(CommandTest, OneThatCannotBeRunIsTold) {
    const std::string path = directory_.file("none");
    const auto done = run({path, {path}}, {}, 10s, is_ending_);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().error.format(), path + ": cannot be run: No such file or directory");
}

TEST_F(CommandTest, AtTheTimeoutItEndsWithAllThatItStarted) {
    const std::string child = directory_.file("child");
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(error_of_shell("echo slow; (trap '' TERM; while :; do sleep 1; done) & echo $! >" + child + "; wait", 2s),
              "/bin/sh: ended after 2000 ms without an end of its own: slow");
    EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
    const pid_t pid = std::atoi(content("child").c_str());
    ASSERT_GT(pid, 0);
    for (int i = 0; i < 500 && ::kill(pid, 0) == 0; ++i) { // until whoever adopts it has reaped it
        std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
        std::string text{std::istreambuf_iterator<char>(stat), {}};
        if (text.find(") Z ") != std::string::npos) return;
        std::this_thread::sleep_for(10ms);
    }
    EXPECT_NE(::kill(pid, 0), 0);
}

TEST_F(CommandTest, OneThatIgnoresTermIsKilled) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_NE(error_of_shell("trap '' TERM; while :; do sleep 1; done", 1s).find("ended after 1000 ms"), std::string::npos);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_GT(took, 2s) << "it has a second to end on its own";
    EXPECT_LT(took, 10s);
}

TEST_F(CommandTest, EndsWithFairleadd) {
    is_ending_ = true;
    EXPECT_NE(error_of_shell("sleep 60").find("since fairleadd ends"), std::string::npos);
    EXPECT_TRUE(was_cut_short_);
}

TEST_F(CommandTest, WhatItLeavesRunningIsNotWaitedFor) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(run_shell("sleep 5 & echo started").value_or("failed"), "started") << "the child holds the pipe";
    EXPECT_LT(std::chrono::steady_clock::now() - start, 4s);
}

TEST_F(CommandTest, ItsEnvironmentIsFairleaddsAndWhatIsSaid) {
    ::setenv("NOTIFY_SOCKET", "/run/nobody", 1);
    ::setenv("WATCHDOG_USEC", "1", 1);
    ::setenv("FAIRLEAD_VIPS", "of another", 1);
    ::setenv("SITE", "here", 1);
    EXPECT_EQ(run_shell("echo \"$SITE,$FAIRLEAD_ACTION,$FAIRLEAD_VIPS,$NOTIFY_SOCKET,$WATCHDOG_USEC\"", 10s,
                        {{"FAIRLEAD_ACTION", "withdraw"}, {"FAIRLEAD_VIPS", "192.0.2.1 192.0.2.2"}})
                  .value_or("failed"),
              "here,withdraw,192.0.2.1 192.0.2.2,,");
    for (const char *name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "FAIRLEAD_VIPS", "SITE"}) ::unsetenv(name);
}

TEST_F(CommandTest, InheritsNoDescriptorAndNoBlockedSignal) {
    const int open = ::open("/dev/null", O_RDONLY); // without CLOEXEC, as some library's may be
    ASSERT_GE(open, 0);
    sigset_t signals;
    sigset_t before;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals, &before);
    EXPECT_EQ(run_shell("test ! -e /proc/self/fd/" + std::to_string(open) + " && grep -q 'SigBlk:.0*$' /proc/self/status && echo clean")
                  .value_or("failed"),
              "clean");
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::close(open);
}

} // namespace
} // namespace fairlead::node
