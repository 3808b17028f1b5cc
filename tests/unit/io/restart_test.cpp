// SPDX-License-Identifier: Apache-2.0
// What outlives the program: its connection tables and its last generation, however it ends and whatever its successor's options.
#include "tests/unit/io/capture_file.hpp"
#include "tests/unit/io/control_client.hpp"
#include "tests/unit/io/counters_view.hpp"
#include "tests/unit/io/dataplane_process.hpp"
#include "tests/unit/io/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <set>

namespace fairlead::io {
namespace {

using namespace test;

constexpr wire::u32 kFlows = 1000;

class RestartTest : public testing::Test {
  protected:
    void SetUp() override {
        // Each flow twice: the second packet makes it established.
        std::vector<FrameBytes> frames;
        for (const wire::u8 flags : {wire::u8{wire::kTcpSyn}, wire::u8{wire::kTcpAck}})
            for (wire::u32 client = 0; client < kFlows; ++client) frames.push_back(tcp_frame(sample_.vip, client, flags));
        write_capture(root_.path() / "in.pcap", frames);
        write_capture(root_.path() / "none.pcap", std::vector<FrameBytes>{});
    }

    std::string port(const char *rx) const { return "pcap:rx=" + (root_.path() / rx).string(); }

    /// @param workers with two, flows come in by the second's port: worker 1's.
    std::vector<std::string> arguments(unsigned workers = 1) const {
        std::vector<std::string> all{"--table-directory", memory_.path().string(), "--workers", std::to_string(workers)};
        if (workers == 2) all.insert(all.end(), {"--port", port("none.pcap")});
        all.insert(all.end(), {"--port", port("in.pcap")});
        return all;
    }

    /// Publishes the sample and waits until all of the capture has come in.
    void run_first(DataplaneProcess &process, int end) {
        {
            const auto client = connect();
            const CountersView counters(client);
            ASSERT_EQ(client.publish(sample_)->type(), wire::kControlAdopted) << process.said();
            ASSERT_TRUE(eventually([&] { return counters.forwarded() == 2 * kFlows; })) << process.said();
            ASSERT_TRUE(eventually([&] { return std::filesystem::exists(run_ / "generation" / "current"); }));
        }
        process.signal(end);
        (void)process.wait();
    }

    ControlClient connect(wire::u64 *generation = nullptr) const {
        auto client = ControlClient::connect(run_ / "dataplane.sock");
        const auto hello = client.receive();
        EXPECT_TRUE(hello && hello->type() == wire::kControlHello);
        if (hello && generation != nullptr) *generation = hello->as<wire::ControlHello>().generation;
        return client;
    }

    static wire::u64 sum(const CountersView &counters, wire::u64 wire::WorkerCounters::*field) {
        wire::u64 total = 0;
        for (unsigned i = 0; i < counters.header().worker_count; ++i) total += CountersView::read(counters.worker(i).*field);
        return total;
    }

    std::size_t table_files() const {
        return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(memory_.path()), {}));
    }

    SnapshotSample sample_{.backends = {wire::Be32::from_host(0x0a000020), wire::Be32::from_host(0x0a000021)}};
    TemporaryDirectory root_;
    TemporaryDirectory memory_{"/dev/shm"};
    std::filesystem::path run_ = root_.path() / "run";
};

TEST_F(RestartTest, FindsConnectionsAndGenerationWhicheverWayTheOneBeforeEnded) {
    for (const int end : {SIGKILL, SIGTERM}) {
        {
            DataplaneProcess process(run_, arguments());
            if (end == SIGKILL) run_first(process, end);
            else {
                ASSERT_TRUE(connect().is_connected());
                process.signal(end);
                ASSERT_EQ(process.wait(), 0) << process.said();
            }
        }
        DataplaneProcess process(run_, arguments());
        wire::u64 generation = 0;
        const auto client = connect(&generation);
        const CountersView counters(client);
        ASSERT_TRUE(counters.is_mapped()) << process.said();
        EXPECT_EQ(generation, sample_.generation) << "before any control plane has said a word";
        EXPECT_EQ(sum(counters, &wire::WorkerCounters::connections_adopted), kFlows);
        EXPECT_TRUE(eventually([&] { return counters.forwarded() == 2 * kFlows; })) << process.said();
        EXPECT_EQ(sum(counters, &wire::WorkerCounters::by_connection), 2 * kFlows);
        EXPECT_EQ(sum(counters, &wire::WorkerCounters::connections_opened), 0U);
        EXPECT_TRUE(eventually([&] { return sum(counters, &wire::WorkerCounters::connections) == kFlows; }));
        EXPECT_EQ(table_files(), 2U);

        const auto refused = client.publish(sample_);
        ASSERT_TRUE(refused);
        EXPECT_EQ(refused->type(), wire::kControlRefused) << "the next generation must exceed the restored one";
    }
}

