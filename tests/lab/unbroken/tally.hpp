// SPDX-License-Identifier: Apache-2.0
// What happened to the connections of one kind, and how it is said.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fairlead::lab {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Tally {
    uint64_t attempted = 0;            // connections
    uint64_t opened = 0;               // got their first answer, and so their backend
    uint64_t broken = 0;               // opened, then lost; not those that were excused
    uint64_t excused = 0;              // lost after `excuse` had named their backend
    uint64_t closed = 0;               // closed by us, by `close`
    uint64_t requests = 0;
    uint64_t answers = 0;              // right ones
    std::map<std::string, uint64_t> failures;      // by reason; connections that did not open included, excused ones not
    std::map<std::string, uint64_t> excuses;       // excused ones, by reason
    std::map<std::string, uint64_t> backends;      // right answers by backend
    std::vector<std::string> examples;             // the first few failures, in words
    Clock::duration longest_gap{};     // the longest that a connection waited for an answer (or for its opening)

    void note_failure(const std::string &reason, const std::string &detail);
    uint64_t failure_count() const;
};

// Lost or closed connections that are opened again, and how long their clients were without service: from the request that
// was lost with the connection (or from the loss, if there was none) to the first answer on the new connection.
struct Resumption {
    uint64_t attempted = 0;
    uint64_t resumed = 0;
    uint64_t waiting = 0;              // now
    std::map<std::string, uint64_t> failures;      // attempts, by reason; each is made again
    Clock::duration longest{};
    // The same, less the retransmission timeout that the lost connection was waiting out when it was lost: what is left is
    // what it took until its next packet could tell it.
    Clock::duration longest_beyond_timeout{};
};

double milliseconds_of(Clock::duration duration);
nlohmann::ordered_json describe(const Tally &tally);
nlohmann::ordered_json describe(const Resumption &resumption);

}  // namespace fairlead::lab
