// SPDX-License-Identifier: Apache-2.0
/// When a backend's grade changes: pure, one object per backend, fed with one verdict per probe.
///
///            fall bad verdicts in a row
///            of which all are silent            fall silent verdicts in a row
///      up ------------------------------> dead <-------------------------- failing
///      | \                                | |                                ^ | |
///      |  '--- fall bad ones, mixed ------|-|--------------------------------' | |
///      |                                  | '-- rise in a row not silent ------' |
///      '<----- rise good ones in a row ---'<-- rise good ones in a row ----------'
///
/// Every change takes a run of verdicts, so one lost packet changes nothing and a backend that answers
/// every other time keeps the grade it has.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace fairlead::health {

enum class Grade : std::uint8_t {
    kUp,
    kFailing, ///< its kernel answers, its server does not do as it should: connections may well work
    kDead,    ///< nothing answers
};
inline constexpr std::size_t kGradeCount = 3;

/// What one probe says.
enum class Verdict : std::uint8_t {
    kGood,
    kBad,    ///< refused, a wrong answer, or none in time on a connection that was accepted
    kSilent, ///< unreachable, or no connection in time
    kNone,   ///< nothing about the backend: the probe could not be made (no descriptors, no memory)
};
inline constexpr std::size_t kVerdictCount = 4;

[[nodiscard]] std::string_view name_of(Grade grade);
[[nodiscard]] std::optional<Grade> parse_grade(std::string_view name);
[[nodiscard]] std::string_view name_of(Verdict verdict);

class Hysteresis {
  public:
    /// @param rise, fall at least 1.
    Hysteresis(Grade grade, std::uint32_t rise, std::uint32_t fall) : grade_(grade), rise_(rise), fall_(fall) {}

    /// The new grade, when this verdict changes it.
    std::optional<Grade> observe(Verdict verdict);

    [[nodiscard]] Grade grade() const { return grade_; }
    /// How many verdicts in a row led to the last change: `rise` or `fall`.
    [[nodiscard]] std::uint32_t run_of(Grade from, Grade to) const {
        return to == Grade::kUp || (from == Grade::kDead && to == Grade::kFailing) ? rise_ : fall_;
    }

  private:
    Grade grade_;
    std::uint32_t rise_;
    std::uint32_t fall_;
    // Lengths of the runs that the last verdict belongs to; 0: it does not.
    std::uint32_t good_ = 0;
    std::uint32_t not_good_ = 0;
    std::uint32_t silent_ = 0;
    std::uint32_t not_silent_ = 0;
};

} // namespace fairlead::health
