// SPDX-License-Identifier: Apache-2.0
#include "controlplane/health/hysteresis.hpp"

namespace fairlead::health {

namespace {

void extend(std::uint32_t &run, bool is_part) {
    if (!is_part) run = 0;
    else if (run != UINT32_MAX) ++run;
}

} // namespace

std::string_view name_of(Grade grade) {
    switch (grade) {
    case Grade::kUp: return "up";
    case Grade::kFailing: return "failing";
    case Grade::kDead: return "dead";
    }
    return "";
}

std::optional<Grade> parse_grade(std::string_view name) {
    for (const Grade grade : {Grade::kUp, Grade::kFailing, Grade::kDead})
        if (name == name_of(grade)) return grade;
    return std::nullopt;
}

std::string_view name_of(Verdict verdict) {
    switch (verdict) {
    case Verdict::kGood: return "good";
    case Verdict::kBad: return "bad";
    case Verdict::kSilent: return "silent";
    case Verdict::kNone: return "not_made";
    }
    return "";
}

std::optional<Grade> Hysteresis::observe(Verdict verdict) {
    if (verdict == Verdict::kNone) return std::nullopt;
    extend(good_, verdict == Verdict::kGood);
    extend(not_good_, verdict != Verdict::kGood);
    extend(silent_, verdict == Verdict::kSilent);
    extend(not_silent_, verdict != Verdict::kSilent);

    Grade next = grade_;
    if (good_ >= rise_) next = Grade::kUp;
    else if (silent_ >= fall_) next = Grade::kDead;
    else if (grade_ == Grade::kUp && not_good_ >= fall_) next = Grade::kFailing;
    else if (grade_ == Grade::kDead && not_silent_ >= rise_) next = Grade::kFailing;
    if (next == grade_) return std::nullopt;
    grade_ = next;
    return next;
}

} // namespace fairlead::health
