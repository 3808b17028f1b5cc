// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/http_load/load.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace fairlead::lab {
namespace {

constexpr size_t kExamplesMax = 5;
constexpr uint64_t kInputTag = UINT64_MAX;
constexpr milliseconds kWaitMax{1000};
constexpr unsigned kPortFirst = 1024;
constexpr unsigned kPortCount = 65536 - kPortFirst;
constexpr int kEventsMax = 512;

Clock::duration seconds(double value) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
}

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

}  // namespace

uint64_t Tally::failure_count() const {
    uint64_t count = 0;
    for (const auto &[reason, failures_of_it] : failures) count += failures_of_it;
    return count;
}

Load::Load(const LoadOptions &options) : options_(options), epoll_(::epoll_create1(EPOLL_CLOEXEC)), random_(1) {
    if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    // Where the next run in the same lab begins, this one has hardly been.
    next_source_ = std::random_device{}();
}

Load::~Load() {
    for (const auto &connection : connections_)
        if (connection->fd >= 0) ::close(connection->fd);
    ::close(epoll_);
}

void Load::open_held(uint64_t count, double rate) { held_pace_ = {count, rate, Clock::now()}; }

void Load::open_short(uint64_t count, unsigned concurrency, double rate) {
    short_pace_ = {count, rate, Clock::now()};
    short_concurrency_ = concurrency;
}

bool Load::settled() const {
    return held_pace_.left == 0 && held_opening_ == 0 && short_pace_.left == 0 && short_running_ == 0;
}

void Load::run(Clock::time_point until, Stop stop) {
    // A hang-up is told without being asked for; bytes wake only who waits for them.
    epoll_event input{.events = stop == Stop::kReadable ? EPOLLIN : 0U, .data = {.u64 = kInputTag}};
    const bool watched = options_.input >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, options_.input, &input) == 0;
    // A file is always readable, and epoll refuses it for that.
    if (stop == Stop::kReadable && !watched) return;
    std::array<epoll_event, kEventsMax> events;
    input_ended_ = false;
    for (bool told = false; !told;) {
        const auto now = Clock::now();
        if (now >= until) break;
        run_timers(now);
        start_due(now);
        if (stop == Stop::kSettled && settled()) break;
        auto wake = std::min(until, next_start());
        if (!timers_.empty()) wake = std::min(wake, timers_.top().when);
        const auto wait = wake - now > kWaitMax ? kWaitMax : std::chrono::ceil<milliseconds>(wake - now);
        const int count = ::epoll_wait(epoll_, events.data(), kEventsMax, static_cast<int>(std::max<int64_t>(0, wait.count())));
        for (int i = 0; i < count; ++i) {
            if (events[i].data.u64 != kInputTag) {
                handle(static_cast<uint32_t>(events[i].data.u64));
                continue;
            }
            told = true;
            input_ended_ = (events[i].events & (EPOLLHUP | EPOLLERR)) != 0;
        }
    }
    if (watched) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, options_.input, nullptr);
}

Clock::time_point Load::next_start() const {
    auto next = Clock::time_point::max();
    if (held_pace_.left > 0) next = held_pace_.next;
    if (short_pace_.left > 0 && short_running_ < short_concurrency_) next = std::min(next, short_pace_.next);
    return next;
}

void Load::start_due(Clock::time_point now) {
    for (; held_pace_.left > 0 && held_pace_.next <= now; --held_pace_.left) {
        start(Kind::kHeld);
        held_pace_.next += seconds(1 / held_pace_.rate);
    }
    if (short_.failure_count() >= kShortFailuresMax) short_pace_.left = 0;
    while (short_pace_.left > 0 && short_running_ < short_concurrency_ && short_pace_.next <= now) {
        --short_pace_.left;
        start(Kind::kShort);
        if (short_pace_.rate > 0) short_pace_.next += seconds(1 / short_pace_.rate);
    }
}

// Takes all addresses and ports in turn. The kernel would soon choose a pair again that it had before; but to a balancer
// that remembers closed connections for a while, the same pair is the same flow, and goes where that went.
bool Load::bind_source(int fd) {
    for (unsigned attempt = 0; attempt < kPortCount; ++attempt) {
        const uint64_t turn = next_source_++;
        sockaddr_in source{};
        source.sin_family = AF_INET;
        source.sin_addr = options_.sources[turn % options_.sources.size()];
        source.sin_port = htons(static_cast<uint16_t>(kPortFirst + turn / options_.sources.size() % kPortCount));
        if (::bind(fd, reinterpret_cast<sockaddr *>(&source), sizeof source) == 0) return true;
        if (errno != EADDRINUSE) return false;      // else a held connection has it
    }
    return false;
}

