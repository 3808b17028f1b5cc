// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/options.hpp"

#include "dataplane/io/choice.hpp"

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

namespace fairlead::pktgen {

namespace {

constexpr unsigned kFlowCountMax = 50'000'000; // 4 GB of records
constexpr double kRateMin_pps = 1;
constexpr double kRateMax_pps = 1e9;
constexpr double kSecondsMin = 0.1;
constexpr double kSecondsMax = 86'400;

/// Simple IMIX, 7:4:1, spread out: IP packets of 40, 576 and 1500 bytes; the shortest padded to what Ethernet takes.
const std::vector<unsigned> kImix{64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64};

io::Exit refuse(const std::string &why) {
    fmt::print(stderr, "fairlead-pktgen: {}\n", why);
    return {EX_USAGE};
}

std::optional<wire::u32> parse_address(const std::string &text) {
    in_addr address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return {};
    return ntohl(address.s_addr);
}

io::Result<core::MacAddress> parse_mac(const std::string &text) {
    core::MacAddress mac{};
    const char *rest = text.data();
    const char *const end = text.data() + text.size();
    bool is_good = text.size() == 17;
    for (std::size_t i = 0; i < mac.size() && is_good; ++i) {
        const auto [next, error] = std::from_chars(rest, std::min(rest + 2, end), mac[i], 16);
        is_good = error == std::errc{} && next == rest + 2 && (i + 1 == mac.size() || *next == ':');
        rest += 3;
    }
    if (!is_good) return std::unexpected(fmt::format("'{}' is no MAC address, such as 02:00:00:00:00:01", text));
    if ((mac[0] & 1) != 0 || mac == core::MacAddress{}) return std::unexpected(fmt::format("{} is not one station's address", text));
    return mac;
}

io::Result<SourceNetwork> parse_network(const std::string &text) {
    const auto slash = text.find('/');
    const auto address = parse_address(text.substr(0, slash));
    unsigned length = 33;
    if (slash != text.npos) {
        const auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), length);
        if (error != std::errc{} || end != text.data() + text.size()) length = 33;
    }
    if (!address || length < 1 || length > 32) return std::unexpected(fmt::format("'{}' is no IPv4 network, such as 198.18.0.0/16", text));
    if ((wire::u64{*address} << length & 0xffffffff) != 0)
        return std::unexpected(fmt::format("'{}' names a host: bits behind the prefix are set", text));
    return SourceNetwork{.address = *address, .prefix_length = length};
}

/// "250000", "250k", "1.5M" or "max", which is 0.
io::Result<double> parse_rate(const std::string &text) {
    if (text == "max") return 0.0;
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const std::string unit(end, text.data() + text.size());
    static const std::map<std::string, double> kUnits{{"", 1}, {"k", 1e3}, {"M", 1e6}};
    const auto factor = kUnits.find(unit);
    if (error == std::errc{} && factor != kUnits.end()) number *= factor->second;
    if (error != std::errc{} || factor == kUnits.end() || !(number >= kRateMin_pps && number <= kRateMax_pps))
        return std::unexpected(fmt::format("'{}' is no rate in packets a second, such as 250000, 250k, 1.5M or max", text));
    return number;
}

/// CLI::Range lets "nan" pass, which is neither below nor above.
CLI::Validator number_in(double min, double max) {
    const auto check = [min, max](std::string &text) -> std::string {
        char *end = nullptr;
        const double number = std::strtod(text.c_str(), &end);
        if (!text.empty() && *end == '\0' && number >= min && number <= max) return {};
        return fmt::format("'{}' is no number from {} to {}", text, min, max);
    };
    return {check, fmt::format("FLOAT in [{} - {}]", min, max)};
}

/// What is given as text and has an error of its own.
struct Texts {
    std::string port, return_port, gateway_mac, vip, source_network, rate = "max", open_rate, lcores;
    unsigned size = kFrameSizeMin;
    bool is_imix = false;
};

