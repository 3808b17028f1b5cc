// SPDX-License-Identifier: Apache-2.0
// One connection of a Load: requests, answers, and its end.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/unbroken/load.hpp"

namespace fairlead::lab {
namespace {

constexpr milliseconds kRetryDelay{100};    // before a client whose new connection failed tries again

int pending_error(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

std::string error_word(int error) {
    switch (error) {
        case ECONNRESET: return "reset";
        case ECONNREFUSED: return "refused";
        case ETIMEDOUT: return "timed_out";
        case EHOSTUNREACH:
        case ENETUNREACH: return "unreachable";
        default: return std::strerror(error);
    }
}

std::string local_address(int fd) {
    sockaddr_in local{};
    socklen_t size = sizeof local;
    if (fd < 0 || ::getsockname(fd, reinterpret_cast<sockaddr *>(&local), &size) < 0) return "no address";
    std::array<char, INET_ADDRSTRLEN> address{};
    ::inet_ntop(AF_INET, &local.sin_addr, address.data(), address.size());
    return fmt::format("{}:{}", address.data(), ntohs(local.sin_port));
}

// The timeout that ran out when this connection last sent something again; zero if it never had to. The kernel has
// doubled it since (RFC 6298, 5.5).
Clock::duration last_retransmission_timeout(int fd) {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 || info.tcpi_total_retrans == 0) return {};
    return std::chrono::microseconds(info.tcpi_rto / 2);
}

}  // namespace

void Load::handle(uint32_t index) {
    Connection &connection = *connections_[index];
    if (connection.fd < 0) return;     // released earlier in the same batch of events
    if (connection.state != State::kConnecting) return receive(index);
    if (const int error = pending_error(connection.fd)) return fail(index, "connect_" + error_word(error));
    note_gap(connection, Clock::now());
    epoll_event event{.events = EPOLLIN, .data = {.u64 = index}};
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
    send_request(index);
}

void Load::send_request(uint32_t index) {
    Connection &connection = *connections_[index];
    const bool last = connection.kind == Kind::kShort;
    connection.path = fmt::format("/{}/{}/{}", last ? "short" : "held", connection.number, ++connection.sequence);
    const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: fairlead.test\r\n{}\r\n", connection.path,
                                            last ? "Connection: close\r\n" : "");
    ++tally(connection).requests;
    connection.state = State::kWaiting;
    connection.started = Clock::now();
    // The socket's buffer is empty whenever a request is sent, so that a part of one is a failure.
    const ssize_t sent = ::send(connection.fd, request.data(), request.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(request.size())) return fail(index, sent < 0 ? error_word(errno) : "sent_in_part");
    set_timer(index, options_.timeout);
}

void Load::receive(uint32_t index) {
    Connection &connection = *connections_[index];
    std::array<char, 16384> bytes;
    const ssize_t count = ::recv(connection.fd, bytes.data(), bytes.size(), 0);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR) fail(index, error_word(errno));
        return;
    }
    if (count == 0) {
        if (connection.state != State::kFinishing) return fail(index, "closed");
        --short_running_;
        return release(index);
    }
    connection.input.append(bytes.data(), static_cast<size_t>(count));
    if (connection.state != State::kWaiting) return fail(index, "unasked_bytes");
    bool malformed = false;
    const auto response = parse_response(connection.input, malformed);
    if (malformed) return fail(index, "malformed");
    if (response) answered(index, *response);
}

void Load::answered(uint32_t index, const Response &response) {
    Connection &connection = *connections_[index];
    if (response.status != 200) return fail(index, fmt::format("status_{}", response.status));
    // The body is a server's name and the request's own path: no other request's answer passes for it. Behind a proxy, which
    // is the backend then, the name is one of its servers'.
    if (response.backend.empty() || response.length != connection.input.size() ||
        !response.body.ends_with(fmt::format(" {}\n", connection.path)))
        return fail(index, "wrong_answer");
    if (connection.backend.empty()) {
        connection.backend = response.backend;
        opened(connection);
    }
    if (connection.backend != response.backend) return fail(index, fmt::format("answered_by_{}", response.backend));
    note_gap(connection, Clock::now());
    ++tally(connection).answers;
    ++tally(connection).backends[connection.backend];
    connection.input.clear();
    if (connection.kind == Kind::kShort) connection.state = State::kFinishing;  // the server closes: the TIME_WAIT is its, not ours
    else become_idle(index);
}

void Load::opened(Connection &connection) {
    if (!connection.is_reopened) {
        ++tally(connection).opened;
        if (connection.kind == Kind::kShort) return;
        --held_opening_;
    } else {
        const auto outage = Clock::now() - connection.outage.since;
        resumption_.longest = std::max(resumption_.longest, outage);
        resumption_.longest_beyond_timeout =
            std::max(resumption_.longest_beyond_timeout, outage - connection.outage.retransmission_timeout);
        ++resumption_.resumed;
        --resumption_.waiting;
        connection.is_reopened = false;
        connection.started = Clock::now();      // what went before is an outage, no gap
    }
    ++held_open_;
}

void Load::become_idle(uint32_t index) {
    Connection &connection = *connections_[index];
    connection.state = State::kIdle;
    if (connection.is_asked) {
        connection.is_asked = false;
        --asked_;
    }
    if (connection.is_leaving) return leave(index);
    if (connection.is_silent) {
        ++connection.turn;             // no timer: it waits for `ask`
        return;
    }
    std::uniform_real_distribution<double> share(0.5, 1.5);
    set_timer(index, std::chrono::duration_cast<Clock::duration>(options_.interval * share(random_)));
}

void Load::note_gap(const Connection &connection, Clock::time_point now) {
    // Those who wait for a backend that is gone say nothing about the balancer.
    if (connection.is_excused || connection.is_reopened) return;
    Tally &of = tally(connection);
    const auto gap = now - connection.started;
    of.longest_gap = std::max(of.longest_gap, gap);
    if (connection.kind == Kind::kHeld) recent_gap_ = std::max(recent_gap_, gap);
}

void Load::fail(uint32_t index, const std::string &reason) {
    Connection &connection = *connections_[index];
    if (connection.state != State::kIdle) note_gap(connection, Clock::now());
    const bool was_open = !connection.backend.empty();
    if (connection.kind == Kind::kHeld && was_open) {
        lose(index, reason);
    } else if (connection.is_reopened) {
        ++resumption_.failures[reason];
        reopenings_.emplace(Clock::now() + kRetryDelay, connection.outage);
    } else {
        note_failure(connection, reason);
        if (was_open) ++short_.broken;
        --(connection.kind == Kind::kHeld ? held_opening_ : short_running_);
    }
    release(index);
}

void Load::lose(uint32_t index, const std::string &reason) {
    Connection &connection = *connections_[index];
    if (connection.is_excused) {
        ++held_.excused;
        ++held_.excuses[reason];
    } else {
        ++held_.broken;
        note_failure(connection, reason);
    }
    depart(connection, connection.state == State::kWaiting
                           ? Outage{connection.started, last_retransmission_timeout(connection.fd)}
                           : Outage{Clock::now(), {}});
}

void Load::note_failure(const Connection &connection, const std::string &reason) {
    tally(connection).note_failure(
        reason, fmt::format("{}: {} after {} requests, backend {}", reason, local_address(connection.fd), connection.sequence,
                            connection.backend.empty() ? "unknown" : connection.backend));
}

void Load::release(uint32_t index) {
    Connection &connection = *connections_[index];
    if (connection.fd >= 0) ::close(connection.fd);
    connection.fd = -1;
    free_.push_back(index);
}

}  // namespace fairlead::lab
