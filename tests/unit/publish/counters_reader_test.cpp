// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/counters_reader.hpp"

#include <gtest/gtest.h>

#include <future>
#include <optional>
#include <utility>

#include "tests/unit/publish/counters_file.hpp"

namespace fairlead::publish {
namespace {

using namespace std::chrono_literals;
using test::CountersFile;
using test::DataplaneEnd;
using test::serve_counters;

std::expected<std::shared_ptr<const CountersMap>, Error> map(const CountersFile &file) {
    return CountersMap::map(file.reader(), file.size());
}

TEST(CountersMap, SumsOverTheWorkers) {
    CountersFile file(3);
    file.seal();
    for (unsigned worker = 0; worker < 3; ++worker) {
        file.worker(worker).received_packets = 10 + worker;
        file.worker(worker).drops[static_cast<unsigned>(wire::DropReason::too_big)] = worker;
        file.block(worker).service_traffic[4095].packets = 100 + worker;
        file.block(worker).services[4095].drops[2] = 1;
        file.block(worker).slot_traffic[65534].bytes = 1000 + worker;
    }
    file.block(0).slots[5].connections = 7;
    file.block(1).slots[5].connections = -std::uint64_t{2}; // one worker counted up what another counted down

    const auto counters = map(file);
    ASSERT_TRUE(counters) << counters.error().format();
    EXPECT_EQ((*counters)->worker_count(), 3u);
    EXPECT_EQ((*counters)->worker(2).received_packets, 12u);
    EXPECT_EQ((*counters)->worker(2).drops[static_cast<unsigned>(wire::DropReason::too_big)], 2u);
    EXPECT_EQ((*counters)->service(4095).packets, 303u);
    EXPECT_EQ((*counters)->service(4095).drops[2], 3u);
    EXPECT_EQ((*counters)->service(1, 4095).packets, 101u);
    EXPECT_EQ((*counters)->slot(65534).bytes, 3003u);
    EXPECT_EQ((*counters)->slot(5).connections, 5u);
    EXPECT_EQ((*counters)->service(0).packets, 0u);
    EXPECT_EQ((*counters)->slot(65535).packets, 0u) << "out of range";
    EXPECT_EQ((*counters)->service(4096).packets, 0u) << "out of range";

    file.worker(0).received_packets = 11;
    EXPECT_EQ((*counters)->worker(0).received_packets, 11u) << "a map is live";
}

TEST(CountersMap, ReadsPortsWhereThereAreAny) {
    CountersFile file(1);
    file.seal();
    EXPECT_TRUE(map(file).value()->ports().empty()) << "a dataplane from before ports were counted";
    file.set_port_count(2);
    std::fill_n(file.port(1).name, sizeof(wire::PortCounters::name), 'x'); // ends nowhere
    file.port(1).link_is_up = 1;
    file.port(1).removals = 3;
    const auto ports = map(file).value()->ports();
    ASSERT_EQ(ports.size(), 2u);
    EXPECT_EQ(std::string(ports[1].name), std::string(sizeof(wire::PortCounters::name) - 1, 'x'));
    EXPECT_EQ(ports[1].link_is_up, 1u);
    EXPECT_EQ(ports[1].removals, 3u);
    for (const std::uint64_t bad : {std::uint64_t{22}, ~std::uint64_t{0}}) { // 22 do not fit before the workers
        file.set_port_count(bad);
        EXPECT_FALSE(map(file)) << bad;
    }
    file.set_port_count(1);
    file.header().ports_offset = 64; // within the header
    EXPECT_FALSE(map(file));
}

TEST(CountersMap, MergesTheGenerationsOfAllWorkersOldestFirst) {
    CountersFile file(2);
    file.seal();
    for (std::uint64_t generation = 60; generation < 70; ++generation) {
        const auto place = generation % wire::kGenerationHistory;
        file.worker(0).generations[place] = {generation, 1};
        if (generation > 64) file.worker(1).generations[place] = {generation, 10};
    }
    const auto counters = map(file);
    ASSERT_TRUE(counters);
    const auto history = (*counters)->generations();
    ASSERT_EQ(history.size(), 10u);
    EXPECT_EQ(history.front().generation, 60u);
    EXPECT_EQ(history.front().packets, 1u);
    EXPECT_EQ(history.back().generation, 69u);
    EXPECT_EQ(history.back().packets, 11u);
}

TEST(CountersMap, RefusesAFileWhoseHeaderDoesNotAddUp) {
    const auto refused = [](auto spoil) {
        CountersFile file(2);
        file.seal();
        spoil(file.header());
        const auto counters = map(file);
        return counters ? std::string("accepted") : counters.error().format();
    };
    using Header = wire::CountersHeader;
    const auto says = [](const std::string &text, const char *part) { return text.find(part) != std::string::npos; };
    EXPECT_EQ(refused([](Header &) {}), "accepted");
    EXPECT_TRUE(says(refused([](Header &header) { header.magic ^= 1; }), "no counters"));
    EXPECT_TRUE(says(refused([](Header &header) { header.abi = 9; }), "ABI 9"));
    EXPECT_TRUE(says(refused([](Header &header) { header.size -= 1; }), "bytes"));
    EXPECT_TRUE(says(refused([](Header &header) { header.worker_count = 0; }), "workers"));
    EXPECT_TRUE(says(refused([](Header &header) { header.worker_count = 3; }), "do not fit"));
    EXPECT_TRUE(says(refused([](Header &header) { header.worker_count = 0xffffffff; }), "workers"));
    EXPECT_TRUE(says(refused([](Header &header) { header.worker_stride = 64; }), "takes 64 bytes"));
    EXPECT_TRUE(says(refused([](Header &header) { header.worker_stride = 1ull << 63; }), "do not fit"));
    EXPECT_TRUE(says(refused([](Header &header) { header.worker_stride += 4; }), "takes"));
    EXPECT_TRUE(says(refused([](Header &header) { header.worker_offset = 0; }), "start"));
    EXPECT_TRUE(says(refused([](Header &header) { header.worker_offset = ~7ull; }), "start"));
}

TEST(CountersMap, RefusesAFileThatIsShorterThanSaidOrCouldShrink) {
    const CountersFile file(1);
    EXPECT_FALSE(map(file)) << "not sealed";
    file.seal();
    EXPECT_TRUE(map(file));
    EXPECT_FALSE(CountersMap::map(file.reader(), file.size() + 4096));
    EXPECT_FALSE(CountersMap::map(file.reader(), 16));
    EXPECT_FALSE(CountersMap::map(Descriptor(), file.size()));
}

class CountersReaderTest : public ::testing::Test {
  protected:
    std::expected<std::shared_ptr<const CountersMap>, Error> read_served(const CountersFile &file) {
        auto reading = std::async(std::launch::async, [this] { return reader_.current(); });
        serve_counters(*end_, file);
        return reading.get();
    }
    test::TemporaryDirectory directory_;
    const std::string path_ = directory_.file("dataplane.sock");
    std::optional<DataplaneEnd> end_{path_};
    CountersReader reader_{path_, 5s};
};

TEST_F(CountersReaderTest, AsksOnceForEachRunOfTheDataplane) {
    CountersFile first_run(1, 111);
    first_run.seal();
    first_run.worker(0).received_packets = 5;
    const auto counters = read_served(first_run);
    ASSERT_TRUE(counters) << counters.error().format();
    EXPECT_EQ((*counters)->worker(0).received_packets, 5u);
    EXPECT_EQ(*reader_.current(), *counters) << "no second question while the connection lives";

    end_.reset();
    std::filesystem::remove(path_);
    EXPECT_FALSE(reader_.current());
    EXPECT_EQ((*counters)->worker(0).received_packets, 5u) << "what a reader holds stays readable";

    end_.emplace(path_);
    CountersFile second_run(2, 222);
    second_run.seal();
    const auto after = read_served(second_run);
    ASSERT_TRUE(after) << after.error().format();
    EXPECT_EQ((*after)->header().started_unix_ns, 222u);
    EXPECT_EQ((*after)->worker_count(), 2u);
}

TEST_F(CountersReaderTest, SaysThatThereIsNoDataplane) {
    end_.reset();
    const auto counters = reader_.current();
    ASSERT_FALSE(counters);
    EXPECT_NE(counters.error().format().find("is fairlead-dataplane running?"), std::string::npos);
}

TEST_F(CountersReaderTest, DoesNotWaitForEverForASlowDataplane) {
    CountersReader hasty(path_, 100ms);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(hasty.current()); // the listener's queue takes the connection, and nobody says hello
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

TEST_F(CountersReaderTest, RefusesAnAnswerWithoutItsFile) {
    auto reading = std::async(std::launch::async, [this] { return reader_.current(); });
    ASSERT_TRUE(end_->accept());
    end_->say_hello(1);
    ASSERT_EQ(end_->receive().type, wire::kControlGetCounters);
    end_->send(make_control_message<wire::ControlCounters>(wire::kControlCounters));
    EXPECT_FALSE(reading.get());
}

} // namespace
} // namespace fairlead::publish
