// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/stop_dataplane.hpp"

#include <gtest/gtest.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include "controlplane/publish/process.hpp"
#include "tests/unit/publish/dataplane_end.hpp"

namespace fairlead::publish {
namespace {

using namespace std::chrono_literals;
using test::DataplaneEnd;

/// A process of its own that listens at the path and does what it is told, since what is waited for is a process's end.
class DataplaneChild {
  public:
    DataplaneChild(const std::string &path, const std::function<void(DataplaneEnd &)> &act, bool is_asked = true) {
        int ready[2];
        EXPECT_EQ(::pipe(ready), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            DataplaneEnd end(path);
            (void)!::write(ready[1], "x", 1);
            if (!is_asked || end.accept()) act(end);
            ::_exit(0);
        }
        char byte = 0;
        EXPECT_EQ(::read(ready[0], &byte, 1), 1);
        ::close(ready[0]);
        ::close(ready[1]);
    }
    ~DataplaneChild() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    /// Whether it has ended, of its own, by now.
    [[nodiscard]] bool has_ended() const {
        siginfo_t info{};
        return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
    }

  private:
    pid_t pid_ = -1;
};

void say_stopping(DataplaneEnd &end) { end.send(make_control_message<wire::ControlStopping>(wire::kControlStopping)); }

class StopDataplaneTest : public ::testing::Test {
  protected:
    test::TemporaryDirectory directory_;
    std::string path_ = directory_.file("dataplane.sock");
};

TEST_F(StopDataplaneTest, ReturnsWhenTheProcessHasEnded) {
    const DataplaneChild child(path_, [](DataplaneEnd &end) {
        end.say_hello(7);
        if (end.receive().type != wire::kControlStop) ::pause();
        say_stopping(end);
        end.hang_up();                              // a socket that is closed is no process that has ended:
        std::this_thread::sleep_for(300ms);         // ports are taken apart meanwhile
    });
    const auto stopped = stop_dataplane(path_, 10s);
    ASSERT_TRUE(stopped) << stopped.error().format();
    EXPECT_TRUE(child.has_ended());
}

TEST_F(StopDataplaneTest, OneThatGoesOnIsTold) {
    const DataplaneChild child(path_, [](DataplaneEnd &end) {
        end.say_hello(7);
        (void)end.receive();
        say_stopping(end);
        ::pause();
    });
    const auto stopped = stop_dataplane(path_, 2s);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().format(), "the dataplane said that it stops, and still runs after 2000 ms; stop it by its service: "
                                        "systemctl stop fairlead-dataplane");
}

TEST_F(StopDataplaneTest, OneThatSaysNothingAtAllIsTold) {
    const std::string mend = "; stop it by its service: systemctl stop fairlead-dataplane";
    {
        const DataplaneChild hung(path_, [](DataplaneEnd &) { ::pause(); });
        const auto stopped = stop_dataplane(path_, 200ms);
        ASSERT_FALSE(stopped);
        EXPECT_EQ(stopped.error().format(), "dataplane: no answer in time" + mend);
    }
    const DataplaneChild closes(path_, [](DataplaneEnd &end) {
        end.hang_up();
        ::pause();
    });
    const auto stopped = stop_dataplane(path_, 10s);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().format(), "dataplane: it closed the connection" + mend);
}

TEST_F(StopDataplaneTest, OneOfAVersionThatKnowsNoStopIsTold) {
    const DataplaneChild child(path_, [](DataplaneEnd &end) {
        end.say_hello(7);
        (void)end.receive();
        end.hang_up(); // as all versions do with a type that they do not know
        ::pause();
    });
    const auto stopped = stop_dataplane(path_, 10s);
    ASSERT_FALSE(stopped);
    EXPECT_NE(stopped.error().format().find("knows no such message"), std::string::npos) << stopped.error().format();
    EXPECT_FALSE(child.has_ended());
}

TEST_F(StopDataplaneTest, StopsOneOfAnotherSnapshotAbi) {
    const DataplaneChild child(path_, [](DataplaneEnd &end) {
        auto hello = DataplaneEnd::hello(7);
        ++hello.snapshot_abi;
        end.send(hello);
        if (end.receive().type == wire::kControlStop) say_stopping(end);
    });
    EXPECT_TRUE(stop_dataplane(path_, 10s));
}

TEST_F(StopDataplaneTest, OneThatEndsInsteadOfAnsweringHasStopped) {
    const DataplaneChild child(path_, [](DataplaneEnd &end) { // somebody else's stop came first
        end.say_hello(7);
        end.hang_up();
        std::this_thread::sleep_for(300ms);
    });
    const auto stopped = stop_dataplane(path_, 10s);
    ASSERT_TRUE(stopped) << stopped.error().format();
    EXPECT_TRUE(child.has_ended());
}

