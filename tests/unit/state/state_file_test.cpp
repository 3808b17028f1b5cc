// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/state_file.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/publish/dataplane_end.hpp"
#include "tests/unit/state/sample_config.hpp"

namespace fairlead::state {
namespace {

using publish::test::TemporaryDirectory;
using test::backend;
using test::config_with;

const BootClock kClock{"boot-1", 5000};

tables::BackendSet set_of(std::uint16_t count, std::uint32_t weight = 100) {
    std::vector<tables::Member> members;
    for (std::uint16_t i = 1; i <= count; ++i)
        members.push_back({.address = tables::address_of(backend(i).address), .weight = weight, .slot = i});
    return tables::backend_set(tables::Algorithm::kRendezvous, 65537, members);
}

DesiredState sample_state() {
    DesiredState state;
    state.config = config_with(3);
    state.config.balancer.seed.emplace().fill(9);
    state.seed.fill(9);
    state.generation = 17;
    state.config_digest = digest_of("text");
    state.allocation = allocate({}, state.config, 1000).value();
    state.config.services[0].backends.pop_back();
    state.allocation = allocate(state.allocation, state.config, 2000).value();
    tables::SetHistory &history = state.histories[key_of(state.config.services[0])];
    for (const std::uint16_t count : std::initializer_list<std::uint16_t>{3, 1, 2}) history = history.with(set_of(count));
    history = history.with(tables::backend_set(tables::Algorithm::kMaglev, 100003, numbered_members(set_of(2, 7))));
    return state;
}

std::string content_of(const std::string &path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(StateText, ParsesBackToTheSameState) {
    const DesiredState state = sample_state();
    ASSERT_FALSE(state.allocation.resting_slots.empty());
    const auto parsed = parse_state(format_state(state, kClock), "state.json", kClock);
    ASSERT_TRUE(parsed) << parsed.error().format();
    EXPECT_EQ(*parsed, state);
}

TEST(StateText, OfManySetsOnlyTheFirstIsWrittenWhole) {
    DesiredState state = sample_state();
    tables::SetHistory &history = state.histories.begin()->second;
    history = {};
    for (std::uint16_t count = 1000; count < 1064; ++count) history = history.with(set_of(count));
    const std::string text = format_state(state, kClock);
    EXPECT_LT(text.size(), 64u << 10);
    const auto parsed = parse_state(text, "state.json", kClock);
    ASSERT_TRUE(parsed) << parsed.error().format();
    EXPECT_EQ(*parsed, state);
    EXPECT_EQ(parsed->histories.begin()->second.digest(), history.digest());
}

/// A state of before there were histories.
TEST(StateText, AFileWithoutHistoriesIsRead) {
    DesiredState state = sample_state();
    auto json = nlohmann::ordered_json::parse(format_state(state, kClock));
    json.erase("histories");
    json.erase("digest");
    json["digest"] = digest_of(json.dump());
    const auto parsed = parse_state(json.dump(), "state.json", kClock);
    ASSERT_TRUE(parsed) << parsed.error().format();
    state.histories.clear();
    EXPECT_EQ(*parsed, state);
}

TEST(StateText, ImpossibleSetsAreRefused) {
    const auto refused_field = [](auto edit) {
        auto json = nlohmann::ordered_json::parse(format_state(sample_state(), kClock));
        edit(json["histories"][0]["sets"]);
        json.erase("digest");
        json["digest"] = digest_of(json.dump());
        const auto parsed = parse_state(json.dump(), "state.json", kClock);
        return parsed ? std::string("none") : parsed.error().field;
    };
    using Json = nlohmann::ordered_json;
    EXPECT_EQ(refused_field([](Json &) {}), "none");
    EXPECT_EQ(refused_field([](Json &sets) { sets[0]["row_count"] = 65536; }), "row_count") << "not prime: no table";
    EXPECT_EQ(refused_field([](Json &sets) { sets[0].erase("algorithm"); }), "algorithm");
    EXPECT_EQ(refused_field([](Json &sets) { sets[0]["with"]["10.1.0.1"] = 0; }), "with");
    EXPECT_EQ(refused_field([](Json &sets) { sets[0]["with"]["10.1.0.1"] = 65536; }), "with");
    EXPECT_EQ(refused_field([](Json &sets) { sets[0]["with"]["web"] = 1; }), "with");
    EXPECT_EQ(refused_field([](Json &sets) { sets[1]["without"] = {"10.9.9.9"}; }), "without");
    EXPECT_EQ(refused_field([](Json &sets) { sets.push_back(Json::object()); }), "sets") << "a set twice";
}

TEST(StateText, KeepsGradesAndRemovedBackendsThatStillAnswer) {
    DesiredState state = sample_state();
    state.config.services[0].on_dead = config::OnDead::kReset;
    state.config.services[0].backends.pop_back();
    state.allocation = allocate(state.allocation, state.config, 2500).value();
    ASSERT_EQ(departed_of(state.allocation).size(), 1u);
    const health::BackendKey key = health::key_of(state.config.services[0], backend(1).address);
    state.health[key] = {health::Grade::kDead, "connect to port 80 timed out, 3 of 3", 1'700'000'000};
    const auto parsed = parse_state(format_state(state, kClock), "state.json", kClock);
    ASSERT_TRUE(parsed) << parsed.error().format();
    EXPECT_EQ(*parsed, state);

    // A grade of a backend that is not there is of no use to anyone.
    state.health[{1, 2, 6, 3}] = {health::Grade::kFailing, "", 1};
    EXPECT_EQ(parse_state(format_state(state, kClock), "state.json", kClock)->health.size(), 1u);
}

TEST(StateText, ARemovedBackendOfNoServiceIsRefused) {
    DesiredState state = sample_state();
    state.allocation.resting_slots[7] = {9000, 1, Departed{backend(9).address.host(), 1, 99, wire::kSlotReset}};
    const auto parsed = parse_state(format_state(state, kClock), "state.json", kClock);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().field, "departed");
}

TEST(StateText, AnotherBootBeginsQuarantinesAnew) {
    DesiredState state = sample_state();
    const BootClock next_boot{"boot-2", 10};
    const auto parsed = parse_state(format_state(state, kClock), "state.json", next_boot);
    ASSERT_TRUE(parsed);
    for (auto &[slot, quarantine] : state.allocation.resting_slots) quarantine.until_s = next_boot.now_s + quarantine.period_s;
    EXPECT_EQ(*parsed, state);
}

TEST(StateText, EveryChangedByteIsNoticed) {
    const DesiredState state = sample_state();
    const std::string good = format_state(state, kClock);
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        const auto parsed = parse_state(bad, "state.json", kClock);
        if (parsed) {
            ASSERT_EQ(*parsed, state) << "byte " << i << ": only white space may differ";
        } else {
            ASSERT_EQ(parsed.error().file, "state.json");
        }
    }
}

TEST(StateText, EveryTruncationIsRefused) {
    const std::string good = format_state(sample_state(), kClock);
    for (std::size_t size = 0; size + 2 < good.size(); ++size)
        ASSERT_FALSE(parse_state(good.substr(0, size), "state.json", kClock)) << size;
}

TEST(StateText, AnotherVersionIsRefusedByItsNumber) {
    std::string text = format_state(sample_state(), kClock);
    text.replace(text.find("\"version\": 1"), 12, "\"version\": 9");
    const auto parsed = parse_state(text, "state.json", kClock);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().field, "version");
    EXPECT_EQ(parsed.error().what, "a state of version 9, but this fairleadd reads version 1");
}

TEST(StateText, TwoTenantsOfOneSlotAreRefused) {
    DesiredState state = sample_state();
    state.allocation.resting_slots[0] = {9000, 1}; // slot 0 is in use
    const auto parsed = parse_state(format_state(state, kClock), "state.json", kClock);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().field, "slot");
}

