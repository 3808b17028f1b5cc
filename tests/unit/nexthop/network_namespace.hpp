// SPDX-License-Identifier: Apache-2.0
/// A network namespace without a name: it exists while this object, or a thread in it, does, so that not
/// even a killed test leaves one behind.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>

#include "controlplane/publish/descriptor.hpp"

namespace fairlead::nexthop::test {

class NetworkNamespace {
  public:
    NetworkNamespace() {
        std::thread([this] {
            if (::unshare(CLONE_NEWNET) != 0) {
                why_not_ = std::strerror(errno);
                return;
            }
            file_ = publish::Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
            if (!file_) why_not_ = std::strerror(errno);
        }).join();
    }
    /// Empty: it was made. Otherwise why not.
    [[nodiscard]] const std::string &why_not() const { return why_not_; }

    /// Runs `action` in a thread that is inside; threads and processes that it starts are inside too.
    void inside(const std::function<void()> &action) const {
        std::thread([&] {
            ASSERT_EQ(::setns(file_.get(), CLONE_NEWNET), 0) << std::strerror(errno);
            action();
        }).join();
    }
    void shell(const std::string &command) const {
        inside([&] { EXPECT_EQ(std::system(command.c_str()), 0) << command; });
    }
    /// What `ip link set ... netns` takes.
    [[nodiscard]] std::string path() const {
        return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file_.get());
    }

  private:
    publish::Descriptor file_;
    std::string why_not_;
};

} // namespace fairlead::nexthop::test
