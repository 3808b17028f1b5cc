// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/twin.hpp"

#include "dataplane/core/count.hpp"
#include "dataplane/io/port_spec.hpp"
#include "dataplane/wire/packet.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

namespace fairlead::io {

namespace {

constexpr const char *kTunDevice = "/dev/net/tun";
constexpr int kTurn = 64; // frames in one direction before the other is looked at
constexpr auto kWaitForRoom = std::chrono::milliseconds(1);

ifreq request_for(const std::string &name) {
    ifreq request{};
    std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof(request.ifr_name) - 1));
    return request;
}

std::unexpected<std::string> twin_error(const char *what, const std::string &name) {
    return std::unexpected(fmt::format("cannot {} the twin {}: {}", what, name, std::strerror(errno)));
}

Result<void> set_address(const std::string &name, const core::MacAddress &mac) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto request = request_for(name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac.data(), mac.size());
    if (::ioctl(socket.get(), SIOCSIFHWADDR, &request) != 0) return twin_error("set the address of", name);
    return {};
}

Result<void> bring_up(const std::string &name, unsigned mtu) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto request = request_for(name);
    request.ifr_mtu = static_cast<int>(mtu);
    if (::ioctl(socket.get(), SIOCSIFMTU, &request) != 0) return twin_error("set the MTU of", name);
    request = request_for(name);
    if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return twin_error("ask for the state of", name);
    request.ifr_flags |= IFF_UP;
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return twin_error("bring up", name);
    return {};
}

} // namespace

Result<void> Twin::check(const std::string &name) {
    const Descriptor tap(::open(kTunDevice, O_RDWR | O_CLOEXEC));
    if (!tap) return std::unexpected(fmt::format("its twin {} needs {}: {}; modprobe tun, or twin=none", name, kTunDevice, std::strerror(errno)));
    return {};
}

Result<std::unique_ptr<Twin>> Twin::open(const Setup &setup) {
    Descriptor tap(::open(kTunDevice, O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (!tap) return std::unexpected(fmt::format("cannot open {}: {}", kTunDevice, std::strerror(errno)));
    auto request = request_for(setup.name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (::ioctl(tap.get(), TUNSETIFF, &request) != 0) {
        if (errno == EINVAL) return std::unexpected(fmt::format("the twin cannot be named {}: an interface of another kind is; twin=NAME", setup.name));
        return twin_error("make", setup.name);
    }
    const int off = 0;
    if (::ioctl(tap.get(), TUNSETCARRIER, &off) != 0) return twin_error("take the carrier from", setup.name);
    if (auto done = set_address(setup.name, setup.mac); !done) return std::unexpected(done.error());
    if (auto done = bring_up(setup.name, setup.mtu); !done) return std::unexpected(done.error());
    Descriptor bell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!bell) return twin_error("make a bell for", setup.name);
    return std::unique_ptr<Twin>(new Twin(setup, std::move(tap), std::move(bell)));
}

Twin::Twin(const Setup &setup, Descriptor tap, Descriptor bell)
    : setup_(setup), tap_(std::move(tap)), bell_(std::move(bell)),
      from_kernel_(kFromKernelSlots, setup.mtu + static_cast<unsigned>(sizeof(wire::EthernetHeader)) + kVlanTagsSize) {
    for (unsigned worker = 0; worker < setup.worker_count; ++worker)
        to_kernel_.push_back(std::make_unique<FrameRing>(kToKernelSlots, setup.mtu + static_cast<unsigned>(sizeof(wire::EthernetHeader)) + kVlanTagsSize));
    thread_ = std::thread([this] { run(); });
    ::pthread_setname_np(thread_.native_handle(), setup.name.c_str());
}

Twin::~Twin() {
    stops_.store(true, std::memory_order_relaxed);
    ring_bell();
    thread_.join();
}

void Twin::set_carrier(bool on) const {
    const int value = on ? 1 : 0;
    ::ioctl(tap_.get(), TUNSETCARRIER, &value); // worked when the twin was opened
}

void Twin::ring_bell() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto size = ::write(bell_.get(), &one, sizeof(one)); // full only if it has rung already
}

void Twin::run() noexcept {
    while (!stops_.load(std::memory_order_relaxed)) {
        const bool fed = feed_kernel();
        switch (take_from_kernel()) {
        case Taken::kSome: break;
        case Taken::kNothing:
            if (!fed) sleep();
            break;
        case Taken::kNoRoom: // the kernel keeps what the NIC cannot take, and tells who sends too much
            if (!fed) std::this_thread::sleep_for(kWaitForRoom);
            break;
        }
    }
}

/// True: there was something.
bool Twin::feed_kernel() noexcept {
    bool fed = false;
    for (auto &ring : to_kernel_) {
        for (int turn = 0; turn < kTurn; ++turn) {
            const auto frame = ring->front();
            if (frame.empty()) break;
            fed = true;
            // Refused while the interface is down, or by a kernel that has no memory: a lost packet, as on any wire.
            if (::write(tap_.get(), frame.data(), frame.size()) == static_cast<ssize_t>(frame.size())) {
                core::add(setup_.counters->to_kernel_packets);
                core::add(setup_.counters->to_kernel_bytes, frame.size());
            } else core::add(setup_.counters->to_kernel_refused);
            ring->pop();
        }
    }
    return fed;
}

Twin::Taken Twin::take_from_kernel() noexcept {
    for (int turn = 0; turn < kTurn; ++turn) {
        const auto room = from_kernel_.back();
        if (room.empty()) return Taken::kNoRoom;
        const auto size = ::read(tap_.get(), room.data(), room.size());
        if (size <= 0) return turn == 0 ? Taken::kNothing : Taken::kSome;
        from_kernel_.push(static_cast<std::uint32_t>(size));
        core::add(setup_.counters->from_kernel_packets);
        core::add(setup_.counters->from_kernel_bytes, static_cast<std::uint64_t>(size));
    }
    return Taken::kSome;
}

void Twin::sleep() noexcept {
    is_asleep_.exchange(true, std::memory_order_acq_rel); // see wake()
    bool has_work = stops_.load(std::memory_order_relaxed);
    for (const auto &ring : to_kernel_) has_work = has_work || !ring->is_empty();
    if (!has_work) {
        std::array<pollfd, 2> polled{{{tap_.get(), POLLIN, 0}, {bell_.get(), POLLIN, 0}}};
        ::poll(polled.data(), polled.size(), -1);
        std::uint64_t rung = 0;
        if ((polled[1].revents & POLLIN) != 0) { [[maybe_unused]] const auto size = ::read(bell_.get(), &rung, sizeof(rung)); }
        // An interface that someone has deleted is readable for ever and gives nothing.
        if ((polled[0].revents & POLLERR) != 0) std::this_thread::sleep_for(kWaitForRoom);
    }
    is_asleep_.exchange(false, std::memory_order_acq_rel);
}

} // namespace fairlead::io
