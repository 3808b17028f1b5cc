// SPDX-License-Identifier: Apache-2.0
#include "controlplane/metrics/endpoint.hpp"

#include <gtest/gtest.h>
#include <httplib.h>

#include <future>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "tests/unit/publish/counters_file.hpp"

namespace fairlead::metrics {
namespace {

using publish::test::CountersFile;
using publish::test::DataplaneEnd;
using publish::test::serve_counters;
using namespace std::chrono_literals;

/// A scrape, taken apart by its lines.
struct Scrape {
    std::map<std::string, std::string> values; ///< `name{labels}` -> value
    std::map<std::string, std::string> types;  ///< name -> type
    std::set<std::string> twice;               ///< series that came more than once

    explicit Scrape(const std::string &body) {
        std::istringstream lines(body);
        for (std::string line; std::getline(lines, line);) {
            const auto space = line.rfind(' ');
            if (line.starts_with("# TYPE ")) types[line.substr(7, space - 7)] = line.substr(space + 1);
            else if (!line.starts_with("#") && !values.emplace(line.substr(0, space), line.substr(space + 1)).second)
                twice.insert(line);
        }
    }
    [[nodiscard]] std::string operator[](const std::string &series) const {
        const auto found = values.find(series);
        return found != values.end() ? found->second : "absent";
    }
};

class EndpointTest : public ::testing::Test {
  protected:
    void SetUp() override {
        auto endpoint = Endpoint::open("127.0.0.1:0", statistics_);
        ASSERT_TRUE(endpoint) << endpoint.error().format();
        endpoint_ = *std::move(endpoint);
        ASSERT_GT(endpoint_->port(), 0);
    }
    Scrape scrape() {
        httplib::Client client("127.0.0.1", endpoint_->port());
        const auto answer = client.Get("/metrics");
        EXPECT_TRUE(answer);
        EXPECT_EQ(answer->status, 200);
        return Scrape(answer->body);
    }
    Scrape scrape_served(const CountersFile &file) {
        auto scraping = std::async(std::launch::async, [this] { return scrape(); });
        serve_counters(*end_, file);
        return scraping.get();
    }

