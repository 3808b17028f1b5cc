// SPDX-License-Identifier: Apache-2.0
// udp_echo: answers each datagram with itself and its own name at the end (or only counts: --silent). Ends when its
// standard input does, and then says as one line of JSON what it received.
#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>

#include "tests/lab/udp/socket.hpp"

namespace {

using namespace fairlead::lab;

constexpr int kBurst = 64;
constexpr int kBufferSize = 16 << 20;

// A burst of datagrams, received together and answered together.
class Burst {
public:
    Burst() {
        for (size_t i = 0; i < kBurst; ++i) {
            vectors_[i] = {bytes_[i].data(), bytes_[i].size()};
            messages_[i].msg_hdr = {&peers_[i], sizeof peers_[i], &vectors_[i], 1, nullptr, 0, 0};
        }
    }
    // How many came; 0 if there is none.
    unsigned receive(int fd) {
        for (size_t i = 0; i < kBurst; ++i) {
            vectors_[i].iov_len = bytes_[i].size();
            messages_[i].msg_hdr.msg_namelen = sizeof peers_[i];
        }
        return static_cast<unsigned>(std::max(0, ::recvmmsg(fd, messages_.data(), kBurst, MSG_DONTWAIT, nullptr)));
    }
    // Sends the first `count` back; those that do not fit into the socket's buffer count as unsent.
    unsigned answer(int fd, unsigned count, const EchoName &name) {
        for (size_t i = 0; i < count; ++i) {
            vectors_[i].iov_len = messages_[i].msg_len;
            if (vectors_[i].iov_len >= kDatagramSizeMin)
                std::memcpy(bytes_[i].data() + vectors_[i].iov_len - sizeof name, &name, sizeof name);
        }
        return static_cast<unsigned>(std::max(0, ::sendmmsg(fd, messages_.data(), count, 0)));
    }

private:
    std::array<std::array<char, 2048>, kBurst> bytes_{};
    std::array<sockaddr_in, kBurst> peers_{};
    std::array<iovec, kBurst> vectors_{};
    std::array<mmsghdr, kBurst> messages_{};
};

int serve(int fd, const EchoName &name, bool silent) {
    Burst burst;
    uint64_t received = 0, answered = 0;
    std::array<pollfd, 2> watched{{{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
    for (;;) {
        if (::poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return 1;
        while (const unsigned count = burst.receive(fd)) {
            received += count;
            if (!silent) answered += burst.answer(fd, count, name);
        }
        char byte = 0;
        if (watched[1].revents != 0 && ::read(STDIN_FILENO, &byte, 1) <= 0) break;
    }
    std::cout << nlohmann::ordered_json{{"name", name.name}, {"received", received}, {"answered", answered}}.dump()
              << std::endl;
    return 0;
}

}  // namespace

int main(int argc, char **argv) {
    CLI::App app("UDP echo; ends with its standard input");
    std::string address, name;
    uint16_t port = 0;
    bool silent = false;
    app.add_option("address", address, "IPv4 address to listen on, for instance a VIP")->required();
    app.add_option("port", port, "UDP port")->required();
    app.add_option("--name", name, "what it calls itself in its answers")->required();
    app.add_flag("--silent", silent, "count only");
    CLI11_PARSE(app, argc, argv);
    EchoName echo_name;
    name.copy(echo_name.name, sizeof echo_name.name - 1);
    try {
        return serve(udp_socket(ipv4_address(address, port), kBufferSize), echo_name, silent);
    } catch (const std::system_error &error) {
        std::cerr << "udp_echo: " << error.what() << '\n';
        return 1;
    }
}
