// SPDX-License-Identifier: Apache-2.0
/// systemd's end of sd_notify(3): while it lives, this process and those that it starts have it as their service manager.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace fairlead::test {

class NotifySocket {
  public:
    /// @param watchdog 0: none.
    explicit NotifySocket(std::chrono::microseconds watchdog = {}) {
        std::string pattern = (std::filesystem::temp_directory_path() / "fairlead-notify-XXXXXX").string();
        directory_ = ::mkdtemp(pattern.data());
        const std::string path = directory_ / "socket";
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof(address.sun_path) - 1);
        EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr *>(&address), sizeof(address)), 0);
        ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
        if (watchdog.count() != 0) ::setenv("WATCHDOG_USEC", std::to_string(watchdog.count()).c_str(), 1);
    }
    ~NotifySocket() {
        ::unsetenv("NOTIFY_SOCKET");
        ::unsetenv("WATCHDOG_USEC");
        ::close(socket_);
        std::filesystem::remove_all(directory_);
    }
    NotifySocket(const NotifySocket &) = delete;
    NotifySocket &operator=(const NotifySocket &) = delete;

    /// The next message; empty: none came in time.
    [[nodiscard]] std::string receive(std::chrono::milliseconds timeout = std::chrono::milliseconds(0)) const {
        pollfd polled{socket_, POLLIN, 0};
        if (::poll(&polled, 1, static_cast<int>(timeout.count())) != 1) return {};
        char text[1024];
        const auto size = ::recv(socket_, text, sizeof(text), 0);
        return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string();
    }
    void discard() const {
        while (!receive().empty()) {}
    }

  private:
    int socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    std::filesystem::path directory_;
};

} // namespace fairlead::test
