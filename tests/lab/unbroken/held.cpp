// SPDX-License-Identifier: Apache-2.0
// What is done to a Load's held connections from outside, and what is asked about them.
#include <algorithm>
#include <utility>

#include "tests/lab/unbroken/load.hpp"

namespace fairlead::lab {

void Load::ask(double rate) {
    double turn = 0;
    for (uint32_t index = 0; index < connections_.size(); ++index) {
        Connection &connection = *connections_[index];
        if (!is_held(connection) || connection.backend.empty() || connection.is_asked) continue;
        connection.is_asked = true;
        ++asked_;
        // One that waits for an answer has been asked already.
        if (connection.state == State::kIdle)
            set_timer(index, std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(turn++ / rate)));
    }
}

uint64_t Load::excuse(const std::string &backend) {
    uint64_t count = 0;
    for (const auto &connection : connections_) {
        if (!is_held(*connection) || connection->backend != backend) continue;
        connection->is_excused = true;
        ++count;
    }
    return count;
}

uint64_t Load::close_those_of(const std::string &backend, double rate) {
    uint64_t count = 0;
    for (uint32_t index = 0; index < connections_.size(); ++index) {
        Connection &connection = *connections_[index];
        if (!is_held(connection) || connection.backend != backend || connection.is_leaving) continue;
        connection.is_leaving = true;
        ++leaving_;
        const std::chrono::duration<double> turn(static_cast<double>(count++) / rate);
        if (connection.state == State::kIdle) set_timer(index, std::chrono::duration_cast<Clock::duration>(turn));
    }
    return count;
}

void Load::leave(uint32_t index) {
    Connection &connection = *connections_[index];
    ++held_.closed;
    depart(connection, {Clock::now(), {}});
    release(index);
}

// An open connection is one no more; its client opens another at once.
void Load::depart(Connection &connection, const Outage &outage) {
    --held_open_;
    if (connection.is_asked) --asked_;
    if (connection.is_leaving) --leaving_;
    if (!options_.reconnect) return;
    reopenings_.emplace(Clock::now(), outage);
    ++resumption_.waiting;
}

void Load::close_held() {
    for (uint32_t index = 0; index < connections_.size(); ++index)
        if (is_held(*connections_[index])) release(index);
    reopenings_.clear();
    held_pace_.left = 0;
    held_opening_ = held_open_ = asked_ = leaving_ = resumption_.waiting = 0;
}

void Load::reset_resumption() {
    const uint64_t waiting = resumption_.waiting;
    resumption_ = Resumption{};
    resumption_.waiting = waiting;
}

std::map<std::string, uint64_t> Load::open_by_backend() const {
    std::map<std::string, uint64_t> count;
    for (const auto &connection : connections_)
        if (is_held(*connection) && !connection->backend.empty()) ++count[connection->backend];
    return count;
}

Clock::duration Load::take_recent_gap() {
    const auto now = Clock::now();
    for (const auto &connection : connections_)
        if (is_held(*connection) && connection->state != State::kIdle) note_gap(*connection, now);
    return std::exchange(recent_gap_, Clock::duration{});
}

}  // namespace fairlead::lab
