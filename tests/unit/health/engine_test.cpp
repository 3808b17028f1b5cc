// SPDX-License-Identifier: Apache-2.0
/// The engine against real sockets. Waiting is for what must come, never for time to pass.
#include "controlplane/health/engine.hpp"

#include <condition_variable>
#include <filesystem>
#include <thread>

#include "tests/unit/health/listener.hpp"
#include "tests/unit/nexthop/network_namespace.hpp"

namespace fairlead::health {
namespace {

using test::AnsweringServer;
using test::Listener;

constexpr std::chrono::seconds kLimit{20};

Target target(std::uint16_t port, config::HealthType type, std::uint32_t address = 0x7f000001) {
    config::HealthCheck check;
    check.type = type;
    check.port = port;
    check.interval_ms = 10;
    check.timeout_ms = 2000; // far from what a slow machine takes
    return {.key = {.vip = 1, .port = port, .protocol = 6, .address = address}, .incarnation = 1, .check = check};
}

class EngineTest : public ::testing::Test {
  protected:
    void open() {
        auto engine = Engine::open(
            [this] {
                const std::lock_guard lock(mutex_);
                ++calls_;
                changed_.notify_all();
            },
            tally_);
        ASSERT_TRUE(engine) << engine.error().format();
        engine_ = std::move(*engine);
    }

