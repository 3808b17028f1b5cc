// SPDX-License-Identifier: Apache-2.0
// udp_load: numbered datagrams at a steady rate over many flows; counts what comes back, and from whom. Says one line of
// JSON at its end. `lost` are datagrams without an answer (with --one-way nobody answers, and it stays away);
// `moved` are flows that were answered by more than one backend.
#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>

#include "tests/lab/udp/socket.hpp"

namespace {

using namespace fairlead::lab;
using Clock = std::chrono::steady_clock;

constexpr int kBufferSize = 1 << 20;
constexpr std::chrono::milliseconds kTick{1};

struct Options {
    std::string address;
    uint16_t port = 0;
    std::vector<std::string> sources;
    uint32_t flow_count = 256;
    uint64_t rate = 1000;
    double seconds = 1;
    double linger = 1;
    size_t size = 64;
    bool one_way = false;
};

struct Flow {
    int fd = -1;
    uint64_t sent = 0;
    uint64_t received = 0;
    uint64_t highest = 0;              // sequence number answered so far, plus 1
    std::set<std::string> backends;
};

class UdpLoad {
public:
    explicit UdpLoad(const Options &options)
        : options_(options), run_(static_cast<uint32_t>(::getpid())), datagram_(options.size), flows_(options.flow_count),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
        const sockaddr_in target = ipv4_address(options.address, options.port);
        for (uint32_t i = 0; i < options.flow_count; ++i) {
            const std::string source = options.sources.empty() ? "0.0.0.0" : options.sources[i % options.sources.size()];
            flows_[i].fd = udp_socket(ipv4_address(source, 0), kBufferSize);
            if (::connect(flows_[i].fd, reinterpret_cast<const sockaddr *>(&target), sizeof target) < 0)
                throw std::system_error(errno, std::generic_category(), "connect");
            epoll_event event{.events = EPOLLIN, .data = {.u32 = i}};
            ::epoll_ctl(epoll_, EPOLL_CTL_ADD, flows_[i].fd, &event);
        }
    }

    void run() {
        const auto start = Clock::now();
        const auto total = static_cast<uint64_t>(static_cast<double>(options_.rate) * options_.seconds);
        uint64_t attempts = 0;
        for (auto tick = start; attempts < total; tick += kTick) {
            const auto due = std::min(total, static_cast<uint64_t>(
                static_cast<double>(options_.rate) * std::chrono::duration<double>(Clock::now() - start).count()) + 1);
            while (attempts < due) send_one(flows_[attempts++ % flows_.size()]);
            receive_all();
            std::this_thread::sleep_until(tick + kTick);
        }
        elapsed_ = std::chrono::duration<double>(Clock::now() - start).count();
        const auto end = Clock::now() + std::chrono::duration<double>(options_.linger);
        while (!options_.one_way && received_ < sent_ && Clock::now() < end) {
            receive_all();
            std::this_thread::sleep_for(kTick);
        }
    }

    nlohmann::ordered_json report() const {
        uint64_t moved = 0;
        for (const Flow &flow : flows_) moved += flow.backends.size() > 1;
        nlohmann::ordered_json report{{"sent", sent_}, {"unsent", unsent_}, {"seconds", elapsed_},
                                      {"rate", std::round(static_cast<double>(sent_) / elapsed_)}};
        if (options_.one_way) return report;
        report.update({{"received", received_}, {"lost", static_cast<int64_t>(sent_ - received_)}, {"wrong", wrong_}, {"reordered", reordered_},
                       {"refused", refused_}, {"moved", moved}, {"backends", backends_}});
        return report;
    }

private:
    void send_one(Flow &flow) {
        const Probe probe{flow.sent, static_cast<uint32_t>(&flow - flows_.data()), run_};
        std::memcpy(datagram_.data(), &probe, sizeof probe);
        if (::send(flow.fd, datagram_.data(), datagram_.size(), 0) < 0) {
            ++(errno == ECONNREFUSED ? refused_ : unsent_);
            return;
        }
        ++flow.sent;
        ++sent_;
    }

    void receive_all() {
        std::array<epoll_event, 256> events;
        const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count; ++i) receive(events[i].data.u32);
    }

    void receive(uint32_t index) {
        Flow &flow = flows_[index];
        std::array<char, 2048> bytes;
        for (;;) {
            const ssize_t size = ::recv(flow.fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
            if (size < 0 && errno == ECONNREFUSED) ++refused_;
            if (size < 0) return;
            Probe probe;
            EchoName name;
            if (static_cast<size_t>(size) != options_.size) {
                ++wrong_;
                continue;
            }
            std::memcpy(&probe, bytes.data(), sizeof probe);
            std::memcpy(&name, bytes.data() + size - sizeof name, sizeof name);
            name.name[sizeof name.name - 1] = '\0';
            if (probe.run != run_ || probe.flow != index || probe.sequence >= flow.sent) {
                ++wrong_;
                continue;
            }
            reordered_ += probe.sequence < flow.highest;
            flow.highest = std::max(flow.highest, probe.sequence + 1);
            flow.backends.insert(name.name);
            ++backends_[name.name];
            ++flow.received;
            ++received_;
        }
    }

    const Options &options_;
    uint32_t run_;
    std::vector<char> datagram_;
    std::vector<Flow> flows_;
    int epoll_;
    uint64_t sent_ = 0, unsent_ = 0, received_ = 0, wrong_ = 0, reordered_ = 0, refused_ = 0;
    double elapsed_ = 0;
    std::map<std::string, uint64_t> backends_;
};

}  // namespace

int main(int argc, char **argv) {
    CLI::App app("UDP load over many flows");
    Options options;
    app.add_option("address", options.address, "IPv4 address to send to")->required();
    app.add_option("port", options.port, "UDP port")->required();
    app.add_option("--source", options.sources, "own addresses to send from, in turn")->allow_extra_args(false);
    app.add_option("--flows", options.flow_count, "flows (256)")->check(CLI::Range(1, 10000));
    app.add_option("--rate", options.rate, "datagrams a second (1000)")->check(CLI::PositiveNumber);
    app.add_option("--seconds", options.seconds, "how long to send (1)")->check(CLI::PositiveNumber);
    app.add_option("--linger", options.linger, "seconds to wait for the last answers (1)");
    app.add_option("--size", options.size, "bytes of payload (64)")->check(CLI::Range(kDatagramSizeMin, kDatagramSizeMax));
    app.add_flag("--one-way", options.one_way, "expect no answers");
    CLI11_PARSE(app, argc, argv);
    try {
        UdpLoad load(options);
        load.run();
        std::cout << load.report().dump() << std::endl;
        return 0;
    } catch (const std::system_error &error) {
        std::cerr << "udp_load: " << error.what() << '\n';
        return 1;
    }
}
