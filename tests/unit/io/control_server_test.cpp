// SPDX-License-Identifier: Apache-2.0
// The control socket with peers that keep to the protocol and peers that do not, over real sockets.
#include "dataplane/io/control_server.hpp"

#include "tests/unit/io/control_client.hpp"
#include "tests/unit/io/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <thread>

namespace fairlead::io {
namespace {

using namespace wire;
using test::ControlClient;
using test::memory_file;
using test::message_of;
using test::SnapshotSample;

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto &entry : std::filesystem::directory_iterator("/proc/self/fd")) ++count;
    return count;
}

/// A server in a thread of its own, as the dataplane's main thread runs it.
class ControlServerTest : public testing::Test {
  protected:
    void SetUp() override {
        spdlog::set_level(spdlog::level::off);
        auto listening = ControlServer::listen(path_, adoption_,
                                               {.worker_count = 3, .counters_descriptor = counters_->reader_descriptor(),
                                                .counters_size = counters_->size()});
        ASSERT_TRUE(listening) << listening.error();
        server_.emplace(std::move(*listening));
        thread_ = std::thread([this] {
            while (!server_->serve(end_.get(), adoption_.is_tidy() ? -1 : 1)) adoption_.tidy();
        });
    }
    void TearDown() override {
        const std::uint64_t one = 1;
        ASSERT_EQ(::write(end_.get(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
        thread_.join();
        server_.reset();
        EXPECT_FALSE(std::filesystem::exists(path_));
    }

    /// Connects and takes the Hello.
    ControlClient connect() {
        auto client = ControlClient::connect(path_);
        const auto hello = client.receive();
        EXPECT_TRUE(hello && hello->type() == kControlHello);
        return client;
    }
    /// The server still answers someone else.
    void expect_alive() {
        const auto client = connect();
        ASSERT_TRUE(client.send(message_of<ControlGetCounters>(kControlGetCounters)));
        const auto reply = client.receive();
        ASSERT_TRUE(reply);
        EXPECT_EQ(reply->type(), kControlCounters);
    }
    void expect_ended(const ControlClient &client) {
        while (client.receive()) {} // answers to what came before the fault
        EXPECT_EQ(errno == EAGAIN || errno == EWOULDBLOCK, false) << "the connection is still open";
        expect_alive();
    }

    test::TemporaryDirectory directory_;
    std::filesystem::path path_ = directory_.path() / "dataplane.sock";
    GenerationStore store_{1};
    Result<CountersFile> counters_ = CountersFile::create(3);
    Adoption adoption_{store_, counters_->header(), {}};
    Descriptor end_{::eventfd(0, EFD_CLOEXEC)};
    std::optional<ControlServer> server_;
    std::thread thread_;
};

TEST_F(ControlServerTest, IsForItsOwnerOnly) {
    struct stat status{};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(ControlServerTest, SaysHelloFirst) {
    const auto client = ControlClient::connect(path_);
    const auto reply = client.receive();
    ASSERT_TRUE(reply);
    const auto hello = reply->as<ControlHello>();
    EXPECT_EQ(hello.header.magic, static_cast<u32>(kControlMagic));
    EXPECT_EQ(hello.header.length, sizeof(ControlHello));
    EXPECT_EQ(hello.generation, 0U);
    EXPECT_EQ(hello.pid, static_cast<u64>(::getpid()));
    EXPECT_EQ(hello.worker_count, 3U);
    EXPECT_EQ(hello.snapshot_abi, static_cast<u32>(kSnapshotAbi));
    EXPECT_STREQ(hello.version, FAIRLEAD_VERSION);
}

TEST_F(ControlServerTest, HandsOutTheCounters) {
    const auto client = connect();
    ASSERT_TRUE(client.send(message_of<ControlGetCounters>(kControlGetCounters)));
    const auto reply = client.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->as<ControlCounters>().size, counters_->size());
    void *base = ::mmap(nullptr, counters_->size(), PROT_READ, MAP_SHARED, reply->descriptor.get(), 0);
    ASSERT_NE(base, MAP_FAILED);
    EXPECT_EQ(static_cast<const CountersHeader *>(base)->magic, FAIRLEAD_COUNTERS_MAGIC);
    ::munmap(base, counters_->size());
}

TEST_F(ControlServerTest, AStopIsAnsweredAndEndsTheServing) {
    const auto other = connect();
    const auto client = connect();
    ASSERT_TRUE(client.send(message_of<ControlStop>(kControlStop)));
    const auto reply = client.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->type(), kControlStopping);
    EXPECT_EQ(reply->bytes.size(), sizeof(ControlStopping));
    thread_.join(); // serve() has returned, though nobody has woken it
    EXPECT_TRUE(server_->is_asked_to_stop());
    thread_ = std::thread([] {});
}

TEST_F(ControlServerTest, AStopOfTheWrongShapeStopsNothing) {
    const auto with_descriptor = connect();
    const int descriptor[] = {end_.get()};
    ASSERT_TRUE(with_descriptor.send(message_of<ControlStop>(kControlStop), descriptor));
    expect_ended(with_descriptor);
    const auto longer = connect();
    auto message = message_of<ControlPublish>(kControlStop); // right in itself, but longer than a Stop
    ASSERT_TRUE(longer.send(message));
    expect_ended(longer);
    const auto of_another_version = connect();
    auto stop = message_of<ControlStop>(kControlStop);
    ++stop.header.version;
    ASSERT_TRUE(of_another_version.send(stop));
    expect_ended(of_another_version);
    const auto of_the_dataplane = connect();
    ASSERT_TRUE(of_the_dataplane.send(message_of<ControlStopping>(kControlStopping)));
    expect_ended(of_the_dataplane);
    EXPECT_FALSE(server_->is_asked_to_stop());
}

TEST_F(ControlServerTest, AdoptsAGenerationAndItsSuccessorWithoutUnchangedSegments) {
    const auto client = connect();
    SnapshotSample sample;
    auto reply = client.publish(sample);
    ASSERT_TRUE(reply);
    ASSERT_EQ(reply->type(), kControlAdopted);
    EXPECT_EQ(reply->as<ControlAdopted>().generation, 1U);

    sample.generation = 2;
    ASSERT_TRUE(client.send_root(2, sample.root())); // rows and hops as before
    reply = client.receive();
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->type(), kControlAdopted);
    EXPECT_EQ(store_.current()->number(), 2U);
    EXPECT_EQ(counters_->header().generation, 2U);
    EXPECT_EQ(counters_->header().generations_adopted, 2U);
    EXPECT_GT(counters_->header().adoption_ns_last, 0U);

    const auto second = ControlClient::connect(path_);
    const auto hello = second.receive();
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->as<ControlHello>().generation, 2U);
}