TEST(StateFile, SavesWholeForItsOwnerOnly) {
    const TemporaryDirectory directory;
    const std::string path = directory.file("state");
    auto file = StateFile::open(path);
    ASSERT_TRUE(file) << file.error().format();
    EXPECT_EQ(file->load(kClock).value(), std::nullopt);
    ASSERT_TRUE(file->save(sample_state(), kClock));
    EXPECT_EQ(file->load(kClock).value(), sample_state());
    struct stat status {};
    ASSERT_EQ(::stat((path + "/state.json").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700u);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(path), {}), 1) << "nothing else is left";
}

TEST(StateFile, ADamagedFileIsRefusedAndLeftAsItIs) {
    const TemporaryDirectory directory;
    std::ofstream(directory.file("state.json")) << "{\"format\": \"fairlead-st";
    auto file = StateFile::open(directory.file(""));
    ASSERT_TRUE(file);
    const auto loaded = file->load(kClock);
    ASSERT_FALSE(loaded);
    EXPECT_NE(loaded.error().format().find("the saved state is damaged"), std::string::npos) << loaded.error().format();
    EXPECT_EQ(content_of(directory.file("state.json")), "{\"format\": \"fairlead-st");
}

TEST(StateFile, ASecondHolderIsRefused) {
    const TemporaryDirectory directory;
    auto first = StateFile::open(directory.file("state"));
    ASSERT_TRUE(first);
    const auto second = StateFile::open(directory.file("state"));
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().what.find("another fairleadd uses it"), std::string::npos);
}

/// kill -9 at any moment: a child saves without end and is killed at a random one.
TEST(StateFile, AKilledWriterLeavesAWholeState) {
    const TemporaryDirectory directory;
    for (int round = 0; round < 30; ++round) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            auto file = StateFile::open(directory.file("state"));
            DesiredState state = sample_state();
            while (file && file->save(state, kClock)) ++state.generation;
            ::_exit(1);
        }
        const std::string path = directory.file("state") + "/state.json";
        while (!std::filesystem::exists(path)) ::usleep(200);
        ::usleep(static_cast<useconds_t>(round) * 317);
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        auto file = StateFile::open(directory.file("state"));
        ASSERT_TRUE(file) << file.error().format();
        const auto loaded = file->load(kClock);
        ASSERT_TRUE(loaded) << loaded.error().format();
        ASSERT_TRUE(*loaded);
        EXPECT_GE((*loaded)->generation, 17u);
    }
}

TEST(StateFile, AFullDiskKeepsTheOldState) {
    const TemporaryDirectory directory;
    auto file = StateFile::open(directory.file("state"));
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->save(sample_state(), kClock));
    // A directory in the temporary file's place fails the write as a full disk would, for root too.
    std::filesystem::create_directory(directory.file("state") + "/state.json.new");
    const auto saved = file->save(sample_state(), kClock);
    ASSERT_FALSE(saved);
    EXPECT_NE(saved.error().format().find("cannot save the state"), std::string::npos);
    EXPECT_EQ(file->load(kClock).value(), sample_state());
}

} // namespace
} // namespace fairlead::state