TEST_F(RestartTest, AnotherNumberOfWorkersInheritsAndLosesNothing) {
    {
        DataplaneProcess process(run_, arguments(1));
        run_first(process, SIGKILL);
    }
    DataplaneProcess process(run_, arguments(2));
    const auto client = connect();
    const CountersView counters(client);
    ASSERT_TRUE(counters.is_mapped()) << process.said();
    EXPECT_TRUE(eventually([&] { return counters.forwarded() == 2 * kFlows; })) << process.said();
    EXPECT_EQ(CountersView::read(counters.worker(1).connections_inherited), kFlows);
    EXPECT_EQ(sum(counters, &wire::WorkerCounters::by_connection), 2 * kFlows);
    EXPECT_EQ(sum(counters, &wire::WorkerCounters::connections_adopted), 0U);
    EXPECT_TRUE(eventually([&] { return table_files() == 4; })) << "what has been taken over is let go";
    EXPECT_TRUE(eventually([&] { return sum(counters, &wire::WorkerCounters::connections) == kFlows; }))
        << "no connection is counted twice in the end";
}

TEST_F(RestartTest, TablesOfAnotherSizeAreInheritedAndTheOthersAdopted) {
    {
        DataplaneProcess process(run_, arguments());
        run_first(process, SIGTERM);
    }
    for (const auto &[option, adopted] : {std::pair("--wide-connections", kFlows), {"--connections", 0U}}) {
        auto other = arguments();
        other.insert(other.end(), {option, "5000"});
        if (adopted == 0) other.insert(other.end(), {"--wide-connections", "5000"});
        DataplaneProcess process(run_, other);
        const auto client = connect();
        const CountersView counters(client);
        ASSERT_TRUE(counters.is_mapped()) << process.said();
        EXPECT_TRUE(eventually([&] { return counters.forwarded() == 2 * kFlows; })) << process.said();
        EXPECT_EQ(sum(counters, &wire::WorkerCounters::by_connection), 2 * kFlows) << option;
        EXPECT_EQ(sum(counters, &wire::WorkerCounters::connections_adopted), adopted);
        EXPECT_EQ(sum(counters, &wire::WorkerCounters::connections_inherited), kFlows - adopted);
        EXPECT_TRUE(eventually([&] { return table_files() == 2; })) << process.said();
        process.signal(SIGTERM);
        EXPECT_EQ(process.wait(), 0) << process.said();
    }
}

TEST_F(RestartTest, InheritedConnectionsCountForTheirBackendsUntilTheyAreTakenOver) {
    {
        DataplaneProcess process(run_, arguments(1));
        run_first(process, SIGKILL);
    }
    // A capture without packets: nobody takes anything over.
    auto silent = arguments(2);
    silent.back() = port("none.pcap") + ",tx=" + (root_.path() / "out.pcap").string();
    DataplaneProcess process(run_, silent);
    const auto client = connect();
    const CountersView counters(client);
    ASSERT_TRUE(counters.is_mapped()) << process.said();
    EXPECT_TRUE(eventually([&] { return sum(counters, &wire::WorkerCounters::connections) == kFlows; })) << process.said();
}

