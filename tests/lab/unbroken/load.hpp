// SPDX-License-Identifier: Apache-2.0
// Real TCP from one thread: HTTP connections that are held open and asked again and again, and short ones that come and go.
//
// A held connection's first answer tells its backend. From then on it is broken when it is reset, closed, left without an
// answer for `timeout`, or answered by another backend or by a wrong answer: unless `excuse` has named its backend before.
// What was lost stays counted as lost, also where it is opened again (`reconnect`). All times are of the monotonic clock.
#pragma once

#include <functional>
#include <memory>
#include <netinet/in.h>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "tests/lab/unbroken/response.hpp"
#include "tests/lab/unbroken/tally.hpp"

namespace fairlead::lab {

struct LoadOptions {
    sockaddr_in target{};
    std::vector<in_addr> sources;      // taken in turn, with all ports; none: the kernel chooses
    milliseconds interval{1000};       // between a held connection's requests, give or take a half
    milliseconds timeout{10000};       // for a connection to open and for each answer
    double silent = 0;                 // share of held connections that say nothing between their first request and `ask`
    bool reconnect = false;            // held connections that are lost or closed are opened again
    uint64_t connections_max = 0;      // at once; the system's limit of descriptors
    int input = -1;                    // whose end (hang-up) ends every wait; none: -1
};

// So many short connections may fail before no more of them are started: each may take two timeouts to do so.
inline constexpr uint64_t kShortFailuresMax = 256;

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
    // Whether everything asked for by open_held has been opened, or has failed.
    bool held_settled() const { return held_pace_.left == 0 && held_opening_ == 0; }
    // Starts `count` short connections, `concurrency` at a time, at most `rate` a second (0: as fast as they go); fewer if
    // kShortFailuresMax have failed. end_short: no more of them.
    void open_short(uint64_t count, unsigned concurrency, double rate);
    void end_short() { short_pace_.left = 0; }
    bool short_settled() const { return short_pace_.left == 0 && short_running_ == 0; }

    // Sends a request on every held connection, silent ones too, `rate` a second.
    void ask(double rate);
    bool asked_settled() const { return asked_ == 0; }
    // Excuses the held connections of a backend from now on; how many.
    uint64_t excuse(const std::string &backend);
    // Closes the held connections of a backend, `rate` a second, each when it has no request in flight; how many.
    uint64_t close_those_of(const std::string &backend, double rate);
    bool close_settled() const { return leaving_ == 0; }
    // Closes all held connections; ends without counting them as broken.
    void close_held();

    // Handles what happens until the time, or until `done` says so if that is earlier, or until the input ends.
    void run(Clock::time_point until, const std::function<bool()> &done);
    // ... or until there is something to read from the input.
    void run_until_readable();
    // Whether the last run ended because the input did.
    bool input_ended() const { return input_ended_; }

    const Tally &held() const { return held_; }
    const Tally &brief() const { return short_; }
    void reset_brief() { short_ = Tally{}; }
    const Resumption &resumption() const { return resumption_; }
    void reset_resumption();
    uint64_t held_open() const { return held_open_; }
    std::map<std::string, uint64_t> open_by_backend() const;
    // The longest gap of held connections since the last call, those that wait right now included.
    Clock::duration take_recent_gap();

private:
    enum class Kind : uint8_t { kHeld, kShort };
    enum class State : uint8_t { kConnecting, kIdle, kWaiting, kFinishing };

    // A client that has lost its connection: since when it is without service.
    struct Outage {
        Clock::time_point since{};
        Clock::duration retransmission_timeout{};
    };
    struct Connection {
        int fd = -1;
        Kind kind = Kind::kHeld;
        State state = State::kConnecting;
        bool is_silent = false;
        bool is_asked = false;         // by `ask`, not answered yet
        bool is_excused = false;
        bool is_leaving = false;       // to be closed when it has no request in flight
        bool is_reopened = false;      // and not served yet; outage says since when
        uint64_t turn = 0;             // only the timer that was set last means anything; never starts anew
        uint64_t number = 0;
        uint64_t sequence = 0;
        Clock::time_point started{};   // of the opening, then of the request in flight
        Outage outage;
        std::string path;
        std::string backend;           // empty until the first answer
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

    // load.cpp: the loop
    void loop(Clock::time_point until, const std::function<bool()> &done, bool wakes_on_input);
    void start_due(Clock::time_point now);
    Clock::time_point next_start() const;
    void start(Kind kind, const Outage *outage = nullptr);
    bool bind_source(int fd);
    void set_timer(uint32_t index, Clock::duration after);
    void run_timers(Clock::time_point now);

    // exchange.cpp: one connection
    void handle(uint32_t index);
    void send_request(uint32_t index);
    void receive(uint32_t index);
    void answered(uint32_t index, const Response &response);
    void opened(Connection &connection);
    void become_idle(uint32_t index);
    void fail(uint32_t index, const std::string &reason);
    void lose(uint32_t index, const std::string &reason);
    void note_failure(const Connection &connection, const std::string &reason);
    void note_gap(const Connection &connection, Clock::time_point now);
    void release(uint32_t index);
    Tally &tally(const Connection &connection) { return connection.kind == Kind::kHeld ? held_ : short_; }
    bool is_held(const Connection &connection) const { return connection.fd >= 0 && connection.kind == Kind::kHeld; }

    // held.cpp: what is done to held connections
    void leave(uint32_t index);
    void depart(Connection &connection, const Outage &outage);

    LoadOptions options_;
    int epoll_ = -1;
    bool input_ended_ = false;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<uint32_t> free_;
    std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
    std::multimap<Clock::time_point, Outage> reopenings_;      // by when the next attempt is due
    Pace held_pace_, short_pace_;
    unsigned short_concurrency_ = 0;
    uint64_t held_opening_ = 0, held_open_ = 0, short_running_ = 0;
    uint64_t asked_ = 0, leaving_ = 0;
    uint64_t next_number_ = 0;
    uint64_t next_source_ = 0;         // counts through all pairs of source address and port
    Clock::duration recent_gap_{};
    Tally held_, short_;
    Resumption resumption_;
    std::minstd_rand random_;
};

}  // namespace fairlead::lab
