// SPDX-License-Identifier: Apache-2.0
/// The throughput test of RFC 2544, section 26.1, as a pure function of what trials find: the highest rate at which the
/// device loses no more than is allowed, by bisection.
///
/// The first trial runs at the highest rate there is. A trial in which the generator itself fell behind is evidence for
/// the rate that it reached, not for the one it was asked for.
#pragma once

#include "dataplane/wire/wire.h"

#include <optional>

namespace fairlead::pktgen {

/// What one trial found.
struct TrialOutcome {
    double achieved_pps; ///< sent, per second
    wire::u64 sent;
    wire::u64 returned;

    [[nodiscard]] double loss_percent() const noexcept {
        return sent <= returned ? 0 : 100 * static_cast<double>(sent - returned) / static_cast<double>(sent);
    }
};

class RateSearch {
  public:
    struct Terms {
        double rate_max_pps = 0;       ///< 0: whatever the generator can do
        double loss_percent = 0;       ///< that a trial may have and pass
        double resolution_percent = 1; ///< the search ends when it knows the throughput this well
    };

    static constexpr double kReachedShare = 0.99; ///< of the asked rate: below it the generator has fallen behind
    static constexpr double kRateMin_pps = 100;   ///< a device that loses packets at this rate has no throughput
    static constexpr unsigned kTrialCountMax = 40;

    explicit RateSearch(const Terms &terms) : terms_(terms), asked_pps_(terms.rate_max_pps) {}

    /// The rate of the next trial; nothing: the search is over. 0: as fast as it goes.
    [[nodiscard]] std::optional<double> next_pps() const noexcept;

    /// @return whether the trial passed.
    bool judge(const TrialOutcome &outcome) noexcept;

    /// The highest rate that has passed; 0: none has.
    [[nodiscard]] double throughput_pps() const noexcept { return passed_pps_; }
    /// The lowest rate that has failed; 0: none has.
    [[nodiscard]] double failed_pps() const noexcept { return failed_pps_; }
    /// The generator could do no more: the device's throughput is this or more, but less than failed_pps() if there is one.
    [[nodiscard]] bool is_generator_limited() const noexcept { return is_generator_limited_; }
    /// The highest rate there was passed.
    [[nodiscard]] bool is_at_rate_max() const noexcept { return is_at_rate_max_; }

  private:
    void judge_first(const TrialOutcome &outcome, bool passes, bool reached) noexcept;
    void judge_further(const TrialOutcome &outcome, bool passes, bool reached) noexcept;

    Terms terms_;
    double asked_pps_;
    double passed_pps_ = 0;
    double failed_pps_ = 0;
    unsigned trial_count_ = 0;
    unsigned fell_behind_ = 0; ///< trials in a row that said nothing of the rate they were asked for
    bool is_over_ = false;
    bool is_generator_limited_ = false;
    bool is_at_rate_max_ = false;
};

} // namespace fairlead::pktgen
