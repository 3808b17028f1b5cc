// SPDX-License-Identifier: Apache-2.0
/// Attaching, finding and detaching, on the loopback device of a network namespace of this process's own,
/// which goes when the process ends.
#include <gtest/gtest.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>

#include "bpf/backend.hpp"
#include "bpf/steer.hpp"
#include "tests/unit/bpf/loaded_object.hpp"
#include "tests/unit/bpf/own_network.hpp"

namespace fairlead::bpf::test {
namespace {

const wire::AddressKey kFirst = key_of(address("10.20.0.11"));
const wire::AddressKey kSecond = key_of(address("10.20.0.12"));
const wire::AddressKey kVipKey = key_of(address("198.51.100.10"));

bool same(const std::vector<wire::AddressKey> &a, const std::vector<wire::AddressKey> &b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(a[0])) == 0;
}

class OwnInterface : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        missing_ = missing_privilege();
        if (!missing_ && ::unshare(CLONE_NEWNET) != 0)
            missing_ = std::string("cannot make a network namespace: ") + std::strerror(errno);
    }

    void SetUp() override {
        if (missing_) GTEST_SKIP() << *missing_;
        index_ = interface_index("lo").value();
    }

    void TearDown() override {
        if (!missing_) bpf_xdp_detach(static_cast<int>(index_), XDP_FLAGS_SKB_MODE, nullptr);
    }

    /// Attaches as DPDK's driver does: refusing to take another program's place.
    void attach_steer() {
        const auto elf = steer_object();
        steer_ = std::make_unique<LoadedObject>(bpf_object__open_mem(elf.data(), elf.size(), nullptr));
        ASSERT_TRUE(steer_->is_loaded());
        ASSERT_EQ(bpf_xdp_attach(static_cast<int>(index_), steer_->program(), XDP_FLAGS_UPDATE_IF_NOEXIST, nullptr), 0);
    }

    static std::optional<std::string> missing_;
    unsigned index_ = 0;
    std::unique_ptr<LoadedObject> steer_;
};
std::optional<std::string> OwnInterface::missing_;

TEST_F(OwnInterface, SteerIsFoundByItsIdAndFollowsItsVips) {
    EXPECT_FALSE(Steer::find(index_));
    attach_steer();
    const auto found = Steer::find(index_);
    ASSERT_TRUE(found) << found.error();
    const wire::AddressKey vips[] = {kVipKey, kFirst};
    ASSERT_TRUE(found->set_vips(vips));
    ASSERT_TRUE(found->remove_vip(kFirst));
    ASSERT_TRUE(found->add_vip(kSecond));
    const auto again = Steer::find(index_);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->program_id(), found->program_id());
    EXPECT_TRUE(same(again->list_vips().value(), {kSecond, kVipKey}));

    EXPECT_EQ(steer_->run(ethernet(ipv4({.destination = address("198.51.100.10")}, {}))).error, 0);
    EXPECT_EQ(steer_->run(ethernet(ipv4({.destination = address("198.51.100.99")}, {}))).error, 0);
    EXPECT_EQ(again->read_counts().value(), (SteerCounts{0, 1, 1}));
}

TEST_F(OwnInterface, AStaleSteerProgramIsDetachedOnce) {
    attach_steer();
    steer_.reset(); // as after a kill: nobody holds it but the interface
    const auto first = detach_stale_steer(index_);
    ASSERT_TRUE(first) << first.error();
    EXPECT_TRUE(*first);
    const auto second = detach_stale_steer(index_);
    ASSERT_TRUE(second) << second.error();
    EXPECT_FALSE(*second);
    attach_steer(); // there is room for the next one
}

