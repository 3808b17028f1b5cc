// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/select.hpp"

#include <gtest/gtest.h>

using namespace fairlead;
using namespace fairlead::core;

namespace {

constexpr ConnectionState kStates[] = {ConnectionState::kHalfOpen, ConnectionState::kEstablished, ConnectionState::kClosing, ConnectionState::kUdp};

TEST(Transition, OfEverySegmentIsWhatTheRulesSay) {
    for (unsigned flags = 0; flags < 256; ++flags)
        for (const bool has_payload : {false, true})
            for (const ConnectionState state : {kStates[0], kStates[1], kStates[2]})
                EXPECT_EQ(follow_transition(tcp_transition(static_cast<wire::u8>(flags), has_payload), state),
                          next_state(state, wire::kIpProtocolTcp, static_cast<wire::u8>(flags), has_payload))
                    << flags << " " << has_payload << " " << static_cast<int>(state);
}

TEST(Transition, OfADatagramIsUdp) {
    for (const ConnectionState state : kStates) EXPECT_EQ(follow_transition(kUdpTransition, state), ConnectionState::kUdp);
}

TEST(Transition, OfAPackedValueIsThatOfItsParts) {
    for (const ConnectionState state : kStates)
        for (const bool is_unsure : {false, true})
            for (unsigned transition = 0; transition < 256; ++transition) {
                const Connection before{0x1234, 0x8765, state, 0xabcdef, is_unsure};
                const Connection after = Connection::unpack(Connection::touch(before.pack(), static_cast<Transition>(transition), 0xfedcba));
                EXPECT_EQ(after.slot, before.slot);
                EXPECT_EQ(after.epoch, before.epoch);
                EXPECT_EQ(after.is_unsure, is_unsure);
                EXPECT_EQ(after.last_seen_s, 0xfedcbau);
                EXPECT_EQ(after.state, follow_transition(static_cast<Transition>(transition), state));
            }
}

} // namespace
