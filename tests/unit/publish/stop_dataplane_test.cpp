// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/stop_dataplane.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <functional>
#include <future>
#include <thread>

#include "tests/unit/publish/dataplane_end.hpp"

namespace fairlead::publish {
namespace {

using namespace std::chrono_literals;
using testing::DataplaneEnd;

/// A process of its own that listens at the path and does what it is told, since what is waited for is a process's end.
class DataplaneChild {
  public:
    DataplaneChild(const std::string &path, const std::function<void(DataplaneEnd &)> &act) {
        int ready[2];
        EXPECT_EQ(::pipe(ready), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            DataplaneEnd end(path);
            (void)!::write(ready[1], "x", 1);
            if (end.accept()) act(end);
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
    testing::TemporaryDirectory directory_;
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
    const auto stopped = stop_dataplane(path_, 300ms);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().format(), "the dataplane said that it stops, and still runs after 300 ms; stop it by its service: "
                                        "systemctl stop fairlead-dataplane");
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

TEST_F(StopDataplaneTest, WhereThereIsNoneItSaysSo) {
    const auto stopped = stop_dataplane(path_, 1s);
    ASSERT_FALSE(stopped);
    EXPECT_NE(stopped.error().format().find("cannot reach the dataplane at " + path_), std::string::npos);
}

} // namespace
} // namespace fairlead::publish
