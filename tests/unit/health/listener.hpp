// SPDX-License-Identifier: Apache-2.0
/// Real TCP servers for probes, each in one of the states that a backend's server can be in.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <mutex>
#include <thread>

#include "controlplane/publish/descriptor.hpp"
#include "dataplane/wire/wire.h"

namespace fairlead::health::test {

/// A bound port; without listen() its kernel refuses.
class Listener {
  public:
    explicit Listener(wire::Be32 address = wire::Be32::from_host(0x7f000001), std::uint16_t port = 0)
        : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const int yes = 1;
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = htons(port);
        name.sin_addr.s_addr = htonl(address.host());
        EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr *>(&name), sizeof name), 0);
        socklen_t size = sizeof name;
        EXPECT_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr *>(&name), &size), 0);
        port_ = ntohs(name.sin_port);
    }
    /// From now on connections are accepted by the kernel; nobody reads them. They stay in its queue when the prober has closed them.
    void listen() const { EXPECT_EQ(::listen(socket_.get(), 4096), 0); }
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] int socket() const { return socket_.get(); }

  private:
    publish::Descriptor socket_;
    std::uint16_t port_ = 0;
};

/// Answers each connection with `answer` once something was read, and closes it. Empty: closes at once.
class AnsweringServer {
  public:
    explicit AnsweringServer(std::string answer, wire::Be32 address = wire::Be32::from_host(0x7f000001), std::uint16_t port = 0)
        : listener_(address, port), end_(::eventfd(0, EFD_CLOEXEC)), answer_(std::move(answer)) {
        listener_.listen();
        thread_ = std::thread([this] { run(); });
    }
    ~AnsweringServer() {
        const std::uint64_t one = 1;
        EXPECT_EQ(::write(end_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
        thread_.join();
    }
    [[nodiscard]] std::uint16_t port() const { return listener_.port(); }
    [[nodiscard]] std::string last_request() {
        const std::lock_guard lock(mutex_);
        return last_request_;
    }
    void set_answer(std::string answer) {
        const std::lock_guard lock(mutex_);
        answer_ = std::move(answer);
    }
    static std::string http(int status) { return "HTTP/1.1 " + std::to_string(status) + " Text\r\nContent-Length: 2\r\n\r\nok"; }

  private:
    void run() {
        while (true) {
            pollfd polled[] = {{end_.get(), POLLIN, 0}, {listener_.socket(), POLLIN, 0}};
            if (::poll(polled, 2, -1) < 0 || polled[0].revents != 0) return;
            const publish::Descriptor peer(::accept4(listener_.socket(), nullptr, nullptr, SOCK_CLOEXEC));
            char request[4096];
            const ssize_t size = ::recv(peer.get(), request, sizeof request, 0);
            if (size <= 0) continue; // a check of type tcp
            const std::lock_guard lock(mutex_);
            last_request_.assign(request, static_cast<std::size_t>(size));
            (void)::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
        }
    }

    Listener listener_;
    publish::Descriptor end_;
    std::mutex mutex_;
    std::string answer_;
    std::string last_request_;
    std::thread thread_;
};

} // namespace fairlead::health::test
