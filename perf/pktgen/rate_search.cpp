// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/rate_search.hpp"

#include <algorithm>

namespace fairlead::pktgen {

namespace {

constexpr unsigned kFellBehindMax = 2; // once may be the machine's fault; twice at the same rate is the generator's

} // namespace

std::optional<double> RateSearch::next_pps() const noexcept {
    if (is_over_) return {};
    return asked_pps_;
}

bool RateSearch::judge(const TrialOutcome &outcome) noexcept {
    const bool passes = outcome.sent != 0 && outcome.loss_percent() <= terms_.loss_percent;
    const bool reached = asked_pps_ != 0 && outcome.achieved_pps >= asked_pps_ * kReachedShare;
    if (passes) passed_pps_ = std::max(passed_pps_, outcome.achieved_pps);
    if (trial_count_++ == 0) judge_first(outcome, passes, reached);
    else judge_further(outcome, passes, reached);
    if (is_over_) return passes;
    if (fell_behind_ == 0) asked_pps_ = std::max((passed_pps_ + failed_pps_) / 2, kRateMin_pps);
    is_over_ = failed_pps_ - passed_pps_ <= failed_pps_ * terms_.resolution_percent / 100 || failed_pps_ <= kRateMin_pps ||
               trial_count_ == kTrialCountMax;
    return passes;
}

void RateSearch::judge_first(const TrialOutcome &outcome, bool passes, bool reached) noexcept {
    if (passes) {
        is_over_ = true;
        is_at_rate_max_ = reached;
        is_generator_limited_ = !reached;
        return;
    }
    failed_pps_ = outcome.achieved_pps;
    is_over_ = outcome.sent == 0; // nothing can be sent: there is nothing to search
}

void RateSearch::judge_further(const TrialOutcome &outcome, bool passes, bool reached) noexcept {
    // A generator that fell behind says nothing of the asked rate; nor does loss at a rate at which there was none before,
    // since what disturbed the one may have caused the other. Such a trial is run again, once.
    const bool says_something = reached || (!passes && outcome.achieved_pps > passed_pps_);
    if (!says_something && ++fell_behind_ < kFellBehindMax) return;
    if (passes && !reached) {
        is_over_ = is_generator_limited_ = true;
        return;
    }
    if (!passes) failed_pps_ = std::min({failed_pps_, asked_pps_, says_something ? outcome.achieved_pps : asked_pps_});
    fell_behind_ = 0;
}

} // namespace fairlead::pktgen