void Load::start(Kind kind) {
    Tally &tally = kind == Kind::kHeld ? held_ : short_;
    ++tally.attempted;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return note_failure(tally, "socket", std::strerror(errno));
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!options_.sources.empty() && !bind_source(fd)) {
        note_failure(tally, "bind", std::strerror(errno));
        ::close(fd);
        return;
    }
    if (::connect(fd, reinterpret_cast<const sockaddr *>(&options_.target), sizeof options_.target) < 0 &&
        errno != EINPROGRESS) {
        note_failure(tally, "connect_" + error_word(errno), std::strerror(errno));
        ::close(fd);
        return;
    }
    if (free_.empty()) {
        free_.push_back(static_cast<uint32_t>(connections_.size()));
        connections_.push_back(std::make_unique<Connection>());
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    Connection &connection = *connections_[index];
    const uint64_t turn = connection.turn;
    connection = Connection{};
    connection.fd = fd;
    connection.kind = kind;
    connection.turn = turn;
    connection.number = next_number_++;
    connection.started = Clock::now();
    ++(kind == Kind::kHeld ? held_opening_ : short_running_);
    epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.u64 = index}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    set_timer(index, options_.timeout);
}

void Load::handle(uint32_t index) {
    Connection &connection = *connections_[index];
    if (connection.fd < 0) return;     // released earlier in the same batch of events
    if (connection.state == State::kConnecting) {
        if (const int error = pending_error(connection.fd)) return fail(index, "connect_" + error_word(error));
        return connected(index);
    }
    receive(index);
}

void Load::connected(uint32_t index) {
    Connection &connection = *connections_[index];
    note_gap(connection, Clock::now());
    ++tally(connection).opened;
    if (connection.kind == Kind::kHeld) {
        --held_opening_;
        ++held_open_;
    }
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
    if (connection.backend.empty()) connection.backend = response.backend;
    if (connection.backend != response.backend) return fail(index, "another_backend");
    // The server answers with its name and the request's own path: no other request's answer passes for it.
    if (response.length != connection.input.size() ||
        response.body != fmt::format("{} {}\n", response.backend, connection.path))
        return fail(index, "wrong_answer");
    note_gap(connection, Clock::now());
    ++tally(connection).answers;
    ++tally(connection).backends[connection.backend];
    connection.input.clear();
    if (connection.kind == Kind::kShort) {
        connection.state = State::kFinishing;      // the server closes: the TIME_WAIT is its, not ours
        return;
    }
    connection.state = State::kIdle;
    std::uniform_real_distribution<double> share(0.5, 1.5);
    set_timer(index, std::chrono::duration_cast<Clock::duration>(options_.interval * share(random_)));
}

void Load::note_gap(const Connection &connection, Clock::time_point now) {
    Tally &of = tally(connection);
    const auto gap = now - connection.started;
    of.longest_gap = std::max(of.longest_gap, gap);
    if (connection.kind == Kind::kHeld) recent_gap_ = std::max(recent_gap_, gap);
}

Clock::duration Load::take_recent_gap() {
    const auto now = Clock::now();
    for (const auto &connection : connections_)
        if (connection->fd >= 0 && connection->kind == Kind::kHeld && connection->state != State::kIdle)
            note_gap(*connection, now);
    return std::exchange(recent_gap_, Clock::duration{});
}

void Load::note_failure(Tally &tally, const std::string &reason, const std::string &detail) {
    ++tally.failures[reason];
    if (tally.examples.size() < kExamplesMax) tally.examples.push_back(detail);
}

void Load::fail(uint32_t index, const std::string &reason) {
    Connection &connection = *connections_[index];
    Tally &of = tally(connection);
    sockaddr_in local{};
    socklen_t size = sizeof local;
    ::getsockname(connection.fd, reinterpret_cast<sockaddr *>(&local), &size);
    std::array<char, INET_ADDRSTRLEN> address{};
    ::inet_ntop(AF_INET, &local.sin_addr, address.data(), address.size());
    note_failure(of, reason,
                 fmt::format("{}: {}:{} after {} requests, backend {}", reason, address.data(), ntohs(local.sin_port),
                             connection.sequence, connection.backend.empty() ? "unknown" : connection.backend));
    note_gap(connection, Clock::now());
    if (connection.state != State::kConnecting) ++of.broken;
    if (connection.kind == Kind::kShort) --short_running_;
    else --(connection.state == State::kConnecting ? held_opening_ : held_open_);
    release(index);
}

void Load::release(uint32_t index) {
    Connection &connection = *connections_[index];
    ::close(connection.fd);
    connection.fd = -1;
    free_.push_back(index);
}

void Load::set_timer(uint32_t index, Clock::duration after) {
    timers_.push({Clock::now() + after, index, ++connections_[index]->turn});
}

void Load::run_timers(Clock::time_point now) {
    while (!timers_.empty() && timers_.top().when <= now) {
        const Timer timer = timers_.top();
        timers_.pop();
        const Connection &connection = *connections_[timer.index];
        if (connection.fd < 0 || connection.turn != timer.turn) continue;
        switch (connection.state) {
            case State::kConnecting: fail(timer.index, "connect_timed_out"); break;
            case State::kWaiting: fail(timer.index, "timed_out"); break;
            case State::kFinishing: fail(timer.index, "not_closed"); break;
            case State::kIdle: send_request(timer.index); break;
        }
    }
}

void Load::close_held() {
    for (uint32_t index = 0; index < connections_.size(); ++index) {
        const Connection &connection = *connections_[index];
        if (connection.fd < 0 || connection.kind != Kind::kHeld) continue;
        --(connection.state == State::kConnecting ? held_opening_ : held_open_);
        release(index);
    }
    held_pace_.left = 0;
}

}  // namespace fairlead::lab
