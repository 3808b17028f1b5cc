// SPDX-License-Identifier: Apache-2.0
#include "tests/lab/unbroken/tally.hpp"

#include <cmath>

namespace fairlead::lab {
namespace {

constexpr size_t kExamplesMax = 5;

uint64_t sum(const std::map<std::string, uint64_t> &counts) {
    uint64_t total = 0;
    for (const auto &[reason, count] : counts) total += count;
    return total;
}

}  // namespace

void Tally::note_failure(const std::string &reason, const std::string &detail) {
    ++failures[reason];
    if (examples.size() < kExamplesMax) examples.push_back(detail);
}

uint64_t Tally::failure_count() const { return sum(failures); }

double milliseconds_of(Clock::duration duration) {
    return std::round(std::chrono::duration<double, std::milli>(duration).count() * 10) / 10;
}

nlohmann::ordered_json describe(const Tally &tally) {
    return {{"attempted", tally.attempted}, {"opened", tally.opened}, {"broken", tally.broken},
            {"excused", tally.excused}, {"closed", tally.closed},
            {"requests", tally.requests}, {"answers", tally.answers}, {"failed", tally.failure_count()},
            {"failures", tally.failures}, {"excuses", tally.excuses}, {"backends", tally.backends},
            {"examples", tally.examples}, {"longest_gap_ms", milliseconds_of(tally.longest_gap)}};
}

nlohmann::ordered_json describe(const Resumption &resumption) {
    return {{"attempted", resumption.attempted}, {"resumed", resumption.resumed}, {"waiting", resumption.waiting},
            {"failed", sum(resumption.failures)}, {"failures", resumption.failures},
            {"longest_ms", milliseconds_of(resumption.longest)},
            {"longest_beyond_timeout_ms", milliseconds_of(resumption.longest_beyond_timeout)}};
}

}  // namespace fairlead::lab