TEST_F(OwnInterface, ASteerProgramInUseStays) {
    attach_steer();
    {
        const Descriptor socket(::socket(AF_XDP, SOCK_RAW, 0));
        if (socket.get() < 0) GTEST_SKIP() << "no AF_XDP sockets here: " << std::strerror(errno);
        const int ring_size = 64;
        ASSERT_EQ(::setsockopt(socket.get(), SOL_XDP, XDP_RX_RING, &ring_size, sizeof(ring_size)), 0);
        const wire::u32 queue = 0;
        const int descriptor = socket.get();
        ASSERT_EQ(bpf_map_update_elem(steer_->map(FAIRLEAD_STEER_SOCKETS), &queue, &descriptor, BPF_ANY), 0);
        const auto refused = detach_stale_steer(index_);
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().find("running process"), std::string::npos) << refused.error();
        EXPECT_TRUE(Steer::find(index_).value().list_vips()->empty()) << "the probe's address stayed";
    }
    // The socket's owner is gone, and with it the socket.
    EXPECT_TRUE(detach_stale_steer(index_).value());
}

TEST_F(OwnInterface, ForeignProgramsStay) {
    ASSERT_TRUE(attach_backend(index_, {{kFirst}, {kVipKey}, 6080}, ModeChoice::kAutomatic));
    const auto before = AttachedProgram::find(index_).value()->id();
    const auto steer_detached = detach_stale_steer(index_);
    ASSERT_FALSE(steer_detached);
    EXPECT_NE(steer_detached.error().find(FAIRLEAD_BACKEND_PROGRAM), std::string::npos) << steer_detached.error();
    EXPECT_FALSE(Steer::find(index_));
    EXPECT_EQ(AttachedProgram::find(index_).value()->id(), before);

    ASSERT_TRUE(detach_backend(index_).value());
    attach_steer();
    EXPECT_FALSE(attach_backend(index_, {{kFirst}, {kVipKey}, 6080}, ModeChoice::kAutomatic));
    EXPECT_FALSE(read_backend(index_));
    EXPECT_FALSE(detach_backend(index_));
    EXPECT_TRUE(Steer::find(index_));
}

TEST_F(OwnInterface, BackendSettingsChangeInPlaceAndCountersGoOn) {
    EXPECT_EQ(attach_backend(index_, {{kFirst}, {kVipKey}, 6080}, ModeChoice::kAutomatic).value(), AttachResult::kAttached);
    const auto before = read_backend(index_).value();
    ASSERT_TRUE(before);
    EXPECT_EQ(before->mode, XdpMode::kGeneric) << "the loopback device has no native XDP";
    EXPECT_EQ(before->settings.gue_port, 6080);

    const auto program = AttachedProgram::find(index_).value();
    const Bytes frame = ethernet({}, wire::kEtherTypeArp);
    bpf_test_run_opts run{};
    run.sz = sizeof(run);
    run.data_in = frame.data();
    run.data_size_in = static_cast<std::uint32_t>(frame.size());
    ASSERT_EQ(bpf_prog_test_run_opts(program->descriptor(), &run), 0);

    EXPECT_EQ(attach_backend(index_, {{kSecond, kFirst}, {kVipKey}, 19523}, ModeChoice::kAutomatic).value(), AttachResult::kUpdated);
    EXPECT_EQ(attach_backend(index_, {{kSecond}, {kVipKey, kFirst}, 19523}, ModeChoice::kGeneric).value(), AttachResult::kUpdated);
    const auto after = read_backend(index_).value();
    ASSERT_TRUE(after);
    EXPECT_EQ(after->program_id, before->program_id);
    EXPECT_TRUE(same(after->settings.balancers, {kSecond}));
    EXPECT_TRUE(same(after->settings.vips, {kFirst, kVipKey}));
    EXPECT_EQ(after->settings.gue_port, 19523);
    EXPECT_EQ(after->counts[wire::BackendOutcome::kBackend_passed], 1U);
}

TEST_F(OwnInterface, AModeThatTheDeviceLacksLeavesTheOldProgram) {
    ASSERT_TRUE(attach_backend(index_, {{kFirst}, {kVipKey}, 6080}, ModeChoice::kGeneric));
    const auto before = read_backend(index_).value()->program_id;
    EXPECT_FALSE(attach_backend(index_, {{kSecond}, {kVipKey}, 6080}, ModeChoice::kNative));
    const auto after = read_backend(index_).value();
    ASSERT_TRUE(after);
    EXPECT_EQ(after->program_id, before);
    EXPECT_TRUE(same(after->settings.balancers, {kFirst}));
}