TEST_F(ControlServerTest, RefusesWithAReasonAndKeepsTheRunningGeneration) {
    const auto client = connect();
    SnapshotSample sample{.generation = 5};
    ASSERT_EQ(client.publish(sample)->type(), kControlAdopted);
    const auto *running = store_.current();

    const auto expect_refused = [&](std::string_view part) {
        const auto reply = client.receive();
        ASSERT_TRUE(reply);
        ASSERT_EQ(reply->type(), kControlRefused);
        EXPECT_NE(std::string_view(reply->as<ControlRefused>().reason).find(part), std::string_view::npos)
            << reply->as<ControlRefused>().reason;
        EXPECT_EQ(store_.current(), running);
    };
    ASSERT_TRUE(client.send_root(5, sample.root()));
    expect_refused("does not exceed 5");
    sample.generation = 6;
    ASSERT_TRUE(client.send_root(7, sample.root()));
    expect_refused("generation 7");
    sample.rows_id = 101; // never sent
    ASSERT_TRUE(client.send_root(6, sample.root()));
    expect_refused("101");
    auto root = SnapshotSample{.generation = 6}.root();
    root.back() ^= std::byte{1};
    ASSERT_TRUE(client.send_root(6, root));
    expect_refused("checksum");
    ASSERT_TRUE(client.send_root(6, SnapshotSample{}.hops()));
    expect_refused("root");
    const auto unsealed = memory_file(SnapshotSample{.generation = 6}.root(), 0);
    auto publish = message_of<ControlPublish>(kControlPublish);
    publish.generation = 6;
    ASSERT_TRUE(client.send(publish, std::array{unsealed.get()}));
    expect_refused("not sealed");
    EXPECT_EQ(counters_->header().generations_refused, 6U);

    ASSERT_TRUE(client.send_root(6, SnapshotSample{.generation = 6}.root()));
    EXPECT_EQ(client.receive()->type(), kControlAdopted) << "a refusal costs nothing that was sent before";
}

TEST_F(ControlServerTest, RefusesABadSegmentAtOnce) {
    const auto client = connect();
    auto rows = SnapshotSample{}.rows();
    rows.back() ^= std::byte{1};
    ASSERT_TRUE(client.send_segment(100, rows));
    const auto reply = client.receive();
    ASSERT_TRUE(reply);
    ASSERT_EQ(reply->type(), kControlRefused);
    EXPECT_EQ(reply->as<ControlRefused>().segment_id, 100U);
    EXPECT_EQ(reply->as<ControlRefused>().generation, 0U);
}

TEST_F(ControlServerTest, ANewConnectionStartsWithNoSegments) {
    SnapshotSample sample;
    ASSERT_EQ(connect().publish(sample)->type(), kControlAdopted);
    const auto client = connect();
    sample.generation = 2;
    ASSERT_TRUE(client.send_root(2, sample.root()));
    EXPECT_EQ(client.receive()->type(), kControlRefused) << "an id means what this peer sent under it";
    EXPECT_EQ(client.publish(sample)->type(), kControlAdopted);
}