TEST_F(StopDataplaneTest, OneThatIsStartedAgainIsTold) {
    const std::string asked = directory_.file("asked"), replaced = directory_.file("replaced");
    const auto wait_for_file = [](const std::string &file) {
        for (int i = 0; i < 10'000 && !std::filesystem::exists(file); ++i) std::this_thread::sleep_for(1ms);
    };
    const DataplaneChild child(path_, [&](DataplaneEnd &end) {
        end.say_hello(7);
        (void)end.receive();
        std::ofstream(asked).flush();
        say_stopping(end);
        wait_for_file(replaced);
    });
    auto next = std::async(std::launch::async, [&] {
        wait_for_file(asked);
        auto listening = std::make_unique<DataplaneEnd>(path_);
        std::ofstream(replaced).flush();
        return listening;
    });
    const auto stopped = stop_dataplane(path_, 10s);
    const auto listening = next.get();
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().format(), "the dataplane has ended, and has been started again, as systemd does where its end is a crash; stop it by its "
                                        "service: systemctl stop fairlead-dataplane");
}

TEST_F(StopDataplaneTest, WhereNobodyListensItHasStopped) {
    EXPECT_TRUE(stop_dataplane(path_, 1s)) << "no socket";
    { const DataplaneEnd killed(path_); }
    EXPECT_TRUE(stop_dataplane(path_, 1s)) << "one that a killed dataplane has left";
    const auto unusable = stop_dataplane(std::string(200, 'x'), 1s);
    ASSERT_FALSE(unusable);
    EXPECT_NE(unusable.error().format().find("not a usable socket path"), std::string::npos);
}

TEST_F(StopDataplaneTest, OneThatHasItsLockRunsWhetherItListensOrNot) {
    const auto holding = [this](std::chrono::milliseconds time) {
        return std::make_unique<DataplaneChild>(directory_.file("unused"), [this, time](DataplaneEnd &) {
            const int lock = ::open(directory_.file("dataplane.lock").c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
            if (::flock(lock, LOCK_EX | LOCK_NB) != 0) return;
            ::dprintf(lock, "%d\n", ::getpid());
            std::this_thread::sleep_for(time);
        }, false);
    };
    const auto is_locked = [this] {
        for (int i = 0; i < 10'000 && !lock_holder(directory_.file("dataplane.lock")); ++i) std::this_thread::sleep_for(1ms);
        return static_cast<bool>(lock_holder(directory_.file("dataplane.lock")));
    };
    {
        const auto child = holding(20s);
        ASSERT_TRUE(is_locked());
        const auto stopped = stop_dataplane(path_, 200ms);
        ASSERT_FALSE(stopped);
        EXPECT_NE(stopped.error().format().find("the dataplane does not listen any more, and still runs after 200 ms"), std::string::npos);
    }
    const auto child = holding(2s);
    ASSERT_TRUE(is_locked());
    const auto stopped = stop_dataplane(path_, 10s);
    ASSERT_TRUE(stopped) << stopped.error().format();
    EXPECT_TRUE(child->has_ended());
}

/// Two filesystems have files of one inode number: each counts its own.
TEST_F(StopDataplaneTest, ALockOnAnotherFilesystemIsNoDataplanes) {
    const std::string ours = directory_.file("ours"), others = directory_.file("others");
    std::filesystem::create_directories(ours);
    std::filesystem::create_directories(others);
    ASSERT_EXIT(
        {
            if (::unshare(CLONE_NEWNS) != 0 || ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                ::mount("tmpfs", ours.c_str(), "tmpfs", 0, nullptr) != 0 || ::mount("tmpfs", others.c_str(), "tmpfs", 0, nullptr) != 0)
                ::_exit(77);
            const int own = ::open((ours + "/dataplane.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            const int lock = ::open((others + "/dataplane.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
            struct stat first {};
            struct stat second {};
            if (own < 0 || ::fstat(own, &first) != 0 || ::fstat(lock, &second) != 0 || first.st_ino != second.st_ino) ::_exit(2);
            if (::flock(lock, LOCK_EX | LOCK_NB) != 0 || !lock_holder(others + "/dataplane.lock")) ::_exit(3);
            ::_exit(lock_holder(ours + "/dataplane.lock") ? 4 : 0);
        },
        [](int status) { return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || (WEXITSTATUS(status) == 77 && ::geteuid() != 0)); }, "");
}

} // namespace
} // namespace fairlead::publish
