// SPDX-License-Identifier: Apache-2.0
/// The steering program, loaded from a file as DPDK's AF_XDP driver does, run on single frames.
#include <gtest/gtest.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <sys/socket.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>

#include "bpf/steer.hpp"
#include "tests/unit/bpf/loaded_object.hpp"

namespace fairlead::bpf::test {
namespace {

using wire::SteerOutcome;

Bytes frame_to(wire::Be32 destination, std::uint8_t protocol = wire::kIpProtocolTcp) {
    return ethernet(ipv4({.source = kClient, .destination = destination, .protocol = protocol}, pattern(40)));
}

/// A directory that is gone after the test.
class ScratchDirectory {
  public:
    ScratchDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "fairlead-steer-XXXXXX").string();
        if (::mkdtemp(name.data()) != nullptr) path_ = name;
    }
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path &path() const { return path_; }

  private:
    std::filesystem::path path_;
};

TEST(SteerObject, IsWrittenWholeOverAnOlderFile) {
    const ScratchDirectory scratch;
    const auto path = scratch.path() / "steer.bpf.o";
    std::ofstream(path) << "an older one";
    ASSERT_TRUE(write_steer_object(path));
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    ASSERT_EQ(bytes.size(), steer_object().size());
    EXPECT_EQ(std::memcmp(bytes.data(), steer_object().data(), bytes.size()), 0);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1);
}

TEST(SteerObject, NamesTheFileThatCannotBeWritten) {
    const ScratchDirectory scratch;
    const auto written = write_steer_object(scratch.path() / "missing" / "steer.bpf.o");
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().find("missing/steer.bpf.o"), std::string::npos) << written.error();
}

class SteerProgram : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const auto missing = missing_privilege()) GTEST_SKIP() << *missing;
        const ScratchDirectory scratch;
        const auto path = scratch.path() / "steer.bpf.o";
        ASSERT_TRUE(write_steer_object(path));
        object_ = std::make_unique<LoadedObject>(bpf_object__open_file(path.c_str(), nullptr));
        ASSERT_TRUE(object_->is_loaded());
        ASSERT_EQ(object_->program_name(), FAIRLEAD_STEER_PROGRAM);
        ASSERT_GE(object_->map(FAIRLEAD_STEER_SOCKETS), 0);
        ASSERT_TRUE(vips().add(key_of(kVip)));
    }

    [[nodiscard]] AddressSet vips() const { return AddressSet(object_->map(FAIRLEAD_STEER_VIPS)); }

    [[nodiscard]] std::vector<std::uint64_t> counts() const {
        return read_outcomes(object_->map(FAIRLEAD_STEER_OUTCOMES_MAP), wire::kSteerOutcomeCount).value();
    }

    void set_device(const wire::SteerDevice &device) const {
        const std::uint32_t key = 0;
        ASSERT_EQ(bpf_map_update_elem(object_->map(FAIRLEAD_STEER_DEVICE), &key, &device, BPF_ANY), 0);
    }

    void run_expecting(const Bytes &frame, SteerOutcome outcome) {
        static constexpr std::uint32_t kVerdicts[wire::kSteerOutcomeCount] = {XDP_REDIRECT, XDP_DROP, XDP_PASS};
        auto wanted = counts();
        ++wanted[outcome];
        const auto result = object_->run(frame);
        EXPECT_EQ(result.error, 0);
        EXPECT_EQ(result.verdict, kVerdicts[outcome]);
        EXPECT_EQ(result.frame, frame) << "steering changes nothing";
        EXPECT_EQ(counts(), wanted) << "expected " << wire::kSteerOutcomes[outcome].name;
    }

    std::unique_ptr<LoadedObject> object_;
};

TEST_F(SteerProgram, DropsAndCountsVipPacketsWithoutASocket) {
    run_expecting(frame_to(kVip), SteerOutcome::kSteer_no_socket);
    run_expecting(frame_to(kVip, wire::kIpProtocolUdp), SteerOutcome::kSteer_no_socket);
    run_expecting(frame_to(kVip, wire::kIpProtocolIcmp), SteerOutcome::kSteer_no_socket);
}

TEST_F(SteerProgram, RedirectsVipPacketsToTheSocketOfTheirQueue) {
    const Descriptor socket(::socket(AF_XDP, SOCK_RAW, 0));
    if (socket.get() < 0) GTEST_SKIP() << "no AF_XDP sockets here: " << std::strerror(errno);
    const int ring_size = 64; // the kernel takes a socket into the map once it has a receive ring
    ASSERT_EQ(::setsockopt(socket.get(), SOL_XDP, XDP_RX_RING, &ring_size, sizeof(ring_size)), 0);
    const wire::u32 queue = 0;
    const int descriptor = socket.get();
    ASSERT_EQ(bpf_map_update_elem(object_->map(FAIRLEAD_STEER_SOCKETS), &queue, &descriptor, BPF_ANY), 0);
    run_expecting(frame_to(kVip), SteerOutcome::kSteer_redirected);
    run_expecting(frame_to(kOtherAddress), SteerOutcome::kSteer_passed);
    ASSERT_EQ(bpf_map_delete_elem(object_->map(FAIRLEAD_STEER_SOCKETS), &queue), 0);
    run_expecting(frame_to(kVip), SteerOutcome::kSteer_no_socket);
}

