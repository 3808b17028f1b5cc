// SPDX-License-Identifier: Apache-2.0
/// The node's states, with time, traffic and commands of a test's making.
#include "controlplane/node/node.hpp"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "tests/unit/node/site.hpp"
#include "tests/unit/publish/dataplane_end.hpp"

namespace fairlead::node {
namespace {

using namespace std::chrono_literals;
using Phase = Progress::Phase;
using States = std::vector<State>;

class NodeTest : public ::testing::Test {
  protected:
    NodeTest() { spdlog::set_level(spdlog::level::off); }

    [[nodiscard]] Node make_node() { return Node(test::Site::commands(), WithdrawnMark(directory_.file("withdrawn")), site_.surroundings()); }
    [[nodiscard]] Caller caller() {
        return {.tell = [this](const Progress &word) { if (phases_.empty() || phases_.back() != word.phase) phases_.push_back(word.phase); last_ = word; },
                .is_gone = [this] { return is_gone_; }};
    }
    [[nodiscard]] bool is_marked() const { return WithdrawnMark(directory_.file("withdrawn")).read().has_value(); }
    static std::string said(const std::expected<void, Error> &done) { return done ? "done" : done.error().format(); }

    publish::test::TemporaryDirectory directory_;
    test::Site site_;
    std::vector<Phase> phases_;
    Progress last_;
    bool is_gone_ = false;
};

TEST_F(NodeTest, ADrainWithdrawsWaitsAndStops) {
    Node node = make_node();
    EXPECT_EQ(node.standing().state, State::kAnnounced);
    const auto done = node.drain({.quiet_for = 10s}, caller());
    ASSERT_TRUE(done) << done.error().format();
    EXPECT_EQ(site_.ran, (std::vector<std::string>{"withdraw: /usr/sbin/birdc disable fairlead: 192.0.2.1 192.0.2.2"}));
    EXPECT_EQ(phases_, (std::vector{Phase::kWithdrawing, Phase::kWaiting, Phase::kStopping, Phase::kDone}));
    EXPECT_EQ(site_.states, (States{State::kAnnounced, State::kWithdrawing, State::kDraining, State::kDrained}));
    EXPECT_EQ(site_.seconds(), 10) << "as long as it must have been quiet, and no longer";
    EXPECT_EQ(site_.dataplane_stops, 1);
    EXPECT_EQ(site_.self_stops, 1);
    EXPECT_EQ(last_.packets_per_second, 0);
    EXPECT_EQ(last_.connections, 7u);
    EXPECT_FALSE(last_.is_at_deadline);
}

TEST_F(NodeTest, StopsNothingWhereItIsToKeepRunning) {
    Node node = make_node();
    ASSERT_TRUE(node.drain({.keeps_running = true}, caller()));
    EXPECT_EQ(node.standing().state, State::kDrained);
    EXPECT_EQ(site_.dataplane_stops + site_.self_stops, 0);
    EXPECT_EQ(phases_.back(), Phase::kDone);
}

TEST_F(NodeTest, TrafficThatGoesLaterIsWaitedFor) {
    site_.packets_per_second_withdrawn = 300;
    site_.on_pause = [this] { if (site_.seconds() >= 20) site_.packets_per_second_withdrawn = 0; };
    Node node = make_node();
    ASSERT_TRUE(node.drain({.quiet_for = 5s}, caller()));
    EXPECT_GE(site_.seconds(), 25);
    EXPECT_LE(site_.seconds(), 26);
}

TEST_F(NodeTest, WithoutCommandsItSaysWhatToDoAndDoesNothing) {
    Node node(std::nullopt, WithdrawnMark(directory_.file("withdrawn")), site_.surroundings());
    EXPECT_FALSE(node.standing().is_managed);
    const std::string refusal = "no command is configured that takes this node out of routing; start fairleadd with --on-withdraw and "
                                "--on-announce (FAIRLEADD_OPTIONS in /etc/fairlead/fairleadd.env)";
    EXPECT_EQ(said(node.drain({}, caller())), refusal);
    EXPECT_EQ(said(node.announce(caller())), refusal);
    EXPECT_TRUE(site_.ran.empty());
    EXPECT_FALSE(is_marked());
}

TEST_F(NodeTest, AWithdrawalThatFailsLeavesItAnnounced) {
    site_.command_end = std::unexpected(error_of("/usr/sbin/birdc: exit status 1: no such protocol"));
    Node node = make_node();
    const std::string error = said(node.drain({}, caller()));
    EXPECT_EQ(error, "--on-withdraw: /usr/sbin/birdc: exit status 1: no such protocol; the node is taken for announced, as it was, and runs; "
                     "mend what the command says and drain again; it must leave routing as it was when it fails");
    EXPECT_EQ(node.standing().state, State::kAnnounced);
    EXPECT_EQ(node.standing().reason, error);
    EXPECT_EQ(site_.ran.size(), 1u) << "nothing is run to take it back";
    EXPECT_EQ(site_.dataplane_stops + site_.self_stops, 0);
    EXPECT_FALSE(is_marked());
}

TEST_F(NodeTest, AWithdrawalThatFailsOnAWithdrawnNodeLeavesItWithdrawn) {
    Node node = make_node();
    ASSERT_TRUE(node.drain({.keeps_running = true}, caller()));
    site_.command_end = std::unexpected(error_of("no"));
    EXPECT_NE(said(node.drain({}, caller())).find("stays withdrawn"), std::string::npos);
    EXPECT_EQ(node.standing().state, State::kWithdrawn);
    EXPECT_TRUE(is_marked());
}

TEST_F(NodeTest, AWithdrawalThatIsCutShortMayHaveWithdrawn) {
    site_.command_end = std::unexpected(CommandFailure(error_of("/usr/sbin/birdc: ended after 30000 ms"), true));
    Node node = make_node();
    EXPECT_EQ(said(node.drain({}, caller())),
              "--on-withdraw: /usr/sbin/birdc: ended after 30000 ms; it may have withdrawn the node, which is taken for withdrawn, and runs; "
              "look at the routes; fairlead node drain goes on, fairlead node announce puts it back");
    EXPECT_EQ(node.standing().state, State::kWithdrawn);
    EXPECT_TRUE(is_marked()) << "a fairleadd that is started again must know";
    site_.command_end = "done";
    ASSERT_TRUE(node.announce(caller()));
    EXPECT_FALSE(is_marked());
}

TEST_F(NodeTest, AtTheDeadlineItStaysWithdrawnAndRuns) {
    site_.packets_per_second_withdrawn = 500;
    Node node = make_node();
    EXPECT_EQ(said(node.drain({.deadline = 30s}, caller())),
              "500.0 packets a second still come after 30 s; the node stays withdrawn and runs; look at what routes them here; "
              "fairlead node drain goes on, fairlead node announce puts it back");
    EXPECT_EQ(site_.seconds(), 30);
    EXPECT_EQ(node.standing().state, State::kWithdrawn);
    EXPECT_EQ(site_.dataplane_stops + site_.self_stops, 0);
    EXPECT_TRUE(is_marked());
}

TEST_F(NodeTest, AtADeadlineThatIsNoneItIsStopped) {
    site_.packets_per_second_withdrawn = 500;
    Node node = make_node();
    ASSERT_TRUE(node.drain({.deadline = 30s, .stops_at_deadline = true}, caller()));
    EXPECT_EQ(site_.seconds(), 30);
    EXPECT_EQ(site_.dataplane_stops, 1);
    EXPECT_EQ(site_.self_stops, 1);
    EXPECT_EQ(last_.packets_per_second, 500) << "and it does not say that there was none";
    EXPECT_TRUE(last_.is_at_deadline);
    EXPECT_EQ(node.standing().state, State::kWithdrawn) << "nobody waits, and its traffic is not gone";
}

TEST_F(NodeTest, TrafficThatIsNotKnownIsNotGone) {
    site_.traffic_trouble = "the dataplane is down";
    Node node = make_node();
    EXPECT_NE(said(node.drain({.deadline = 60s}, caller())).find("an unknown number of packets (the dataplane is down) still come after 60 s"),
              std::string::npos);
    site_.on_pause = [this] { if (site_.seconds() >= 75) site_.traffic_trouble.clear(); };
    ASSERT_TRUE(node.drain({.quiet_for = 5s, .deadline = 60s}, caller()));
    EXPECT_GE(site_.seconds(), 80);
}

TEST_F(NodeTest, ACallerThatLeavesEndsTheWaitingAndNothingIsStopped) {
    site_.on_pause = [this] { is_gone_ = site_.seconds() >= 3; };
    Node node = make_node();
    EXPECT_NE(said(node.drain({}, caller())).find("whoever waited is gone: the node stays withdrawn and runs"), std::string::npos);
    EXPECT_EQ(node.standing().state, State::kWithdrawn);
    EXPECT_EQ(site_.dataplane_stops + site_.self_stops, 0);
}

TEST_F(NodeTest, ADataplaneThatDoesNotStopLeavesFairleaddRunning) {
    site_.stop_end = std::unexpected(error_of("it hangs", "stop it"));
    Node node = make_node();
    EXPECT_EQ(said(node.drain({}, caller())), "it hangs; the node stays drained, and fairleadd runs; stop it");
    EXPECT_EQ(node.standing().state, State::kDrained);
    EXPECT_EQ(site_.self_stops, 0);
}

TEST_F(NodeTest, AnAnnouncementPutsItBack) {
    Node node = make_node();
    ASSERT_TRUE(node.drain({.keeps_running = true}, caller()));
    EXPECT_TRUE(is_marked());
    const auto since = node.standing().since_unix_s;
    EXPECT_GT(since, 1'700'000'000u);
    ASSERT_TRUE(node.announce(caller()));
    EXPECT_EQ(site_.ran.back(), "announce: /usr/sbin/birdc enable fairlead: 192.0.2.1 192.0.2.2");
    EXPECT_EQ(node.standing().state, State::kAnnounced);
    EXPECT_FALSE(is_marked());
    EXPECT_EQ(last_.text, "done") << "what the command said";
}

TEST_F(NodeTest, IsNotAnnouncedBeforeItForwards) {
    Node node = make_node();
    ASSERT_TRUE(node.drain({.keeps_running = true}, caller()));
    site_.not_forwarding = "the dataplane runs generation 3, desired is 4";
    EXPECT_EQ(said(node.announce(caller())), "this node does not forward: the dataplane runs generation 3, desired is 4; it is not announced; "
                                             "see fairlead status");
    EXPECT_EQ(node.standing().state, State::kDrained);
    EXPECT_EQ(site_.ran.size(), 1u);
    const double before = site_.seconds();
    site_.on_pause = [this, before] { if (site_.seconds() >= before + 3) site_.not_forwarding.clear(); };
    ASSERT_TRUE(node.announce(caller())) << "a dataplane that has just started is waited for";
    EXPECT_EQ(site_.seconds(), before + 3);
}

TEST_F(NodeTest, AnAnnouncementThatFailsLeavesItWithdrawn) {
    Node node = make_node();
    ASSERT_TRUE(node.drain({.keeps_running = true}, caller()));
    site_.command_end = std::unexpected(error_of("/usr/sbin/birdc: exit status 1: syntax error"));
    EXPECT_EQ(said(node.announce(caller())), "--on-announce: /usr/sbin/birdc: exit status 1: syntax error; the node is taken for drained, as it "
                                             "was, and runs; mend what the command says and announce again");
    EXPECT_EQ(node.standing().state, State::kDrained);
    EXPECT_TRUE(is_marked());
}

TEST_F(NodeTest, AnAnnouncementThatIsCutShortMayBringTraffic) {
    Node node = make_node();
    ASSERT_TRUE(node.drain({.keeps_running = true}, caller()));
    site_.command_end = std::unexpected(CommandFailure(error_of("/usr/sbin/birdc: killed by signal 9"), true));
    EXPECT_EQ(said(node.announce(caller())), "--on-announce: /usr/sbin/birdc: killed by signal 9; the node may be announced; it is taken for "
                                             "withdrawn, and runs; announce again");
    EXPECT_EQ(node.standing().state, State::kWithdrawn);
    EXPECT_TRUE(is_marked());
}

TEST_F(NodeTest, IsNotAnnouncedForACallerThatHasGone) {
    Node node = make_node();
    ASSERT_TRUE(node.drain({.keeps_running = true}, caller()));
    is_gone_ = true;
    EXPECT_EQ(said(node.announce(caller())), "whoever waited is gone; the node is not announced");
    EXPECT_EQ(site_.ran.size(), 1u);
    EXPECT_EQ(node.standing().state, State::kDrained);
}

TEST_F(NodeTest, BeginsNothingWhenFairleaddEnds) {
    Node node = make_node();
    ASSERT_TRUE(node.drain({.keeps_running = true}, caller()));
    node.end();
    EXPECT_EQ(said(node.announce(caller())), "fairleadd ends; the node is not announced");
    EXPECT_EQ(said(node.drain({}, caller())), "fairleadd ends; the node is not drained");
    EXPECT_EQ(site_.ran.size(), 1u);
}

TEST_F(NodeTest, AnAnnouncementGivesUpADrain) {
    site_.packets_per_second_withdrawn = 500;
    Node node = make_node();
    std::thread announcer;
    std::expected<void, Error> announced = std::unexpected(error_of("not called"));
    const Caller other{.tell = [](const Progress &) {}, .is_gone = [] { return false; }};
    site_.on_pause = [&] {
        if (!announcer.joinable()) announcer = std::thread([&] { announced = node.announce(other); });
        std::this_thread::sleep_for(1ms);
    };
    EXPECT_EQ(said(node.drain({.deadline = std::chrono::hours(1000)}, caller())), "given up: the node is announced again");
    announcer.join();
    EXPECT_TRUE(announced) << said(announced);
    EXPECT_EQ(node.standing().state, State::kAnnounced);
    EXPECT_EQ(site_.dataplane_stops + site_.self_stops, 0);
    EXPECT_FALSE(is_marked());
    site_.on_pause = nullptr;
    site_.packets_per_second_withdrawn = 0;
    EXPECT_TRUE(node.drain({}, caller())) << "the next one does not give up";
}

TEST_F(NodeTest, OneDrainAtATime) {
    Node node = make_node();
    std::string second;
    site_.on_pause = [&] {
        if (second.empty()) second = said(node.drain({}, caller()));
    };
    ASSERT_TRUE(node.drain({}, caller()));
    EXPECT_EQ(second, "the node is being drained; see fairlead status");
    EXPECT_EQ(site_.ran.size(), 1u);
}

TEST_F(NodeTest, EndsWithFairleadd) {
    site_.packets_per_second_withdrawn = 500;
    Node node = make_node();
    site_.on_pause = [&node] { node.end(); };
    EXPECT_NE(said(node.drain({}, caller())).find("fairleadd ends: the node stays withdrawn"), std::string::npos);
    EXPECT_EQ(site_.dataplane_stops + site_.self_stops, 0);
}

TEST_F(NodeTest, ThatItIsWithdrawnOutlivesFairleadd) {
    {
        Node node = make_node();
        ASSERT_TRUE(node.drain({}, caller()));
    }
    Node node = make_node();
    EXPECT_EQ(node.standing().state, State::kWithdrawn) << "it does not announce itself";
    EXPECT_GE(node.standing().since_unix_s, 1'700'000'000u);
    EXPECT_EQ(site_.ran.size(), 1u);
    ASSERT_TRUE(node.announce(caller()));
    Node next = make_node();
    EXPECT_EQ(next.standing().state, State::kAnnounced);
}

TEST_F(NodeTest, OneWithoutCommandsKnowsThatItIsWithdrawn) {
    ASSERT_TRUE(WithdrawnMark(directory_.file("withdrawn")).set(1'700'000'000));
    const Node node(std::nullopt, WithdrawnMark(directory_.file("withdrawn")), site_.surroundings());
    EXPECT_EQ(node.standing().state, State::kWithdrawn);
    EXPECT_FALSE(node.standing().is_managed);
    EXPECT_EQ(site_.states, (States{State::kWithdrawn})) << "for status to warn";
}

/// As on a full disk: the file can be made, and nothing written to it.
TEST_F(NodeTest, AMarkIsWholeOrIsNot) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit usual{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
    const rlimit nothing{.rlim_cur = 0, .rlim_max = usual.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &nothing), 0);
    const auto marked = WithdrawnMark(directory_.file("withdrawn")).set(1'700'000'000);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
    ASSERT_FALSE(marked);
    EXPECT_NE(marked.error().format().find("File too large"), std::string::npos) << marked.error().format();
    EXPECT_FALSE(is_marked());
    EXPECT_TRUE(std::filesystem::is_empty(directory_.file("."))) << "nothing is left";
}

TEST_F(NodeTest, WhereItCannotBeNotedNothingIsWithdrawn) {
    Node node(test::Site::commands(), WithdrawnMark(directory_.file("none/withdrawn")), site_.surroundings());
    EXPECT_NE(said(node.drain({}, caller())).find("cannot note that the node is withdrawn"), std::string::npos);
    EXPECT_TRUE(site_.ran.empty());
    EXPECT_EQ(node.standing().state, State::kAnnounced);
}

} // namespace
} // namespace fairlead::node
