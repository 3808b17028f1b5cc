// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/publisher.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>

#include "controlplane/publish/snapshot_builder.hpp"
#include "tests/unit/publish/dataplane_end.hpp"

namespace fairlead::publish {
namespace {

using namespace std::chrono_literals;
using test::Arrival;
using test::DataplaneEnd;
using test::kStepLimit;
using Ids = std::vector<std::uint64_t>;
using Kind = PublishFailure::Kind;
using Outcome = std::expected<Adoption, PublishFailure>;

SharedSegment sealed(const SegmentBytes &bytes) {
    auto segment = SealedSegment::seal(bytes);
    EXPECT_TRUE(segment) << segment.error().format();
    return std::make_shared<const SealedSegment>(*std::move(segment));
}

SharedSegment rows(std::uint64_t id) {
    const std::vector<std::uint16_t> no_backend(65537, wire::kNoSlot);
    return sealed(build_rows_segment(id, no_backend));
}

/// A snapshot of no service that carries these rows: the publisher looks at ids, never into segments.
Snapshot snapshot(std::uint64_t generation, std::uint64_t hops_id, std::vector<SharedSegment> rows_segments = {}) {
    ForwardingState state;
    state.generation = generation;
    state.hops_segment_id = hops_id;
    return {generation, sealed(build_root_segment(state)), sealed(build_hops_segment(state)), std::move(rows_segments)};
}

/// The publisher's events, counted, and waited for with a limit.
class EventLog {
  public:
    Publisher::Events events() {
        return {.on_connect = [this](const DataplaneInfo &info) { record([&] { connects.push_back(info); }); },
                .on_disconnect = [this](const Error &error) { record([&] { losses.push_back(error.format()); }); }};
    }
    [[nodiscard]] bool wait_connects(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, kStepLimit, [&] { return connects.size() >= count; });
    }
    [[nodiscard]] bool wait_losses(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, kStepLimit, [&] { return losses.size() >= count; });
    }
    std::vector<DataplaneInfo> connects;
    std::vector<std::string> losses;

  private:
    template <class Change> void record(Change change) {
        const std::lock_guard lock(mutex_);
        change();
        changed_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
};

class PublisherTest : public ::testing::Test {
  protected:
    void start(std::chrono::milliseconds deadline = kStepLimit) {
        publisher_ = std::make_unique<Publisher>(Publisher::Options{path_, 10ms, deadline}, log_.events());
    }
    /// A publisher and a dataplane that runs `generation`, connected.
    void connect(std::uint64_t generation, std::chrono::milliseconds deadline = kStepLimit) {
        end_.emplace(path_);
        start(deadline);
        ASSERT_TRUE(end_->accept());
        end_->say_hello(generation);
        ASSERT_TRUE(log_.wait_connects(1));
    }
    std::future<Outcome> publish(Snapshot snapshot) {
        return std::async(std::launch::async,
                          [this, snapshot = std::move(snapshot)] { return publisher_->publish(snapshot); });
    }
    /// One publication that is adopted: the ids that were sent for it.
    Ids publish_adopted(const Snapshot &snapshot) {
        auto outcome = publish(snapshot);
        Ids sent = end_->receive_publication(snapshot.generation);
        end_->adopt(snapshot.generation);
        EXPECT_TRUE(outcome.get());
        return sent;
    }
    void expect_failure(const Outcome &outcome, Kind kind, const std::string &text) {
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().kind, kind);
        EXPECT_NE(outcome.error().error.format().find(text), std::string::npos) << outcome.error().error.format();
    }

    test::TemporaryDirectory directory_;
    const std::string path_ = directory_.file("dataplane.sock");
    EventLog log_;
    std::optional<DataplaneEnd> end_;
    std::unique_ptr<Publisher> publisher_;
};