    /// What was found of `key`, once `is_right(found)`; a default one when that never came.
    template <class IsRight> Found wait_for(const BackendKey &key, IsRight is_right) {
        Found answer{};
        std::unique_lock lock(mutex_);
        const bool has_come = changed_.wait_for(lock, kLimit, [&] {
            for (const Found &found : engine_->found())
                if (found.target.key == key && is_right(found)) {
                    answer = found;
                    return true;
                }
            return false;
        });
        EXPECT_TRUE(has_come);
        return answer;
    }
    Found wait_for_grade(const Target &of, Grade grade) {
        return wait_for(of.key, [grade](const Found &found) { return found.target.grade == grade; });
    }
    /// Waits until `count` probes of `key` gave `verdict`.
    void wait_for_probes(const BackendKey &key, Verdict verdict, std::uint64_t count) {
        const auto end = std::chrono::steady_clock::now() + kLimit;
        while (probes(key, verdict) < count) {
            ASSERT_LT(std::chrono::steady_clock::now(), end);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
    [[nodiscard]] std::uint64_t probes(const BackendKey &key, Verdict verdict) const {
        const auto counts = tally_->counts();
        const auto counted = counts.find(key);
        return counted == counts.end() ? 0 : counted->second.probes[static_cast<std::size_t>(verdict)];
    }

    std::shared_ptr<Tally> tally_ = std::make_shared<Tally>();
    std::mutex mutex_;
    std::condition_variable changed_;
    int calls_ = 0;
    std::unique_ptr<Engine> engine_; ///< last: it calls back
};

TEST_F(EngineTest, ATcpServerThatAcceptsStaysUp) {
    Listener listener;
    listener.listen();
    open();
    const Target one = target(listener.port(), config::HealthType::kTcp);
    engine_->set_targets({one});
    wait_for_probes(one.key, Verdict::kGood, 5);
    EXPECT_TRUE(engine_->found().empty());
    EXPECT_EQ(calls_, 0);
}

TEST_F(EngineTest, ARefusedConnectionIsFailingAndARecoveryIsUp) {
    const Listener listener;
    open();
    const Target one = target(listener.port(), config::HealthType::kTcp);
    engine_->set_targets({one});
    const Found failing = wait_for_grade(one, Grade::kFailing);
    EXPECT_EQ(failing.reason, "connection to port " + std::to_string(listener.port()) + " refused, 3 of 3");
    listener.listen();
    EXPECT_EQ(wait_for_grade(one, Grade::kUp).reason, "answers as it should, 2 of 2");
    EXPECT_EQ(tally_->counts().at(one.key).transitions, (std::array<std::uint64_t, 3>{1, 1, 0}));
}

TEST_F(EngineTest, AnHttpStatusIsJudgedByWhatIsExpected) {
    AnsweringServer server(AnsweringServer::http(503));
    open();
    Target one = target(server.port(), config::HealthType::kHttp);
    one.check.path = "/healthz?deep=1";
    engine_->set_targets({one});
    EXPECT_EQ(wait_for_grade(one, Grade::kFailing).reason, "HTTP status 503, not 200, 3 of 3");
    server.set_answer(AnsweringServer::http(200));
    wait_for_grade(one, Grade::kUp);
    EXPECT_TRUE(server.last_request().starts_with("GET /healthz?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
    server.set_answer(AnsweringServer::http(404));
    EXPECT_EQ(wait_for_grade(one, Grade::kFailing).reason, "HTTP status 404, not 200, 3 of 3");

    one.check.status = {{200, 299}, {404, 404}}; // another check: it begins anew
    one.grade = Grade::kFailing;
    engine_->set_targets({one});
    EXPECT_TRUE(wait_for_grade(one, Grade::kUp).target.is_as(one));
}

TEST_F(EngineTest, ARedirectIsNotFollowed) {
    AnsweringServer server("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
    open();
    const Target one = target(server.port(), config::HealthType::kHttp);
    engine_->set_targets({one});
    EXPECT_EQ(wait_for_grade(one, Grade::kFailing).reason, "HTTP status 302, not 200, 3 of 3");
}

TEST_F(EngineTest, ABodyWithoutEndDoesNotKeepAGoodAnswerFromCounting) {
    AnsweringServer server("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx");
    open();
    const Target one = target(server.port(), config::HealthType::kHttp);
    engine_->set_targets({one});
    wait_for_probes(one.key, Verdict::kGood, 3);
    EXPECT_EQ(probes(one.key, Verdict::kBad), 0u);
}

TEST_F(EngineTest, AServerThatAcceptsAndSaysNothingIsFailingNotDead) {
    Listener listener;
    listener.listen();
    open();
    Target one = target(listener.port(), config::HealthType::kHttp);
    one.check.timeout_ms = 300;
    one.check.fall = 2;
    engine_->set_targets({one});
    EXPECT_EQ(wait_for_grade(one, Grade::kFailing).reason,
              "no answer on port " + std::to_string(listener.port()) + " in 300ms, 2 of 2");
    wait_for_probes(one.key, Verdict::kBad, 3);
    EXPECT_EQ(probes(one.key, Verdict::kSilent), 0u);
}

TEST_F(EngineTest, AnAnswerThatIsNoHttpIsFailing) {
    for (const char *answer : {"", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 2"}) {
        AnsweringServer server(answer);
        open();
        const Target one = target(server.port(), config::HealthType::kHttp);
        engine_->set_targets({one});
        EXPECT_NE(wait_for_grade(one, Grade::kFailing).reason.find("gave no HTTP answer"), std::string::npos) << answer;
        engine_.reset();
    }
}

TEST_F(EngineTest, WhatCannotBeReachedIsDead) {
    const nexthop::test::NetworkNamespace apart;
    if (!apart.why_not().empty()) GTEST_SKIP() << "no network namespace: " << apart.why_not();
    apart.shell("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up && "
                "ip addr add 10.9.0.1/24 dev v0 && ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev v0 && "
                "ip route add unreachable 10.8.0.0/24");
    Target no_route = target(80, config::HealthType::kTcp, 0x0a070001);
    Target unreachable = target(80, config::HealthType::kHttp, 0x0a080001);
    Target black_hole = target(80, config::HealthType::kTcp, 0x0a090002);
    black_hole.check.timeout_ms = 20;
    apart.inside([&] {
        open();
        engine_->set_targets({no_route, unreachable, black_hole});
        EXPECT_EQ(wait_for_grade(no_route, Grade::kDead).reason, "connect to port 80: Network is unreachable, 3 of 3");
        EXPECT_EQ(wait_for_grade(unreachable, Grade::kDead).reason, "connect to port 80: No route to host, 3 of 3");
        EXPECT_EQ(wait_for_grade(black_hole, Grade::kDead).reason, "connect to port 80 timed out, 3 of 3");
        engine_.reset();
    });
}

TEST_F(EngineTest, AFailingBackendWhoseHostGoesIsDeadAndThenRefusesAgain) {
    const nexthop::test::NetworkNamespace apart;
    if (!apart.why_not().empty()) GTEST_SKIP() << "no network namespace: " << apart.why_not();
    apart.shell("ip link set lo up && ip addr add 10.9.0.1/32 dev lo");
    const Target one = target(80, config::HealthType::kTcp, 0x0a090001);
    apart.inside([&] {
        open();
        engine_->set_targets({one});
        wait_for_grade(one, Grade::kFailing);
        apart.shell("ip addr del 10.9.0.1/32 dev lo");
        wait_for_grade(one, Grade::kDead);
        apart.shell("ip addr add 10.9.0.1/32 dev lo");
        wait_for_grade(one, Grade::kFailing);
        engine_.reset();
    });
}

TEST_F(EngineTest, AGradeThatWasKnownBeforeIsGoneOnFrom) {
    Listener listener;
    listener.listen();
    open();
    Target one = target(listener.port(), config::HealthType::kTcp);
    one.grade = Grade::kDead;
    engine_->set_targets({one});
    EXPECT_EQ(wait_for_grade(one, Grade::kUp).reason, "answers as it should, 2 of 2");
}

TEST_F(EngineTest, ATargetThatStaysKeepsWhatWasFoundAndOneThatIsAnotherDoesNot) {
    const Listener listener;
    open();
    Target one = target(listener.port(), config::HealthType::kTcp);
    engine_->set_targets({one});
    wait_for_grade(one, Grade::kFailing);
    Listener other_listener;
    other_listener.listen();
    const Target other = target(other_listener.port(), config::HealthType::kTcp);
    engine_->set_targets({one, other});
    wait_for_probes(other.key, Verdict::kGood, 1);
    ASSERT_EQ(engine_->found().size(), 1u);
    EXPECT_EQ(tally_->counts().at(one.key).transitions[1], 1u) << "it did not fall again";

    one.incarnation = 2; // removed and added again
    one.grade = Grade::kUp;
    engine_->set_targets({one});
    wait_for(one.key, [](const Found &found) { return found.target.incarnation == 2; });
    EXPECT_FALSE(tally_->counts().contains(other.key));
    engine_->set_targets({});
    engine_.reset();
}

std::size_t open_descriptors() {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST_F(EngineTest, AThousandTargetsAreProbedAtOnceAndLeaveNothingOpen) {
    Listener accepting;
    accepting.listen();
    const Listener refusing;
    const std::size_t before = open_descriptors();
    open();
    std::vector<Target> targets;
    for (std::uint32_t i = 0; i < 1000; ++i) {
        // All of 127/8 is this host; one listener is bound to one address, so the others refuse.
        targets.push_back(target(i % 2 == 0 ? refusing.port() : accepting.port(), config::HealthType::kTcp, 0x7f000001 + i));
        targets.back().check.interval_ms = 200;
    }
    engine_->set_targets(targets);
    for (const Target &each : targets)
        if (each.key.address != 0x7f000001 || each.key.port != accepting.port()) wait_for_grade(each, Grade::kFailing);
    engine_.reset();
    EXPECT_EQ(open_descriptors(), before);
}

TEST_F(EngineTest, FirstProbesAreSpreadOverTheInterval) {
    Listener listener;
    listener.listen();
    open();
    std::vector<Target> targets;
    for (std::uint32_t i = 0; i < 200; ++i) {
        targets.push_back(target(listener.port(), config::HealthType::kTcp, 0x7f000001));
        targets.back().key.vip = i;
        targets.back().check.interval_ms = 3'600'000;
    }
    engine_->set_targets(targets);
    // Of 200 probes spread over an hour hardly one begins while this test runs.
    Target soon = target(listener.port(), config::HealthType::kTcp);
    soon.key.vip = 9999;
    targets.push_back(soon);
    engine_->set_targets(targets);
    wait_for_probes(soon.key, Verdict::kGood, 10);
    EXPECT_LT(tally_->counts().size(), 20u);
}

} // namespace
} // namespace fairlead::health
