// SPDX-License-Identifier: Apache-2.0
#include "controlplane/cli/node_ends.hpp"

#include <gtest/gtest.h>

namespace fairlead::cli {
namespace {

using Word = v1::NodeProgress;

v1::NodeProgress last_word(double packets_per_second, bool is_at_deadline, const std::string &text = {}) {
    v1::NodeProgress word;
    word.set_phase(Word::PHASE_DONE);
    word.set_packets_per_second(packets_per_second);
    word.set_connections(1234);
    word.set_is_at_deadline(is_at_deadline);
    word.set_text(text);
    return word;
}

TEST(NodeEnds, DrainedIsOnlyWhatHasNoTrafficAnyMore) {
    EXPECT_EQ(end_of_drain(last_word(0.1, false), false), "drained: 0.1 packets a second, 1,234 connections known; dataplane and fairleadd have stopped");
    EXPECT_EQ(end_of_drain(last_word(0, false), true), "drained: 0.0 packets a second, 1,234 connections known; it runs on");
    EXPECT_EQ(end_of_drain(last_word(500, true), false),
              "stopped at the deadline with 500.0 packets a second, 1,234 connections known; dataplane and fairleadd have stopped");
    EXPECT_EQ(end_of_drain(last_word(0, true, "the dataplane is down"), false),
              "stopped at the deadline with an unknown number of packets (the dataplane is down); dataplane and fairleadd have stopped");
}

TEST(NodeEnds, AnInterruptionSaysWhatGoesOn) {
    const auto drain = [](Word::Phase phase) { return interrupted_drain(phase).what; };
    EXPECT_EQ(drain(Word::PHASE_WITHDRAWING), "interrupted: the command runs on, and the node is not stopped");
    EXPECT_EQ(drain(Word::PHASE_WAITING), "interrupted: nothing more is waited for, and the node stays withdrawn and runs");
    EXPECT_EQ(drain(Word::PHASE_STOPPING), "interrupted: the stop goes on, of the dataplane and then of fairleadd");
    EXPECT_EQ(drain(Word::PHASE_UNSPECIFIED), "interrupted") << "nothing was heard";
    const auto announcement = [](Word::Phase phase) { return interrupted_announcement(phase).what; };
    EXPECT_EQ(announcement(Word::PHASE_WAITING), "interrupted: nothing more is waited for, and the node is not announced");
    EXPECT_EQ(announcement(Word::PHASE_ANNOUNCING), "interrupted: the command runs on");
    for (const auto phase : {Word::PHASE_UNSPECIFIED, Word::PHASE_WITHDRAWING, Word::PHASE_WAITING, Word::PHASE_STOPPING})
        EXPECT_NE(interrupted_drain(phase).mend.find("fairlead status"), std::string::npos);
}

} // namespace
} // namespace fairlead::cli