TEST_F(OwnInterface, AnOlderProgramOfOursIsReplaced) {
    // Another program of our name: the steering object's, renamed in a copy of its bytes.
    const auto elf = steer_object();
    std::string bytes(reinterpret_cast<const char *>(elf.data()), elf.size());
    const std::string old_name = "fairlead_steer";
    const std::string new_name("fairlead_back\0", 14);
    for (auto at = bytes.find(old_name); at != std::string::npos; at = bytes.find(old_name))
        bytes.replace(at, new_name.size(), new_name);
    const LoadedObject older(bpf_object__open_mem(bytes.data(), bytes.size(), nullptr));
    ASSERT_TRUE(older.is_loaded());
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(index_), older.program(), XDP_FLAGS_SKB_MODE, nullptr), 0);
    EXPECT_EQ(attach_backend(index_, {{kFirst}, {kVipKey}, 6080}, ModeChoice::kAutomatic).value(), AttachResult::kReplaced);
    const auto status = read_backend(index_).value();
    ASSERT_TRUE(status);
    EXPECT_EQ(status->mode, XdpMode::kGeneric);
    EXPECT_TRUE(same(status->settings.balancers, {kFirst}));
}

/// net.ipv4.conf.DEVICE.forwarding
std::string forwarding(const std::string &device) { return read_ipv4("conf/" + device + "/forwarding"); }

TEST_F(OwnInterface, ForwardingIsOnWhileTheSecondChanceIsAndThenAsBefore) {
    const auto attach = [this](bool second_chance) {
        const auto attached = attach_backend(index_, {{kFirst}, {kVipKey}, 6080, second_chance}, ModeChoice::kAutomatic);
        ASSERT_TRUE(attached) << attached.error();
        EXPECT_EQ(read_backend(index_).value()->settings.second_chance, second_chance);
    };
    for (const std::string before : {"0", "1"}) {
        set_ipv4("conf/all/forwarding", "0");
        set_ipv4("conf/lo/forwarding", before);
        attach(false);
        EXPECT_EQ(forwarding("lo"), before);
        attach(true);
        attach(true); // the previous value is not what the first attach made it
        EXPECT_EQ(forwarding("lo"), "1");
        EXPECT_EQ(forwarding("all"), "0");
        attach(false);
        EXPECT_EQ(forwarding("lo"), before);
        attach(true);
        set_ipv4("conf/lo/forwarding", "0");
        attach(true); // mends what somebody undid
        EXPECT_EQ(forwarding("lo"), "1");
        set_ipv4("conf/lo/forwarding", before);
        EXPECT_TRUE(detach_backend(index_).value());
    }
    set_ipv4("conf/lo/forwarding", "0");
    attach(true);
    EXPECT_TRUE(detach_backend(index_).value());
    EXPECT_EQ(forwarding("lo"), "0");

    attach(true);
    set_ipv4("conf/all/forwarding", "1"); // a router since
    EXPECT_TRUE(detach_backend(index_).value());
    EXPECT_EQ(forwarding("lo"), "1");
}

TEST_F(OwnInterface, AnAttachThatFailsLeavesForwardingAsItWas) {
    set_ipv4("conf/all/forwarding", "0");
    EXPECT_FALSE(attach_backend(index_, {{kFirst}, {kVipKey}, 6080}, ModeChoice::kNative));
    EXPECT_EQ(forwarding("lo"), "0");
}

TEST_F(OwnInterface, DetachTakesOffOursAndSaysWhenThereIsNone) {
    ASSERT_TRUE(attach_backend(index_, {{kFirst}, {kVipKey}, 6080}, ModeChoice::kAutomatic));
    EXPECT_TRUE(detach_backend(index_).value());
    EXPECT_FALSE(read_backend(index_).value());
    EXPECT_FALSE(detach_backend(index_).value());
    EXPECT_FALSE(interface_index("nosuchdevice"));
}

} // namespace
} // namespace fairlead::bpf::test
