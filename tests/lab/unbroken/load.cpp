// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/unbroken/load.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <system_error>
#include <unistd.h>

namespace fairlead::lab {
namespace {

constexpr uint64_t kInputTag = UINT64_MAX;
constexpr milliseconds kWaitMax{1000};
constexpr unsigned kPortFirst = 1024;
constexpr unsigned kPortCount = 65536 - kPortFirst;
constexpr int kEventsMax = 512;

Clock::duration seconds(double value) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
}

}  // namespace

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

void Load::run(Clock::time_point until, const std::function<bool()> &done) { loop(until, done, false); }

void Load::run_until_readable() {
    loop(Clock::time_point::max(), [] { return false; }, true);
}

void Load::loop(Clock::time_point until, const std::function<bool()> &done, bool wakes_on_input) {
    // A hang-up is told without being asked for; bytes wake only who waits for them.
    epoll_event input{.events = wakes_on_input ? EPOLLIN : 0U, .data = {.u64 = kInputTag}};
    const bool watched = options_.input >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, options_.input, &input) == 0;
    // A file is always readable, and epoll refuses it for that.
    if (wakes_on_input && !watched) return;
    std::array<epoll_event, kEventsMax> events;
    input_ended_ = false;
    for (bool told = false; !told;) {
        const auto now = Clock::now();
        if (now >= until) break;
        run_timers(now);
        start_due(now);
        if (done()) break;
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
    if (!reopenings_.empty()) next = std::min(next, reopenings_.begin()->first);
    if (short_pace_.left > 0 && short_running_ < short_concurrency_) next = std::min(next, short_pace_.next);
    return next;
}

void Load::start_due(Clock::time_point now) {
    for (; held_pace_.left > 0 && held_pace_.next <= now; --held_pace_.left) {
        start(Kind::kHeld);
        held_pace_.next += seconds(1 / held_pace_.rate);
    }
    while (!reopenings_.empty() && reopenings_.begin()->first <= now) {
        const Outage outage = reopenings_.begin()->second;
        reopenings_.erase(reopenings_.begin());
        start(Kind::kHeld, &outage);
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

void Load::start(Kind kind, const Outage *outage) {
    if (free_.empty()) {
        free_.push_back(static_cast<uint32_t>(connections_.size()));
        connections_.push_back(std::make_unique<Connection>());
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    Connection &connection = *connections_[index];
    const uint64_t turn = connection.turn;
    connection = Connection{};
    connection.kind = kind;
    connection.turn = turn;
    connection.number = next_number_++;
    connection.started = Clock::now();
    if (outage) {
        connection.is_reopened = true;
        connection.outage = *outage;
        ++resumption_.attempted;
    } else {
        ++tally(connection).attempted;
        ++(kind == Kind::kHeld ? held_opening_ : short_running_);
    }
    // Every so many-th one, so that any thousand hold the share.
    if (kind == Kind::kHeld && options_.silent > 0)
        connection.is_silent = static_cast<uint64_t>(static_cast<double>(connection.number) * options_.silent) !=
                               static_cast<uint64_t>(static_cast<double>(connection.number + 1) * options_.silent);

    connection.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection.fd < 0) return fail(index, std::string("socket: ") + std::strerror(errno));
    const int on = 1;
    ::setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!options_.sources.empty() && !bind_source(connection.fd)) return fail(index, std::string("bind: ") + std::strerror(errno));
    if (::connect(connection.fd, reinterpret_cast<const sockaddr *>(&options_.target), sizeof options_.target) < 0 &&
        errno != EINPROGRESS)
        return fail(index, std::string("connect: ") + std::strerror(errno));
    epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.u64 = index}};
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    set_timer(index, options_.timeout);
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
            case State::kIdle:
                if (connection.is_leaving) leave(timer.index);
                else send_request(timer.index);
                break;
        }
    }
}

}  // namespace fairlead::lab