TEST_F(RestartTest, AnotherSeedForgetsAllConnectionsAndGoesOn) {
    DataplaneProcess process(run_, arguments());
    const auto client = connect();
    const CountersView counters(client);
    ASSERT_EQ(client.publish(sample_)->type(), wire::kControlAdopted) << process.said();
    ASSERT_TRUE(eventually([&] { return sum(counters, &wire::WorkerCounters::connections) == kFlows; })) << process.said();
    auto state = sample_.state();
    ++state.generation;
    state.seed[3] ^= 1;
    ASSERT_TRUE(client.send_root(state.generation, publish::build_root_segment(state)));
    ASSERT_EQ(client.receive()->type(), wire::kControlAdopted);
    EXPECT_TRUE(eventually([&] { return sum(counters, &wire::WorkerCounters::connections) == 0; }));
}

TEST_F(RestartTest, ADamagedCopyIsRefusedInOneLineAndStartsEmpty) {
    {
        DataplaneProcess process(run_, arguments());
        run_first(process, SIGKILL);
    }
    const auto directory = run_ / "generation";
    for (const auto &entry : std::filesystem::directory_iterator(directory)) {
        if (entry.path().filename() == "current") continue;
        const auto path = entry.path();
        std::ifstream in(path, std::ios::binary);
        const std::string whole((std::istreambuf_iterator<char>(in)), {});
        for (const std::size_t kept : {whole.size() - 1, std::size_t{10}, std::size_t{0}, whole.size()}) {
            std::string damaged = whole.substr(0, kept);
            if (kept == whole.size()) damaged[whole.size() / 2] = static_cast<char>(damaged[whole.size() / 2] ^ 1);
            std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged;
            DataplaneProcess process(run_, arguments());
            wire::u64 generation = 99;
            ASSERT_TRUE(connect(&generation).is_connected());
            EXPECT_EQ(generation, 0U) << path;
            EXPECT_NE(process.said().find("the copy of the last one cannot be used"), std::string::npos) << process.said();
        }
        std::ofstream(path, std::ios::binary | std::ios::trunc) << whole;
    }
    DataplaneProcess process(run_, arguments());
    wire::u64 generation = 0;
    ASSERT_TRUE(connect(&generation).is_connected());
    EXPECT_EQ(generation, sample_.generation) << "mended, it is taken";
}

TEST_F(RestartTest, TheCopyFollowsTheGenerationsAndHoldsNothingElse) {
    DataplaneProcess process(run_, arguments());
    const auto client = connect();
    for (wire::u64 number = 1; number <= 20; ++number) {
        SnapshotSample next = sample_;
        next.generation = number;
        next.rows_id = 100 + number;
        ASSERT_EQ(client.publish(next)->type(), wire::kControlAdopted) << process.said();
    }
    process.signal(SIGTERM);
    ASSERT_EQ(process.wait(), 0) << process.said();
    std::set<std::string> found, named{"current"};
    for (const auto &entry : std::filesystem::directory_iterator(run_ / "generation")) found.insert(entry.path().filename());
    std::ifstream current(run_ / "generation" / "current");
    std::string format, name;
    wire::u64 number = 0, id = 0;
    current >> format >> number >> name;
    named.insert(name);
    while (current >> id >> name) named.insert(name);
    EXPECT_EQ(number, 20U) << "ended in order, it has the last one";
    EXPECT_EQ(found, named);
    EXPECT_EQ(named.size(), 4U);
}

TEST_F(RestartTest, ForgettingRemovesWhatIsKept) {
    {
        DataplaneProcess process(run_, arguments());
        run_first(process, SIGTERM);
    }
    EXPECT_EQ(table_files(), 2U);
    auto forgetful = arguments();
    forgetful.emplace_back("--forget");
    {
        DataplaneProcess process(run_, forgetful);
        wire::u64 generation = 99;
        ASSERT_TRUE(connect(&generation).is_connected());
        EXPECT_EQ(generation, 0U);
        EXPECT_EQ(table_files(), 0U);
        process.signal(SIGTERM);
        EXPECT_EQ(process.wait(), 0) << process.said();
    }
    EXPECT_FALSE(std::filesystem::exists(run_ / "generation"));
}

} // namespace
} // namespace fairlead::io