TEST_F(PublisherTest, SendsTheSegmentsThenTheRootAndReportsTheAdoption) {
    connect(7);
    EXPECT_EQ(log_.connects[0].generation, 7u);
    EXPECT_EQ(log_.connects[0].worker_count, 2u);
    EXPECT_EQ(log_.connects[0].version, "0.1.0");

    const Snapshot sent = snapshot(8, 100, {rows(1), rows(2)});
    auto outcome = publish(sent);
    for (const auto &expected : {sent.hops, sent.rows[0], sent.rows[1]}) {
        const Arrival arrival = end_->receive();
        EXPECT_EQ(arrival.type, wire::kControlSegment);
        EXPECT_EQ(arrival.number, expected->id());
        EXPECT_EQ(arrival.content().size(), expected->size());
    }
    const Arrival root = end_->receive();
    EXPECT_EQ(root.type, wire::kControlPublish);
    EXPECT_EQ(root.number, 8u);
    const auto content = root.content();
    ASSERT_GE(content.size(), sizeof(wire::SnapshotRoot));
    EXPECT_EQ(reinterpret_cast<const wire::SnapshotRoot *>(content.data())->generation, 8u);
    EXPECT_EQ(outcome.wait_for(0ms), std::future_status::timeout) << "publish() must wait for the dataplane's word";
    end_->adopt(8);

    const Outcome adopted = outcome.get();
    ASSERT_TRUE(adopted);
    EXPECT_EQ(adopted->segments_sent, 4u);
    EXPECT_EQ(adopted->bytes_sent,
              sent.root->size() + sent.hops->size() + sent.rows[0]->size() + sent.rows[1]->size());
    EXPECT_EQ(publisher_->status().generation, 8u);
    EXPECT_EQ(publisher_->status().adopted, 1u);
}

TEST_F(PublisherTest, SendsASegmentThatTheDataplaneHoldsOnlyOnce) {
    connect(0);
    const SharedSegment kept = rows(1);
    EXPECT_EQ(publish_adopted(snapshot(1, 100, {kept, rows(2)})), (Ids{100, 1, 2}));
    EXPECT_EQ(publish_adopted(snapshot(2, 101, {kept, rows(3)})), (Ids{101, 3}));
    EXPECT_EQ(publish_adopted(snapshot(3, 101, {kept})), Ids{});
}

TEST_F(PublisherTest, SendsASegmentAgainThatAGenerationLeftOut) {
    connect(0);
    const SharedSegment back = rows(1);
    (void)publish_adopted(snapshot(1, 100, {back}));
    (void)publish_adopted(snapshot(2, 100, {rows(2)}));
    EXPECT_EQ(publish_adopted(snapshot(3, 100, {back})), Ids{1});
}

TEST_F(PublisherTest, ReportsARefusalAndGoesOnWithWhatWasSent) {
    connect(0);
    const SharedSegment kept = rows(1);
    auto outcome = publish(snapshot(1, 100, {kept}));
    (void)end_->receive_publication(1);
    end_->refuse(1, 0, "service 3: no such rows");
    expect_failure(outcome.get(), Kind::kRefused, "service 3: no such rows");
    EXPECT_EQ(publisher_->status().generation, 0u);
    EXPECT_EQ(publisher_->status().refused, 1u);
    EXPECT_TRUE(publisher_->status().connected);

    EXPECT_EQ(publish_adopted(snapshot(2, 101, {kept})), Ids{101}) << "the refused generation's rows are still there";
    EXPECT_TRUE(publisher_->status().last_error.empty());
}

TEST_F(PublisherTest, NamesTheSegmentThatWasRefusedAndSendsItAgain) {
    connect(0);
    const SharedSegment bad = rows(9);
    auto outcome = publish(snapshot(1, 100, {bad}));
    (void)end_->receive_publication(1);
    end_->refuse(0, 9, "checksum");
    end_->refuse(1, 0, "segment 9 is missing");
    expect_failure(outcome.get(), Kind::kRefused, "segment 9: checksum");
    EXPECT_EQ(publish_adopted(snapshot(2, 100, {bad})), Ids{9});
}

TEST_F(PublisherTest, RefusesAGenerationThatDoesNotExceedTheRunningOne) {
    connect(41);
    expect_failure(publisher_->publish(snapshot(41, 100)), Kind::kStale, "41");
    EXPECT_TRUE(end_->is_silent(50ms));
    (void)publish_adopted(snapshot(42, 100));
    expect_failure(publisher_->publish(snapshot(42, 101)), Kind::kStale, "42");
}

TEST_F(PublisherTest, LearnsFromARefusalThatAnotherPublishersGenerationRuns) {
    connect(1);
    const SharedSegment kept = rows(1);
    auto outcome = publish(snapshot(2, 100, {kept}));
    (void)end_->receive_publication(2);
    end_->refuse(2, 0, "generation 2 does not exceed 9, which runs", 9);
    expect_failure(outcome.get(), Kind::kStale, "9");
    EXPECT_EQ(publisher_->status().generation, 9u);
    EXPECT_EQ(publish_adopted(snapshot(10, 100, {kept})), Ids{}) << "what was sent is still there";
}

