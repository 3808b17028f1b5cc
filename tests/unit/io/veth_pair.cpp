// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/io/veth_pair.hpp"

#include <algorithm>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdlib>

namespace fairlead::io::test {

namespace {

bool run(const std::string &command) { return std::system((command + " 2>/dev/null").c_str()) == 0; }

} // namespace

bool enter_own_network() {
    static const bool entered = ::unshare(CLONE_NEWNET) == 0;
    return entered;
}

VethPair::VethPair(const std::string &name) : name_(name) {
    const auto peer = name + "-p";
    made_ = run("ip link add " + name + " type veth peer name " + peer) && run("ip link set " + name + " up") &&
            run("ip link set " + peer + " up");
    socket_ = Descriptor(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(peer.c_str()));
    const int buffer_size = 64 << 20;
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_size, sizeof(buffer_size));
    const timeval patience{.tv_sec = 1, .tv_usec = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    made_ = made_ && ::bind(socket_.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) == 0;
}

VethPair::~VethPair() { run("ip link del " + name_); }

unsigned VethPair::index() const { return ::if_nametoindex(name_.c_str()); }

std::array<wire::u8, 6> VethPair::mac() const {
    ifreq request{};
    std::strncpy(request.ifr_name, name_.c_str(), sizeof(request.ifr_name) - 1);
    std::array<wire::u8, 6> mac{};
    if (::ioctl(socket_.get(), SIOCGIFHWADDR, &request) == 0) std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
    return mac;
}

bool VethPair::send(FrameBytes frame) const {
    const auto to = mac();
    std::memcpy(frame.data(), to.data(), to.size());
    return ::send(socket_.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size());
}

FrameBytes VethPair::receive(const std::array<wire::u8, 6> &destination) const {
    for (FrameBytes frame(4096);; frame.resize(4096)) {
        sockaddr_ll from{};
        socklen_t from_size = sizeof(from);
        const auto size = ::recvfrom(socket_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr *>(&from), &from_size);
        if (size <= 0) return {};
        if (from.sll_pkttype == PACKET_OUTGOING || std::memcmp(frame.data(), destination.data(), destination.size()) != 0) continue;
        frame.resize(static_cast<std::size_t>(size));
        return frame;
    }
}

} // namespace fairlead::io::test
