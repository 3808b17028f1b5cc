// SPDX-License-Identifier: Apache-2.0
/// A node's drain over the API: its progress, its refusals, and a client or a daemon that goes meanwhile.
#include "tests/unit/api/server_fixture.hpp"

#include <stop_token>
#include <thread>
#include <vector>

namespace fairlead::api {
namespace {

class NodeCallsTest : public test::ServerFixture {};

TEST_F(NodeCallsTest, ADrainTellsItsProgressAndItsEnd) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    std::vector<v1::NodeProgress> words;
    const auto tell = [&words](const v1::NodeProgress &word) { words.push_back(word); };
    v1::NodeDrainRequest request;
    request.set_quiet_for_s(5);
    const auto drained = client.node_drain(request, tell, {});
    ASSERT_TRUE(drained) << drained.error().error.format();
    ASSERT_GE(words.size(), 10u) << "a look each half a second";
    EXPECT_EQ(words.front().phase(), v1::NodeProgress::PHASE_WITHDRAWING);
    EXPECT_EQ(words.front().text(), node::test::Site::kWithdraw);
    EXPECT_EQ(words[1].phase(), v1::NodeProgress::PHASE_WAITING);
    EXPECT_EQ(words[1].connections(), 7u);
    EXPECT_EQ(words[words.size() - 2].phase(), v1::NodeProgress::PHASE_STOPPING);
    EXPECT_EQ(words.back().phase(), v1::NodeProgress::PHASE_DONE);
    EXPECT_EQ(site_.dataplane_stops, 1);
    EXPECT_EQ(site_.self_stops, 1);
    EXPECT_EQ(site_.seconds(), 5);
}

TEST_F(NodeCallsTest, ADrainThatIsRefusedSaysWhyAsAnyCall) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    site_.command_end = std::unexpected(error_of("/usr/sbin/birdc: exit status 1: no such protocol"));
    const auto refused = client.node_drain({}, [](const v1::NodeProgress &) {}, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, CallFailure::Kind::kRefused);
    EXPECT_EQ(refused.error().error.field, "--on-withdraw");
    EXPECT_TRUE(refused.error().error.what.starts_with("/usr/sbin/birdc: exit status 1: no such protocol; ")) << refused.error().error.what;

    v1::NodeDrainRequest endless;
    endless.set_deadline_s(~0u);
    const auto wrong = client.node_drain(endless, [](const v1::NodeProgress &) {}, {});
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().error.field, "deadline");

    const auto error_of_drain = [&client](const v1::NodeDrainRequest &request) {
        const auto done = client.node_drain(request, [](const v1::NodeProgress &) {}, {});
        return done ? "done" : done.error().error.format();
    };
    v1::NodeDrainRequest both;
    both.set_keep_running(true);
    both.set_stop_at_deadline(true);
    EXPECT_EQ(error_of_drain(both), "keep_running: stopping nothing and stopping at the deadline exclude each other; "
                                    "give one of keep_running and stop_at_deadline");
    v1::NodeDrainRequest early;
    early.set_deadline_s(9);
    EXPECT_EQ(error_of_drain(early), "quiet_for: a deadline of 9 s ends before traffic can have been gone for 10 s; "
                                     "give a longer deadline, or a shorter quiet_for");
    EXPECT_EQ(site_.ran.size(), 1u) << "a wrong request runs nothing";
    early.set_stop_at_deadline(true);
    EXPECT_NE(error_of_drain(early).find("--on-withdraw"), std::string::npos) << "a deadline that stops it may come before";
}

TEST_F(NodeCallsTest, AClientThatLeavesEndsItsDrainAndNothingIsStopped) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    site_.packets_per_second_withdrawn = 500;
    site_.has_real_pauses = true;
    std::stop_source source;
    int words = 0;
    v1::NodeDrainRequest request;
    request.set_deadline_s(86400);
    const auto left = client.node_drain(request, [&](const v1::NodeProgress &) { if (++words == 5) source.request_stop(); }, source.get_token());
    ASSERT_FALSE(left);
    EXPECT_EQ(left.error().kind, CallFailure::Kind::kCancelled) << "no refusal: it was the client's own will";
    for (int i = 0; i < 1000 && node_.standing().state != node::State::kWithdrawn; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(node_.standing().state, node::State::kWithdrawn);
    EXPECT_EQ(site_.dataplane_stops + site_.self_stops, 0);
    site_.has_real_pauses = false;

    const auto status = client.status();
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->node().is_managed());
    EXPECT_EQ(status->node().state(), "withdrawn");
    EXPECT_GE(status->node().since_unix_s(), 1'700'000'000u);
    EXPECT_NE(status->node().reason().find("whoever waited is gone"), std::string::npos);
    EXPECT_NE(std::ranges::find(status->warnings(), "this node is out of routing; fairlead node announce puts it back"), status->warnings().end());

    std::vector<v1::NodeProgress> said;
    ASSERT_TRUE(client.node_announce([&said](const v1::NodeProgress &word) { said.push_back(word); }, {}));
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(said[0].phase(), v1::NodeProgress::PHASE_ANNOUNCING);
    EXPECT_EQ(said[1].phase(), v1::NodeProgress::PHASE_DONE);
    EXPECT_EQ(client.status()->node().state(), "announced");
}

TEST_F(NodeCallsTest, StatusWarnsOfAWithdrawnNodeThatNothingPutsBack) {
    const auto server = start();
    Client client(socket_path(), std::chrono::seconds(10));
    statistics_->set_node({.is_managed = false, .state = node::State::kWithdrawn, .since_unix_s = 1'700'000'000, .reason = {}});
    const auto status = client.status();
    ASSERT_TRUE(status);
    EXPECT_NE(std::ranges::find(status->warnings(), "this node was taken out of routing by a fairleadd that had commands for it, and this one has none "
                                                    "that put it back; start it with --on-withdraw and --on-announce"),
              status->warnings().end());
}

TEST_F(NodeCallsTest, ADrainEndsWhenFairleaddDoes) {
    auto server = start();
    site_.packets_per_second_withdrawn = 500;
    site_.has_real_pauses = true;
    std::atomic<bool> has_begun = false;
    std::thread ending([&] {
        while (!has_begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        node_.end();
        server->reset();
    });
    Client client(socket_path(), std::chrono::seconds(10));
    v1::NodeDrainRequest request;
    request.set_deadline_s(86400);
    const auto ended = client.node_drain(request, [&](const v1::NodeProgress &) { has_begun = true; }, {});
    ending.join();
    ASSERT_FALSE(ended);
    EXPECT_NE(ended.error().error.format().find("fairleadd ends: the node stays withdrawn"), std::string::npos) << ended.error().error.format();
}

} // namespace
} // namespace fairlead::api
