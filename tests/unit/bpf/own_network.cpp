// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bpf/own_network.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <chrono>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace fairlead::bpf::test {

namespace {

constexpr const char *kNetwork = R"(
link set lo up
link add v0 address 02:00:00:00:00:be type veth peer name v1 address 02:00:00:00:00:1b
link add d0 type veth peer name d1
link set d1 up
link set v1 arp off up
link set v0 up
link set d0 up
address add 198.51.100.10/32 dev lo
address add 10.20.0.31/24 dev v0
address add 10.30.0.1/24 dev d0
neighbour add 10.20.0.1 lladdr 02:00:00:00:00:01 dev v0 nud permanent
neighbour add 10.20.0.32 lladdr 02:00:00:00:00:20 dev v0 nud permanent
neighbour add 10.30.0.2 lladdr 02:00:00:00:00:30 dev d0 nud permanent
route add 203.0.113.0/24 via 10.20.0.1
route add 10.40.0.0/24 via 10.20.0.1 mtu lock 600
route add unreachable 192.0.2.0/24
)";

const wire::Be32 kWireClient = address("203.0.113.5");

std::string path_of(const std::string &name) { return "/proc/sys/net/ipv4/" + name; }

[[nodiscard]] bool has_run(const char *command, const char *input) {
    FILE *pipe = ::popen(command, "w");
    if (pipe == nullptr) return false;
    std::fputs(input, pipe);
    return ::pclose(pipe) == 0;
}

constexpr auto kPatience = std::chrono::seconds(10);

} // namespace

std::optional<std::string> enter_own_network() {
    if (::unshare(CLONE_NEWNET) != 0) return std::string("cannot make a network namespace: ") + std::strerror(errno);
    if (!has_run("ip -Version >/dev/null", "")) return "needs ip(8)";
    if (!has_run("ip -batch -", kNetwork)) throw std::runtime_error("ip(8) cannot build the network");
    for (const char *device : {"all", "default", "lo", "v0", "d0"})
        set_ipv4(std::string("conf/") + device + "/forwarding", "0");
    return std::nullopt;
}

void set_ipv4(const std::string &name, const std::string &value) {
    if (!(std::ofstream(path_of(name)) << value << std::flush)) throw std::runtime_error("cannot write " + name);
}

std::string read_ipv4(const std::string &name) {
    std::string value;
    if (!(std::ifstream(path_of(name)) >> value)) throw std::runtime_error("cannot read " + name);
    return value;
}

unsigned own_device() { return ::if_nametoindex("v0"); }

WireClient::WireClient(std::uint16_t port, std::uint16_t server_port, std::uint32_t sequence)
    : wire_(::socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP))), port_(port), server_port_(server_port), sequence_(sequence) {
    sockaddr_ll end{};
    end.sll_family = AF_PACKET;
    end.sll_protocol = htons(ETH_P_IP);
    end.sll_ifindex = static_cast<int>(::if_nametoindex("v1"));
    if (::bind(wire_.get(), reinterpret_cast<const sockaddr *>(&end), sizeof(end)) != 0)
        throw std::runtime_error(std::string("cannot open the wire: ") + std::strerror(errno));
}

Segment WireClient::next(std::uint8_t flags, std::size_t payload_size) const {
    return {.source = kWireClient,
            .destination = kOwnVip,
            .source_port = port_,
            .destination_port = server_port_,
            .sequence = sequence_,
            .acknowledgement = (flags & wire::kTcpAck) != 0 ? acknowledgement_ : 0,
            .flags = flags,
            .payload_size = payload_size};
}

void WireClient::send(std::uint8_t flags) {
    const auto frame = ethernet(tcp_packet(next(flags)));
    if (::send(wire_.get(), frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size()))
        throw std::runtime_error(std::string("cannot send: ") + std::strerror(errno));
    if ((flags & (wire::kTcpSyn | wire::kTcpFin)) != 0) ++sequence_;
}

Segment WireClient::await(std::uint8_t flags) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
        pollfd readable{wire_.get(), POLLIN, 0};
        if (::poll(&readable, 1, 100) <= 0) continue;
        Bytes frame(2048);
        sockaddr_ll from{};
        socklen_t from_size = sizeof(from);
        const auto size = ::recvfrom(wire_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr *>(&from), &from_size);
        if (size < 14 + 40 || from.sll_pkttype == PACKET_OUTGOING || frame[14 + 9] != wire::kIpProtocolTcp) continue;
        const auto segment = read_segment(std::span(frame).subspan(14));
        if (segment.destination_port != port_ || (segment.flags & flags) != flags) continue;
        const bool takes_a_number = (segment.flags & (wire::kTcpSyn | wire::kTcpFin)) != 0;
        acknowledgement_ = segment.sequence + static_cast<std::uint32_t>(segment.payload_size) + takes_a_number;
        return segment;
    }
    throw std::runtime_error("the kernel did not answer on the wire");
}

void WireClient::connect() {
    send(wire::kTcpSyn);
    await(wire::kTcpSyn | wire::kTcpAck);
    send(wire::kTcpAck);
}

bool await_state(std::uint16_t client_port, int state) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < deadline) {
        std::ifstream table("/proc/thread-self/net/tcp");
        for (std::string line; std::getline(table, line);) {
            std::istringstream words(line);
            std::string number, local, remote, found;
            words >> number >> local >> remote >> found;
            const auto colon = remote.find(':');
            if (colon == std::string::npos || found.empty()) continue;
            if (std::stoi(remote.substr(colon + 1), nullptr, 16) == client_port && std::stoi(found, nullptr, 16) == state)
                return true;
        }
        ::sched_yield();
    }
    return false;
}

} // namespace fairlead::bpf::test