TEST_F(PublisherTest, FailsAtOnceWithoutADataplaneAndConnectsWhenThereIsOne) {
    start();
    expect_failure(publisher_->publish(snapshot(1, 100)), Kind::kDisconnected, "not connected");
    end_.emplace(path_);
    ASSERT_TRUE(end_->accept());
    end_->say_hello(0);
    ASSERT_TRUE(log_.wait_connects(1));
    EXPECT_EQ(publish_adopted(snapshot(1, 100)), Ids{100});
}

TEST_F(PublisherTest, AfterADisconnectInTheMiddleEverythingIsSentAgain) {
    connect(0);
    const SharedSegment kept = rows(1);
    (void)publish_adopted(snapshot(1, 100, {kept}));

    auto outcome = publish(snapshot(2, 101, {kept, rows(2)}));
    EXPECT_EQ(end_->receive().number, 101u);
    end_->hang_up();
    const Outcome cut = outcome.get();
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().kind, Kind::kDisconnected);
    ASSERT_TRUE(log_.wait_losses(1));

    ASSERT_TRUE(end_->accept());
    end_->say_hello(1);
    ASSERT_TRUE(log_.wait_connects(2));
    EXPECT_EQ(log_.connects[1].generation, 1u);
    EXPECT_EQ(publish_adopted(snapshot(3, 101, {kept, rows(2)})), (Ids{101, 1, 2}));
}

TEST_F(PublisherTest, NoticesALossWhileIdle) {
    connect(0);
    end_->hang_up();
    ASSERT_TRUE(log_.wait_losses(1));
    EXPECT_FALSE(publisher_->status().connected);
    expect_failure(publisher_->publish(snapshot(1, 100)), Kind::kDisconnected, "not connected");
}

TEST_F(PublisherTest, GivesASlowDataplaneUpAndLearnsFromTheNextHelloWhatBecameOfIt) {
    connect(0, 2s);
    const auto begin = std::chrono::steady_clock::now();
    auto outcome = publish(snapshot(1, 100));
    (void)end_->receive_publication(1);
    expect_failure(outcome.get(), Kind::kTimeout, "in time");
    const auto taken = std::chrono::steady_clock::now() - begin;
    EXPECT_GE(taken, 2s);
    EXPECT_LT(taken, 10s);
    EXPECT_TRUE(end_->peer_hung_up());

    ASSERT_TRUE(end_->accept());
    end_->say_hello(1); // it had been adopted, only too late
    ASSERT_TRUE(log_.wait_connects(2));
    expect_failure(publisher_->publish(snapshot(1, 100)), Kind::kStale, "1");
}

TEST_F(PublisherTest, ADataplaneThatDoesNotReadHoldsNobodyUp) {
    connect(0, 2s);
    std::vector<SharedSegment> many;
    for (std::uint64_t id = 1; id <= 700; ++id) many.push_back(sealed(build_rows_segment(id, std::vector<std::uint16_t>(1))));
    expect_failure(publish(snapshot(1, 1000, many)).get(), Kind::kTimeout, "");
}

TEST_F(PublisherTest, DoesNotTalkToAnotherVersion) {
    end_.emplace(path_);
    start();
    ASSERT_TRUE(end_->accept());
    auto newer = DataplaneEnd::hello(5);
    newer.header.version = wire::kControlVersion + 1;
    end_->send(newer);
    EXPECT_TRUE(end_->peer_hung_up());

    ASSERT_TRUE(end_->accept()); // it tries again: the dataplane may be replaced
    EXPECT_NE(publisher_->status().last_error.find("version 2"), std::string::npos) << publisher_->status().last_error;
    auto other_abi = DataplaneEnd::hello(5);
    other_abi.snapshot_abi = wire::kSnapshotAbi + 1;
    end_->send(other_abi);
    EXPECT_TRUE(end_->peer_hung_up());

    ASSERT_TRUE(end_->accept());
    EXPECT_NE(publisher_->status().last_error.find("ABI 2"), std::string::npos) << publisher_->status().last_error;
    EXPECT_TRUE(log_.connects.empty());
    end_->say_hello(5);
    EXPECT_TRUE(log_.wait_connects(1));
}

