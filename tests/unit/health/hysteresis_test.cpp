// SPDX-License-Identifier: Apache-2.0
#include "controlplane/health/hysteresis.hpp"

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace fairlead::health {
namespace {

Verdict verdict_of(char letter) {
    return letter == 'g' ? Verdict::kGood : letter == 'b' ? Verdict::kBad : letter == 's' ? Verdict::kSilent : Verdict::kNone;
}

/// The grade after each verdict, as a letter: u, f, d.
std::string grades_of(const std::string &verdicts, std::uint32_t rise, std::uint32_t fall, Grade begin = Grade::kUp) {
    Hysteresis hysteresis(begin, rise, fall);
    std::string grades;
    for (const char letter : verdicts) {
        const Grade before = hysteresis.grade();
        const auto changed = hysteresis.observe(verdict_of(letter));
        EXPECT_EQ(changed.has_value(), hysteresis.grade() != before);
        grades += name_of(hysteresis.grade()).front();
    }
    return grades;
}

struct Sequence {
    const char *verdicts;
    const char *grades;
    Grade begin = Grade::kUp;
};

/// rise 2, fall 3.
class Sequences : public ::testing::TestWithParam<Sequence> {};

TEST_P(Sequences, GiveTheseGrades) { EXPECT_EQ(grades_of(GetParam().verdicts, 2, 3, GetParam().begin), GetParam().grades); }

INSTANTIATE_TEST_SUITE_P(Hysteresis, Sequences, ::testing::Values(
    Sequence{"ggggg", "uuuuu"},
    Sequence{"bbgbbg", "uuuuuu"},       // never three in a row
    Sequence{"ssgssg", "uuuuuu"},
    Sequence{"bbb", "uuf"},
    Sequence{"sss", "uud"},
    Sequence{"ssb", "uuf"},             // its kernel answered once
    Sequence{"bss", "uuf"},
    Sequence{"bsss", "uufd"},
    Sequence{"bbbsss", "uufffd"},       // failing goes on to dead
    Sequence{"bbbssbss", "uuffffff"},   // not by silences apart
    Sequence{"bbbgbg", "uuffff"},       // one good answer is not two
    Sequence{"bbbgg", "uuffu"},
    Sequence{"sssgg", "uuddu"},
    Sequence{"sssbb", "uuddf"},         // a dead one that refuses lives
    Sequence{"sssbsb", "uudddd"},
    Sequence{"sssbg", "uuddf"},
    Sequence{"sssbgg", "uuddfu"},
    Sequence{"sngssnns", "uuuuuuud"},   // what says nothing ends no run
    Sequence{"gb", "df", Grade::kDead},
    Sequence{"gg", "du", Grade::kDead},
    Sequence{"gg", "fu", Grade::kFailing},
    Sequence{"sssgsgsgg", "uuddddddu"}), [](const auto &test) { return "Case" + std::to_string(test.index); });

TEST(Hysteresis, ThresholdsOfOneFollowEveryVerdict) { EXPECT_EQ(grades_of("gbsgsb", 1, 1), "ufdudf"); }

/// Against the last verdicts, looked at anew each time.
TEST(Hysteresis, EveryChangeIsEarnedByARunAndEveryRunChanges) {
    std::mt19937 random(5);
    for (int round = 0; round < 300; ++round) {
        const auto rise = static_cast<std::uint32_t>(1 + random() % 5), fall = static_cast<std::uint32_t>(1 + random() % 5);
        Hysteresis hysteresis(Grade::kUp, rise, fall);
        std::vector<Verdict> past;
        const auto last = [&past](std::uint32_t count, auto is) {
            return past.size() >= count && std::all_of(past.end() - count, past.end(), is);
        };
        const auto is_good = [](Verdict v) { return v == Verdict::kGood; };
        const auto is_silent = [](Verdict v) { return v == Verdict::kSilent; };
        for (int step = 0; step < 300; ++step) {
            const Grade before = hysteresis.grade();
            // Runs of random lengths, so that thresholds are met and missed.
            const Verdict verdict = !past.empty() && random() % 3 != 0 ? past.back() : static_cast<Verdict>(random() % 3);
            past.push_back(verdict);
            hysteresis.observe(verdict);
            const Grade now = hysteresis.grade();
            ASSERT_TRUE(!last(rise, is_good) || now == Grade::kUp);
            ASSERT_TRUE(!last(fall, is_silent) || now == Grade::kDead);
            ASSERT_TRUE(!last(fall, std::not_fn(is_good)) || now != Grade::kUp);
            ASSERT_TRUE(!last(rise, std::not_fn(is_silent)) || now != Grade::kDead);
            if (now == before) continue;
            const std::uint32_t run = hysteresis.run_of(before, now);
            switch (now) {
            case Grade::kUp: ASSERT_TRUE(last(run, is_good)); break;
            case Grade::kDead: ASSERT_TRUE(last(run, is_silent)); break;
            case Grade::kFailing:
                ASSERT_TRUE(before == Grade::kUp ? last(run, std::not_fn(is_good)) : last(run, std::not_fn(is_silent)));
                break;
            }
        }
    }
}

TEST(Hysteresis, GradesHaveNames) {
    for (const Grade grade : {Grade::kUp, Grade::kFailing, Grade::kDead}) EXPECT_EQ(parse_grade(name_of(grade)), grade);
    EXPECT_EQ(parse_grade("healthy"), std::nullopt);
}

} // namespace
} // namespace fairlead::health