void add_options(CLI::App &app, Options &options, Texts &texts) {
    constexpr const char *kPorts = "af_xdp:IFACE, pcap:rx=FILE,tx=FILE, ring:NAME, null or pci:ADDRESS";
    const CLI::Validator seconds = number_in(kSecondsMin, kSecondsMax);
    app.add_option("--port", texts.port, fmt::format("where packets are sent, and where they return: {}; af_xdp takes every packet that comes to IFACE", kPorts))
        ->required();
    app.add_option("--return-port", texts.return_port, "where they return as well, such as a backend's place; default: --port alone");
    app.add_option("--gateway-mac", texts.gateway_mac, "link-layer destination of what is sent: the balancer, or the router before it")->required();
    app.add_option("--vip", texts.vip, "IPv4 address that is balanced")->required();
    app.add_option("--vip-port", options.vip_port, "its port")->check(CLI::Range(1, 65535))->capture_default_str();
    app.add_option("--protocol", options.protocol, "tcp or udp")
        ->transform(io::one_of<Protocol>({{"tcp", Protocol::kTcp}, {"udp", Protocol::kUdp}}))
        ->option_text("tcp|udp=tcp");
    app.add_option("--source-network", texts.source_network, "the clients' addresses; default: 198.18.0.0/16");
    app.add_option("--flows", options.flow_count, "open at once; each begins with a SYN, and its packets are drawn at random")
        ->check(CLI::Range(1U, kFlowCountMax))
        ->capture_default_str();
    app.add_option("--size", texts.size, "bytes of a frame, CRC included; 64, or with TCP 76 and more, have room for the stamp")
        ->capture_default_str();
    app.add_flag("--imix", texts.is_imix, "frames of 64, 594 and 1518 bytes, 7:4:1")->excludes("--size");
    app.add_option("--syn", options.syn_percent, "percent of packets that open a new flow (with TCP: a SYN), while the oldest ends")
        ->check(number_in(0, 100))
        ->capture_default_str();
    app.add_option("--rate", texts.rate, "packets a second, such as 250k or 1.5M, or max; with --search the highest to try")
        ->capture_default_str();
    app.add_option("--open-rate", texts.open_rate, "at which the flows open before anything is measured; default: --rate, but at most 100k");
    app.add_option("--seconds", options.seconds, "how long to send")->check(seconds)->capture_default_str();
    app.add_flag("--search", options.searches, "find the throughput (RFC 2544, section 26.1): the highest rate without more than --loss");
    app.add_option("--loss", options.loss_percent, "percent that may be lost in a trial")->check(number_in(0, 99))->capture_default_str();
    app.add_option("--trial-seconds", options.trial_seconds, "how long a trial sends")->check(seconds)->capture_default_str();
    app.add_option("--resolution", options.resolution_percent, "percent to which the throughput is to be known")
        ->check(number_in(0.01, 50))
        ->capture_default_str();
    app.add_flag("--json", options.prints_json, "the report as one JSON object");
    app.add_option("--flow-file", options.flow_file, "write what became of each flow there, as CSV");
    app.add_option("--lcores", texts.lcores, "the CPU to run on");
    app.add_option("--idle", options.idle, "poll: never sleep; backoff: sleep while nothing is due, for CPUs that are shared")
        ->transform(io::one_of<io::Idle>({{"poll", io::Idle::kPoll}, {"backoff", io::Idle::kBackoff}}))
        ->option_text("poll|backoff=poll");
    app.add_option("--hugepages", options.hugepages, "auto: where enough are free")
        ->transform(io::one_of<io::HugepageUse>({{"auto", io::HugepageUse::kAuto}, {"on", io::HugepageUse::kOn}, {"off", io::HugepageUse::kOff}}))
        ->option_text("auto|on|off=auto");
}

io::Result<void> take_ports(Options &options, const Texts &texts) {
    auto port = io::parse_port_spec(texts.port);
    if (!port) return std::unexpected(port.error());
    options.port = std::move(*port);
    if (!texts.return_port.empty() && texts.return_port != texts.port) {
        auto return_port = io::parse_port_spec(texts.return_port);
        if (!return_port) return std::unexpected("--return-port: " + return_port.error());
        options.return_port = std::move(*return_port);
    }
    if (texts.lcores.empty()) return {};
    auto cpus = io::parse_cpu_list(texts.lcores);
    if (!cpus) return std::unexpected("--lcores: " + cpus.error());
    if (cpus->size() != 1) return std::unexpected(fmt::format("--lcores {}: one CPU sends and receives", texts.lcores));
    options.lcores = std::move(*cpus);
    return {};
}

io::Result<void> take_addresses(Options &options, const Texts &texts) {
    const auto mac = parse_mac(texts.gateway_mac);
    if (!mac) return std::unexpected("--gateway-mac: " + mac.error());
    options.gateway_mac = *mac;
    const auto vip = parse_address(texts.vip);
    if (!vip) return std::unexpected(fmt::format("--vip: '{}' is no IPv4 address", texts.vip));
    options.vip = *vip;
    if (!texts.source_network.empty()) {
        const auto network = parse_network(texts.source_network);
        if (!network) return std::unexpected("--source-network: " + network.error());
        options.source_network = *network;
    }
    const auto clients = wire::u64{options.source_network.host_count()} * kClientPortCount;
    if (options.flow_count > clients)
        return std::unexpected(fmt::format("--flows {}: the source network has {} addresses and ports", options.flow_count, clients));
    return {};
}

io::Result<void> take_traffic(Options &options, const Texts &texts) {
    options.frame_sizes = texts.is_imix ? kImix : std::vector{texts.size};
    for (const auto size : options.frame_sizes)
        if (const auto why = refuse_size(size, options.protocol); !why.empty()) return std::unexpected("--size: " + why);
    const auto rate = parse_rate(texts.rate);
    if (!rate) return std::unexpected("--rate: " + rate.error());
    options.rate_pps = *rate;
    if (options.rate_pps != 0) options.open_rate_pps = std::min(options.open_rate_pps, options.rate_pps);
    if (texts.open_rate.empty()) return {};
    const auto open_rate = parse_rate(texts.open_rate);
    if (!open_rate) return std::unexpected("--open-rate: " + open_rate.error());
    options.open_rate_pps = *open_rate;
    return {};
}

} // namespace

std::variant<Options, io::Exit> parse_options(int argc, const char *const *argv) {
    Options options;
    Texts texts;
    CLI::App app{"Sends flows through a load balancer and measures what returns: rate, loss, latency, moved flows.", "fairlead-pktgen"};
    app.set_version_flag("--version", FAIRLEAD_VERSION);
    app.footer("Exit codes: 0 measured; 64 bad options; 69 nothing came back in the whole run; 74 a report could not be written; "
               "78 it lacks something to start.");
    add_options(app, options, texts);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        if (error.get_exit_code() == 0) return io::Exit{app.exit(error)};
        return refuse(error.what());
    }
    for (const auto take : {take_ports, take_addresses, take_traffic})
        if (const auto taken = take(options, texts); !taken) return refuse(taken.error());
    for (const char *name : {"--loss", "--trial-seconds", "--resolution"})
        if (app.count(name) != 0 && !options.searches) return refuse(fmt::format("{} belongs to --search", name));
    if (app.count("--seconds") != 0 && options.searches) return refuse("--seconds: with --search it is --trial-seconds");
    return options;
}

} // namespace fairlead::pktgen