TEST_F(PublisherTest, EndsTheConnectionOnAnyMalformedMessage) {
    end_.emplace(path_);
    start();
    const auto hello = DataplaneEnd::hello(1);
    const auto bytes = std::as_bytes(std::span(&hello, 1));
    std::vector<std::vector<std::byte>> malformed;
    malformed.emplace_back(bytes.begin(), bytes.end() - 1);                     // cut short
    malformed.emplace_back(bytes.begin(), bytes.begin() + 3);                   // no header
    malformed.emplace_back(bytes.begin(), bytes.end()).push_back(std::byte{0}); // longer than its type
    malformed.emplace_back(wire::kControlMessageSizeMax + 1);                   // longer than any
    auto &wrong_magic = malformed.emplace_back(bytes.begin(), bytes.end());
    wrong_magic[0] ^= std::byte{1};
    auto &wrong_type = malformed.emplace_back(bytes.begin(), bytes.end());
    wrong_type[6] = std::byte{wire::kControlPublish};
    auto &not_hello = malformed.emplace_back(sizeof(wire::ControlAdopted));
    const auto adopted = make_control_message<wire::ControlAdopted>(wire::kControlAdopted);
    std::memcpy(not_hello.data(), &adopted, sizeof(adopted));

    for (std::size_t i = 0; i < malformed.size(); ++i) {
        ASSERT_TRUE(end_->accept()) << i;
        end_->send_bytes(malformed[i]);
        EXPECT_TRUE(end_->peer_hung_up()) << i;
    }
    EXPECT_TRUE(log_.connects.empty());
    ASSERT_TRUE(end_->accept());
    end_->say_hello(1);
    EXPECT_TRUE(log_.wait_connects(1));
}

TEST_F(PublisherTest, AnAnswerToAnotherQuestionEndsTheConnection) {
    connect(0);
    auto outcome = publish(snapshot(2, 100));
    (void)end_->receive_publication(2);
    end_->adopt(1);
    const Outcome confused = outcome.get();
    ASSERT_FALSE(confused);
    EXPECT_EQ(confused.error().kind, Kind::kDisconnected);
    ASSERT_TRUE(log_.wait_losses(1));

    ASSERT_TRUE(end_->accept());
    end_->say_hello(2);
    ASSERT_TRUE(log_.wait_connects(2));
    end_->adopt(3); // no question at all
    EXPECT_TRUE(log_.wait_losses(2));
}

TEST_F(PublisherTest, ServesCallersOneAfterTheOther) {
    connect(0);
    std::atomic<int> adopted = 0;
    std::vector<std::future<void>> callers;
    std::mutex order;
    std::uint64_t next = 1;
    for (int i = 0; i < 4; ++i)
        callers.push_back(std::async(std::launch::async, [&] {
            for (int turn = 0; turn < 25; ++turn) {
                const std::lock_guard lock(order); // generations must rise in the order of the calls
                const std::uint64_t generation = next++;
                if (publisher_->publish(snapshot(generation, 100))) ++adopted;
            }
        }));
    for (std::uint64_t generation = 1; generation <= 100; ++generation) {
        (void)end_->receive_publication(generation);
        end_->adopt(generation);
    }
    for (auto &caller : callers) caller.get();
    EXPECT_EQ(adopted, 100);
}

TEST_F(PublisherTest, EndsWithAPublicationUnderWay) {
    connect(0);
    auto outcome = publish(snapshot(1, 100));
    (void)end_->receive_publication(1);
    const auto begin = std::chrono::steady_clock::now();
    // The waiting caller must be answered before the object goes, so it ends in a thread of its own.
    auto ended = std::async(std::launch::async, [this] { publisher_.reset(); });
    expect_failure(outcome.get(), Kind::kDisconnected, "");
    ended.get();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST_F(PublisherTest, LeaksNoDescriptorOverManyConnections) {
    connect(0);
    const auto count = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator{});
    };
    const SharedSegment some = rows(1);
    const auto before = count();
    for (std::size_t round = 1; round <= 20; ++round) {
        // A descriptor where none belongs, on a message that ends the connection, and on one that does not.
        end_->send(make_control_message<wire::ControlRefused>(wire::kControlRefused), some->descriptor());
        end_->send(make_control_message<wire::ControlAdopted>(wire::kControlAdopted), some->descriptor());
        ASSERT_TRUE(log_.wait_losses(round));
        ASSERT_TRUE(end_->accept());
        end_->say_hello(0);
        ASSERT_TRUE(log_.wait_connects(round + 1));
    }
    EXPECT_EQ(count(), before);
}

} // namespace
} // namespace fairlead::publish
