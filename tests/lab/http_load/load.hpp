// SPDX-License-Identifier: Apache-2.0
// HTTP load from one thread: connections that are held open and asked again and again, and short ones that come and go.
//
// A held connection is broken when it is reset, closed, left without an answer for `timeout`, or answered by another
// backend than its first answer came from, or by a wrong answer. It is not opened again: what was lost stays visible.
// All times are of the monotonic clock.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "tests/lab/http_load/response.hpp"

namespace fairlead::lab {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct LoadOptions {
    sockaddr_in target{};
    std::vector<in_addr> sources;      // taken in turn, with all ports; none: the kernel chooses
    milliseconds interval{1000};       // between a held connection's requests, give or take a half
    milliseconds timeout{10000};       // for a connection to open and for each answer
    uint64_t connections_max = 0;      // at once; the system's limit of descriptors
    int input = -1;                    // whose end (hang-up) ends every wait; none: -1
};

// So many short connections may fail before no more of them are started: each may take two timeouts to do so.
inline constexpr uint64_t kShortFailuresMax = 256;

// What happened to one kind of connection.
struct Tally {
    uint64_t attempted = 0;            // connections
    uint64_t opened = 0;
    uint64_t broken = 0;               // opened, then lost
    uint64_t requests = 0;
    uint64_t answers = 0;              // right ones
    std::map<std::string, uint64_t> failures;      // by reason; connections that did not open included
    std::map<std::string, uint64_t> backends;      // right answers by backend
    std::vector<std::string> examples;             // the first few failures, in words
    Clock::duration longest_gap{};     // the longest that a connection waited for an answer (or for its opening)

    uint64_t failure_count() const;
};

class Load {
public:
    explicit Load(const LoadOptions &options);
    ~Load();
    Load(const Load &) = delete;
    Load &operator=(const Load &) = delete;

    // Whether `count` more connections can be open at once.
    bool has_room(uint64_t count) const { return held_opening_ + held_open_ + count <= options_.connections_max; }
    // Starts `count` held connections, `rate` a second.
    void open_held(uint64_t count, double rate);
    // Starts `count` short connections, `concurrency` at a time, at most `rate` a second (0: as fast as they go); fewer if
    // kShortFailuresMax have failed.
    void open_short(uint64_t count, unsigned concurrency, double rate);
    // Whether everything asked for by open_* has been opened (held) or is done (short), or has failed.
    bool settled() const;

    // Handles what happens until the time, or until everything is settled if that is earlier, or until the input ends.
    void run_until(Clock::time_point until) { run(until, Stop::kAtTime); }
    void run_until_settled(Clock::time_point until) { run(until, Stop::kSettled); }
    // ... or until there is something to read from the input.
    void run_until_readable() { run(Clock::time_point::max(), Stop::kReadable); }
    // Whether the last run ended because the input did.
    bool input_ended() const { return input_ended_; }

    // Closes all held connections; ends without counting them as broken.
    void close_held();

    const Tally &held() const { return held_; }
    const Tally &brief() const { return short_; }
    void reset_brief() { short_ = Tally{}; }
    uint64_t held_open() const { return held_open_; }
    // The longest gap of held connections since the last call, those that wait right now included.
    Clock::duration take_recent_gap();

private:
    enum class Kind : uint8_t { kHeld, kShort };
    enum class State : uint8_t { kConnecting, kIdle, kWaiting, kFinishing };
    enum class Stop : uint8_t { kAtTime, kSettled, kReadable };

    struct Connection {
        int fd = -1;
        Kind kind = Kind::kHeld;
        State state = State::kConnecting;
        uint64_t turn = 0;             // only the timer that was set last means anything; never starts anew
        uint64_t number = 0;
        uint64_t sequence = 0;
        Clock::time_point started{};   // of the opening, then of the request in flight
        std::string path;
        std::string backend;
        std::string input;
    };
    struct Timer {
        Clock::time_point when;
        uint32_t index;
        uint64_t turn;
        bool operator>(const Timer &other) const { return when > other.when; }
    };
    struct Pace {                      // connections still to be started
        uint64_t left = 0;
        double rate = 0;
        Clock::time_point next{};
    };

    void run(Clock::time_point until, Stop stop);
    Tally &tally(const Connection &connection) { return connection.kind == Kind::kHeld ? held_ : short_; }
    void start(Kind kind);
    bool bind_source(int fd);
    void start_due(Clock::time_point now);
    Clock::time_point next_start() const;
    void handle(uint32_t index);
    void connected(uint32_t index);
    void send_request(uint32_t index);
    void receive(uint32_t index);
    void answered(uint32_t index, const Response &response);
    void fail(uint32_t index, const std::string &reason);
    void note_failure(Tally &tally, const std::string &reason, const std::string &detail);
    void note_gap(const Connection &connection, Clock::time_point now);
    void release(uint32_t index);
    void set_timer(uint32_t index, Clock::duration after);
    void run_timers(Clock::time_point now);

    LoadOptions options_;
    int epoll_ = -1;
    bool input_ended_ = false;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<uint32_t> free_;
    std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
    Pace held_pace_, short_pace_;
    unsigned short_concurrency_ = 0;
    uint64_t held_opening_ = 0, held_open_ = 0, short_running_ = 0;
    uint64_t next_number_ = 0;
    uint64_t next_source_ = 0;         // counts through all pairs of source address and port
    Clock::duration recent_gap_{};
    Tally held_, short_;
    std::minstd_rand random_;
};

}  // namespace fairlead::lab
