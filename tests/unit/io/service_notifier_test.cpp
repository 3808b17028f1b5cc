// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/service_notifier.hpp"

#include "tests/unit/io/dataplane_process.hpp"
#include "tests/unit/io/temporary_directory.hpp"
#include "tests/unit/notify_socket.hpp"

#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <string>
#include <thread>

namespace fairlead::io {
namespace {

using fairlead::test::NotifySocket;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr wire::u64 kSecond_ns = 1'000'000'000;

TEST(ServiceNotifier, SaysThatItServesAndEnds) {
    const NotifySocket systemd;
    GenerationStore store(1);
    ServiceNotifier notifier(store, "1 worker");
    notifier.serves(0);
    EXPECT_EQ(systemd.receive(), "READY=1\nSTATUS=waits for a generation from fairleadd, 1 worker");
    notifier.look(100 * kSecond_ns);
    EXPECT_EQ(systemd.receive(), "") << "there is no watchdog";
    notifier.ends();
    EXPECT_EQ(systemd.receive(), "STOPPING=1\nSTATUS=ends");
}

TEST(ServiceNotifier, SaysNothingWhereNobodyAsks) {
    GenerationStore store(1);
    ServiceNotifier notifier(store, "");
    notifier.serves(0);
    notifier.look(kSecond_ns);
    notifier.ends();
}

TEST(ServiceNotifier, AnswersTheWatchdogFourTimesInItsTime) {
    const NotifySocket systemd(seconds(8));
    GenerationStore store(1);
    ServiceNotifier notifier(store, "");
    notifier.serves(0);
    systemd.discard();
    notifier.look(2 * kSecond_ns - 1);
    EXPECT_EQ(systemd.receive(), "");
    notifier.look(2 * kSecond_ns);
    EXPECT_EQ(systemd.receive(), "WATCHDOG=1");
    notifier.look(3 * kSecond_ns);
    EXPECT_EQ(systemd.receive(), "");
    notifier.look(4 * kSecond_ns);
    EXPECT_EQ(systemd.receive(), "WATCHDOG=1");
}

TEST(ServiceNotifier, AnswersTheWatchdogOnlyWhenEveryWorkerHasEndedALoop) {
    const NotifySocket systemd(seconds(8));
    GenerationStore store(2);
    store.start_reading(0);
    store.start_reading(1);
    ServiceNotifier notifier(store, "");
    notifier.serves(0);
    systemd.discard();
    store.quiescent(0);
    notifier.look(2 * kSecond_ns);
    EXPECT_EQ(systemd.receive(), "") << "worker 1 has not";
    store.quiescent(1);
    notifier.look(2 * kSecond_ns + 1);
    EXPECT_EQ(systemd.receive(), "WATCHDOG=1");
    store.quiescent(0);
    store.pause(1); // who sleeps does not hang
    notifier.look(5 * kSecond_ns);
    EXPECT_EQ(systemd.receive(), "WATCHDOG=1");
    store.stop_reading(0);
    store.stop_reading(1);
}

/// The thread of a process whose name has this word in it; 0: none.
pid_t thread_named(pid_t process, std::string_view word) {
    for (const auto &task : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
        std::string name;
        std::ifstream(task.path() / "comm") >> name;
        if (name.find(word) != std::string::npos) return std::stoi(task.path().filename());
    }
    return 0;
}

TEST(DataplaneProcessTest, OneWorkerThatHangsSilencesTheWatchdog) {
    const NotifySocket systemd(seconds(4));
    const test::TemporaryDirectory root;
    test::DataplaneProcess process(root.path() / "run", {"--port", "null", "--workers", "1"});
    ASSERT_TRUE(systemd.receive(seconds(20)).starts_with("READY=1\n")) << process.said();
    EXPECT_EQ(systemd.receive(seconds(4)), "WATCHDOG=1");

    const pid_t worker = thread_named(process.pid(), "worker");
    ASSERT_NE(worker, 0);
    if (::ptrace(PTRACE_SEIZE, worker, nullptr, nullptr) != 0) GTEST_SKIP() << "may not stop a thread";
    ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, worker, nullptr, nullptr), 0);
    ASSERT_EQ(::waitpid(worker, nullptr, __WALL), worker);
    std::this_thread::sleep_for(milliseconds(2500));
    systemd.discard(); // what is of loops that it had ended
    EXPECT_EQ(systemd.receive(seconds(4)), "") << "longer than the watchdog's time";

    ASSERT_EQ(::ptrace(PTRACE_DETACH, worker, nullptr, nullptr), 0);
    EXPECT_EQ(systemd.receive(seconds(4)), "WATCHDOG=1");
    systemd.discard();
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(), 0);
    std::string last = systemd.receive();
    if (last == "WATCHDOG=1") last = systemd.receive();
    EXPECT_EQ(last, "STOPPING=1\nSTATUS=ends");
    EXPECT_NE(process.said().find("a worker hangs"), std::string::npos);
}

} // namespace
} // namespace fairlead::io