TEST_F(SteerProgram, PassesEverythingElse) {
    auto tagged = frame_to(kVip);
    const Bytes tag = {0x81, 0x00, 0x00, 0x05};
    tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
    const Bytes frames[] = {frame_to(kOtherAddress), tagged, ethernet(pattern(28), wire::kEtherTypeArp),
                            ethernet(pattern(60), wire::kEtherTypeIpv6), ethernet({})};
    for (const auto &frame : frames) run_expecting(frame, SteerOutcome::kSteer_passed);
}

TEST_F(SteerProgram, PassesFramesThatAreForAnotherHost) {
    Bytes frame = frame_to(kVip);
    ASSERT_NO_FATAL_FAILURE(set_device({.mac = {0x02, 0, 0, 0, 0, 0xbe}, .is_known = 1, .reserved = 0}));
    run_expecting(frame, wire::kSteer_no_socket);
    for (std::size_t byte = 0; byte < 6; ++byte) {
        Bytes other = frame;
        other[byte] ^= 0x40;
        run_expecting(other, wire::kSteer_passed);
    }
    ASSERT_NO_FATAL_FAILURE(set_device({}));
    run_expecting(frame, wire::kSteer_no_socket);
    std::fill_n(frame.begin(), 6, std::uint8_t{0xff});
    run_expecting(frame, wire::kSteer_passed);
}

TEST_F(SteerProgram, PassesFramesThatEndBeforeTheDestination) {
    const auto whole = frame_to(kVip);
    for (std::size_t length = 14; length <= whole.size(); ++length) {
        const bool is_readable = length >= 14U + 20;
        run_expecting(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)),
                      is_readable ? SteerOutcome::kSteer_no_socket : SteerOutcome::kSteer_passed);
    }
}

TEST_F(SteerProgram, FollowsItsVips) {
    const auto key = key_of(kOtherAddress);
    ASSERT_TRUE(vips().assign(std::span(&key, 1)));
    run_expecting(frame_to(kVip), SteerOutcome::kSteer_passed);
    run_expecting(frame_to(kOtherAddress), SteerOutcome::kSteer_no_socket);
}

TEST_F(SteerProgram, NeverPassesAVipPacketNorDropsAnotherAmongTwentyThousand) {
    std::mt19937 random(443);
    auto wanted = counts();
    for (int i = 0; i < 20'000; ++i) {
        auto frame = frame_to(random() % 2 ? kVip : kOtherAddress);
        for (auto changes = random() % 4; changes > 0; --changes)
            frame[random() % frame.size()] = static_cast<std::uint8_t>(random());
        if (random() % 4 == 0) frame.resize(14 + random() % (frame.size() - 13));
        const bool is_for_vip = frame.size() >= 34 && (frame[0] & 1) == 0 && read16(frame, 12) == wire::kEtherTypeIpv4 &&
                                std::memcmp(&frame[30], &kVip, sizeof(kVip)) == 0;
        const auto result = object_->run(frame);
        ASSERT_EQ(result.error, 0);
        ASSERT_EQ(result.verdict, is_for_vip ? XDP_DROP : XDP_PASS) << "frame " << i;
        ++wanted[is_for_vip ? SteerOutcome::kSteer_no_socket : SteerOutcome::kSteer_passed];
    }
    EXPECT_EQ(counts(), wanted);
}

TEST_F(SteerProgram, AddressSetsHoldWhatTheyWereAssigned) {
    std::vector<wire::AddressKey> wanted;
    for (wire::u32 i = 0; i < 1'000; ++i) wanted.push_back(key_of(wire::Be32::from_host(0x0a000000 + i)));
    ASSERT_TRUE(vips().assign(wanted));
    const auto listed = vips().list();
    ASSERT_TRUE(listed);
    ASSERT_EQ(listed->size(), wanted.size());
    EXPECT_EQ(std::memcmp(listed->data(), wanted.data(), wanted.size() * sizeof(wanted[0])), 0);
    EXPECT_TRUE(vips().add(wanted[0]));
    EXPECT_TRUE(vips().remove(wanted[0]));
    EXPECT_TRUE(vips().remove(wanted[0]));
    EXPECT_EQ(vips().list()->size(), wanted.size() - 1);
    ASSERT_TRUE(vips().assign({}));
    EXPECT_TRUE(vips().list()->empty());
}

TEST(Address, TextIsReadAndWrittenBack) {
    for (const char *text : {"0.0.0.0", "10.20.0.11", "255.255.255.255"})
        EXPECT_EQ(format_address(parse_address(text).value()), text);
    for (const std::string_view text : {"", "10.20.0", "10.20.0.256", "10.20.0.1 ", "010.1.1.1x", "::1"})
        EXPECT_FALSE(parse_address(text)) << text;
    EXPECT_FALSE(parse_address(std::string_view("10.20.0.1\0x", 11)));
}

} // namespace
} // namespace fairlead::bpf::test