    publish::test::TemporaryDirectory directory_;
    const std::string path_ = directory_.file("dataplane.sock");
    std::optional<DataplaneEnd> end_{path_};
    std::shared_ptr<Statistics> statistics_ =
        std::make_shared<Statistics>(std::make_shared<publish::CountersReader>(path_, 5s));
    std::unique_ptr<Endpoint> endpoint_;
};

TEST_F(EndpointTest, ExportsTheHealthOfBackendsAlsoWithoutADataplane) {
    end_.reset();
    std::filesystem::remove(path_);
    const health::BackendKey one{.vip = 1, .port = 80, .protocol = 6, .address = 0x0a14001f};
    auto tally = std::make_shared<health::Tally>();
    tally->add(one, health::Verdict::kSilent);
    tally->add(one, health::Verdict::kSilent);
    tally->add(one, health::Grade::kDead);
    statistics_->set_health(std::make_shared<const HealthDirectory>(
                                HealthDirectory{.services = {{"web", true, {{one, health::Grade::kDead}}}}}),
                            tally);
    const Scrape scraped = scrape();
    const std::string backend = "service=\"web\",backend=\"10.20.0.31\"";
    EXPECT_EQ(scraped["fairlead_backend_up{" + backend + ",grade=\"dead\"}"], "0");
    EXPECT_EQ(scraped["fairlead_backend_health_transitions_total{" + backend + ",grade=\"dead\"}"], "1");
    EXPECT_EQ(scraped["fairlead_backend_probes_total{" + backend + ",result=\"silent\"}"], "2");
    EXPECT_EQ(scraped["fairlead_backend_probes_total{" + backend + ",result=\"good\"}"], "0");
    EXPECT_EQ(scraped["fairlead_service_panic{service=\"web\"}"], "1");
    EXPECT_EQ(scraped["fairlead_dataplane_up"], "0");
}

TEST_F(EndpointTest, ExportsTheNodesStateWhereItIsManaged) {
    end_.reset();
    std::filesystem::remove(path_);
    EXPECT_EQ(scrape()["fairlead_node_state{state=\"announced\"}"], "absent") << "no command decides it";
    statistics_->set_node({.is_managed = true, .state = node::State::kDrained, .since_unix_s = 1, .reason = {}});
    const Scrape drained = scrape();
    EXPECT_EQ(drained.types.at("fairlead_node_state"), "gauge");
    for (const std::string_view name : node::kStateNames)
        EXPECT_EQ(drained["fairlead_node_state{state=\"" + std::string(name) + "\"}"], name == "drained" ? "1" : "0");
}

TEST_F(EndpointTest, ExportsWhatTheDataplaneCounted) {
    CountersFile file(2);
    file.seal();
    file.header().generation = 8;
    file.header().generations_adopted = 3;
    file.header().adoption_ns_last = 2'500'000;
    file.worker(0).received_packets = 1'000'000'007;
    file.worker(0).connections = 5;
    file.worker(1).connections = 6;
    file.worker(1).drops[static_cast<unsigned>(wire::DropReason::too_big)] = 17;
    for (std::uint64_t generation = 1; generation <= 12; ++generation)
        file.worker(0).generations[generation] = {generation, generation * 10};
    file.block(0).service_traffic[3].packets = 40;
    file.block(1).service_traffic[3].bytes = 5000;
    file.block(1).services[3].drops[static_cast<unsigned>(wire::DropReason::no_backend)] = 2;
    file.block(0).slot_traffic[9] = {.packets = 30, .bytes = 3000};
    file.block(0).slots[9] = {.connections_opened = 9, .connections = 4};
    auto serving = std::async(std::launch::async, [&] { serve_counters(*end_, file); });
    statistics_->set_directory(std::make_shared<const Directory>(
        Directory{{{3, "web"}, {4, "dns"}}, {{9, 1, "web", "10.20.0.31"}, {10, 1, "dns", "10.20.0.31"}}}));
    serving.get();

    const Scrape scraped = scrape();
    EXPECT_EQ(scraped["fairlead_dataplane_up"], "1");
    EXPECT_EQ(scraped[std::string("fairlead_build_info{version=\"") + FAIRLEAD_VERSION + "\"}"], "1");
    EXPECT_EQ(scraped["fairlead_generation"], "8");
    EXPECT_EQ(scraped["fairlead_generations_adopted_total"], "3");
    EXPECT_EQ(scraped["fairlead_generation_adoption_seconds"], "0.0025");
    EXPECT_EQ(scraped["fairlead_connections"], "11");
    EXPECT_EQ(scraped["fairlead_worker_connections{worker=\"1\"}"], "6");
    EXPECT_EQ(scraped["fairlead_worker_received_packets_total{worker=\"0\"}"], "1000000007");
    EXPECT_EQ(scraped["fairlead_drops_total{worker=\"1\",reason=\"too_big\"}"], "17");
    EXPECT_EQ(scraped["fairlead_drops_total{worker=\"0\",reason=\"too_big\"}"], "0");
    EXPECT_EQ(scraped["fairlead_service_packets_total{service=\"web\"}"], "40");
    EXPECT_EQ(scraped["fairlead_service_bytes_total{service=\"web\"}"], "5000");
    EXPECT_EQ(scraped["fairlead_service_drops_total{service=\"web\",reason=\"no_backend\"}"], "2");
    EXPECT_EQ(scraped["fairlead_backend_packets_total{service=\"web\",backend=\"10.20.0.31\"}"], "30");
    EXPECT_EQ(scraped["fairlead_backend_bytes_total{service=\"web\",backend=\"10.20.0.31\"}"], "3000");
    EXPECT_EQ(scraped["fairlead_backend_connections{service=\"web\",backend=\"10.20.0.31\"}"], "4");
    EXPECT_EQ(scraped["fairlead_backend_connections_opened_total{service=\"web\",backend=\"10.20.0.31\"}"], "9");
    EXPECT_EQ(scraped["fairlead_backend_packets_total{service=\"dns\",backend=\"10.20.0.31\"}"], "0");
    EXPECT_EQ(scraped["fairlead_generation_packets_total{generation=\"12\"}"], "120");
    EXPECT_EQ(scraped["fairlead_generation_packets_total{generation=\"5\"}"], "50");
    EXPECT_EQ(scraped["fairlead_generation_packets_total{generation=\"4\"}"], "absent") << "bounded cardinality";
    EXPECT_TRUE(scraped.twice.empty()) << *scraped.twice.begin();
}

TEST_F(EndpointTest, EveryDropReasonIsALabelAndTypesFollowTheNames) {
    const CountersFile file(1);
    file.seal();
    const Scrape scraped = scrape_served(file);
    for (const auto &reason : wire::kDropReasons)
        EXPECT_EQ(scraped[std::string("fairlead_drops_total{worker=\"0\",reason=\"") + reason.name + "\"}"], "0");
    std::size_t ours = 0;
    for (const auto &[name, type] : scraped.types) {
        if (!name.starts_with("fairlead_")) continue;
        ++ours;
        EXPECT_EQ(type, name.ends_with("_total") ? "counter" : "gauge") << name;
    }
    EXPECT_GT(ours, 20u);
}

TEST_F(EndpointTest, WithoutADataplaneSaysSoAndExportsNoCounterOfIt) {
    end_.reset();
    const Scrape scraped = scrape();
    EXPECT_EQ(scraped["fairlead_dataplane_up"], "0");
    for (const auto &[series, value] : scraped.values) EXPECT_EQ(series.find("fairlead_worker"), std::string::npos);
}

TEST_F(EndpointTest, ComesBackAfterTheDataplaneRestarts) {
    CountersFile first(1, 111);
    first.seal();
    first.worker(0).bursts = 1000;
    EXPECT_EQ(scrape_served(first)["fairlead_worker_bursts_total{worker=\"0\"}"], "1000");
    end_.reset();
    EXPECT_EQ(scrape()["fairlead_dataplane_up"], "0");
    end_.emplace(path_);
    CountersFile second(1, 222);
    second.seal();
    second.worker(0).bursts = 3;
    EXPECT_EQ(scrape_served(second)["fairlead_worker_bursts_total{worker=\"0\"}"], "3");
}

TEST_F(EndpointTest, AnAddressInUseIsRefusedWithALine) {
    const auto second = Endpoint::open("127.0.0.1:" + std::to_string(endpoint_->port()), statistics_);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().format().find("cannot listen on 127.0.0.1:"), std::string::npos);
}

TEST(ListenAddress, AcceptsLoopbackAndOffOnly) {
    EXPECT_EQ(parse_listen_address("off").value(), std::nullopt);
    for (const char *good : {"127.0.0.1:9480", "127.0.0.53:1", "127.0.0.1:0"})
        EXPECT_EQ(parse_listen_address(good).value(), good);
    for (const char *remote : {"0.0.0.0:9480", "10.0.0.1:9480", "[::]:9480", "[::1]:9480", "localhost:9480", ":9480", "*:9480", "128.0.0.1:80"}) {
        const auto refused = parse_listen_address(remote);
        ASSERT_FALSE(refused) << remote;
        EXPECT_NE(refused.error().format().find("loopback"), std::string::npos) << refused.error().format();
    }
    for (const char *bad : {"", "9480", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
                            "127.0.0.1:1,0.0.0.0:2", "0.0.0.0:1,127.0.0.1:2"})
        EXPECT_FALSE(parse_listen_address(bad)) << bad;
}

} // namespace
} // namespace fairlead::metrics