TEST_F(ControlServerTest, FreesWhatAGenerationReplaced) {
    const auto client = connect();
    SnapshotSample sample;
    ASSERT_EQ(client.publish(sample)->type(), kControlAdopted);
    sample = {.generation = 2, .rows_id = 101, .hops_id = 201};
    ASSERT_EQ(client.publish(sample)->type(), kControlAdopted);
    for (int i = 0; i < 5000 && __atomic_load_n(&counters_->header().segments_mapped, __ATOMIC_RELAXED) != 2; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(__atomic_load_n(&counters_->header().segments_mapped, __ATOMIC_RELAXED), 2U);
}

TEST_F(ControlServerTest, EndsTheConnectionOfWhoBreaksTheProtocol) {
    const auto good = message_of<ControlGetCounters>(kControlGetCounters);
    std::vector<std::vector<std::byte>> messages;
    const auto add = [&](auto message) {
        const auto bytes = std::as_bytes(std::span(&message, 1));
        messages.emplace_back(bytes.begin(), bytes.end());
    };
    auto bad = good;
    bad.header.magic ^= 1;
    add(bad);
    bad = good;
    bad.header.version = kControlVersion + 1;
    add(bad);
    bad = good;
    bad.header.length = 0xffffffff;
    add(bad);
    for (const unsigned type : {0U, unsigned{kControlHello}, unsigned{kControlAdopted}, unsigned{kControlCounters}, 8U, 0xffffU}) {
        bad = good;
        bad.header.type = static_cast<u16>(type);
        add(bad);
    }
    add(message_of<ControlSegment>(kControlSegment)); // without its descriptor
    add(message_of<ControlPublish>(kControlPublish));
    messages.emplace_back(1, std::byte{0});
    messages.emplace_back(sizeof(ControlHeader) - 1, std::byte{0});
    messages.emplace_back(kControlMessageSizeMax, std::byte{0xff});
    messages.emplace_back(kControlMessageSizeMax + 1, std::byte{0});
    messages.emplace_back(100'000, std::byte{0x54});
    messages.emplace_back();
    for (const auto &message : messages) {
        const auto client = connect();
        ASSERT_TRUE(client.send(message));
        expect_ended(client);
    }
}

TEST_F(ControlServerTest, ClosesDescriptorsThatNobodyExpected) {
    expect_alive();
    const auto before = open_descriptors();
    const auto file = memory_file(SnapshotSample{}.rows());
    for (const std::size_t count : {std::size_t{1}, std::size_t{2}, std::size_t{8}, std::size_t{9}, std::size_t{200}}) {
        const std::vector<int> descriptors(count, file.get());
        const auto client = connect();
        ASSERT_TRUE(client.send(message_of<ControlGetCounters>(kControlGetCounters), descriptors));
        expect_ended(client);
        const auto other = connect();
        auto segment = message_of<ControlSegment>(kControlSegment);
        segment.id = SnapshotSample{}.rows_id;
        ASSERT_TRUE(other.send(segment, descriptors));
        if (count > 1) expect_ended(other);
    }
    // The server closes a connection before it answers the next: expect_ended() has waited for that.
    EXPECT_LE(open_descriptors(), before + 2) << "the file above, and the last peer's";
}

TEST_F(ControlServerTest, OutlivesPeersThatDoNotRead) {
    const auto deaf = connect();
    bool sent = true;
    for (int i = 0; i < 100'000 && sent; ++i) sent = deaf.send(message_of<ControlGetCounters>(kControlGetCounters));
    EXPECT_FALSE(sent) << "a peer that never reads its answers is disconnected";
    expect_alive();
}

TEST_F(ControlServerTest, HoldsABoundedNumberOfPeers) {
    const auto speaker = connect();
    ASSERT_EQ(speaker.publish(SnapshotSample{})->type(), kControlAdopted);
    const auto before = open_descriptors();
    std::vector<ControlClient> silent;
    for (std::size_t i = 0; i < 3 * ControlServer::kPeerCountMax; ++i) silent.push_back(connect());
    expect_alive();
    EXPECT_LE(open_descriptors(), before + silent.size() + ControlServer::kPeerCountMax) << "both ends are this process's";
    ASSERT_TRUE(speaker.send(message_of<ControlGetCounters>(kControlGetCounters)));
    EXPECT_EQ(speaker.receive()->type(), kControlCounters) << "who has spoken keeps its place";
}

TEST_F(ControlServerTest, TakesAMessageAfterAnother) {
    const auto client = connect();
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(client.send(message_of<ControlGetCounters>(kControlGetCounters))) << i;
    expect_alive();
}

TEST(ControlServer, SaysWhatIsWrongWithAPath) {
    GenerationStore store(1);
    CountersHeader header{};
    Adoption adoption(store, header, {});
    const auto long_path = ControlServer::listen("/" + std::string(200, 'x'), adoption, {});
    ASSERT_FALSE(long_path);
    EXPECT_NE(long_path.error().find("103"), std::string::npos) << long_path.error();
    EXPECT_FALSE(ControlServer::listen("/nonexistent-directory/dataplane.sock", adoption, {}));
}

} // namespace
} // namespace fairlead::io
