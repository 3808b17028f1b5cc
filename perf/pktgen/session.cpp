// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/session.hpp"

#include "dataplane/io/eal.hpp"
#include "dataplane/io/log.hpp"
#include "dataplane/io/memory_supply.hpp"
#include "dataplane/io/port.hpp"
#include "perf/pktgen/generator.hpp"
#include "perf/pktgen/interface_claim.hpp"
#include "perf/pktgen/scratch_directory.hpp"
#include "perf/pktgen/tsc_rate.hpp"

#include <fmt/format.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <thread>
#include <utility>

namespace fairlead::pktgen {

namespace {

constexpr std::size_t kEalBaseBytes = 16U << 20;  // DPDK's own records, and slack for alignment
constexpr unsigned kEncapsulationMax = 128;       // what a balancer may put in front of a packet
constexpr unsigned kMeasuringLcore = 1;           // lcore 0 is the main thread
constexpr double kUnpacedRate_pps = 2e7;          // taken for `max` where memory is to be sized
constexpr std::size_t kEndedFlowsMin = 1024;
constexpr std::size_t kEndedFlowsMax = 1U << 22;

std::atomic<bool> stop{false};

void take_signals() {
    struct sigaction action{};
    action.sa_handler = [](int) { stop.store(true, std::memory_order_relaxed); };
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    struct sigaction before{};
    if (::sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr); // nohup
}

struct Plan {
    io::EalOptions eal;
    std::vector<io::PortPlan> ports; ///< the first sends
};

/// What the options mean on this machine. Changes nothing.
io::Result<Plan> make_plan(const Options &options) {
    Plan plan;
    auto placement = io::place(io::allowed_cpus(), options.lcores, 1, options.idle == io::Idle::kPoll);
    if (!placement) return std::unexpected(placement.error());
    plan.eal.placement = std::move(*placement);
    plan.eal.memory_bytes = kEalBaseBytes;
    const unsigned packet_size = *std::ranges::max_element(options.frame_sizes) - kLinkOverhead;
    std::vector specs{options.port};
    if (options.return_port) specs.push_back(*options.return_port);
    for (auto &spec : specs) {
        if (spec.kind == io::PortKind::kPci) spec.twin = "none"; // nothing comes here that is the kernel's
        auto port = io::plan_port(spec, static_cast<unsigned>(plan.ports.size()), 1, packet_size + kEncapsulationMax);
        if (!port) return std::unexpected(port.error());
        if (packet_size > port->mtu)
            return std::unexpected(fmt::format("port {}: its MTU is {}, frames of {} bytes need {}", spec.text, port->mtu,
                                               packet_size + kLinkOverhead, packet_size));
        plan.eal.memory_bytes += port->memory_bytes();
        if (spec.kind == io::PortKind::kPci) plan.eal.pci_addresses.push_back(spec.name);
        plan.ports.push_back(std::move(*port));
    }
    const auto memory = io::choose_memory(options.hugepages, {.eal = {{plan.eal.memory_bytes}}}, io::MemorySupply::read());
    if (!memory) return std::unexpected(memory.error());
    plan.eal.hugepages = memory->hugepages;
    return plan;
}

/// What is not sent to the port's own address may return all the same: to a backend that the port stands for.
io::Result<void> start_port(io::Port &port) {
    if (auto started = port.start(); !started) return started;
    if (port.plan().spec.kind != io::PortKind::kPci) return {};
    rte_eth_promiscuous_enable(port.id());
    constexpr auto kPatience = std::chrono::seconds(9); // IEEE 802.3's autonegotiation, and the switch's
    for (const auto start = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - start < kPatience;) {
        rte_eth_link link{};
        if (rte_eth_link_get_nowait(port.id(), &link) == 0 && link.link_status == RTE_ETH_LINK_UP) return {};
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return std::unexpected(fmt::format("port {}: the link is down", port.plan().spec.text));
}

io::Result<std::vector<InterfaceClaim>> claim_interfaces(const Plan &plan) {
    std::vector<InterfaceClaim> claims;
    for (const auto &port : plan.ports) {
        if (port.spec.kind != io::PortKind::kAfXdp) continue;
        auto claim = InterfaceClaim::make(port.spec.name);
        if (!claim) return std::unexpected(claim.error());
        claims.push_back(std::move(*claim));
    }
    return claims;
}

io::Result<io::Eal> start_eal(Plan &plan) {
    const auto scratch = ScratchDirectory::make(std::filesystem::temp_directory_path());
    if (!scratch) return std::unexpected(scratch.error());
    plan.eal.scratch_directory = scratch->path();
    return io::Eal::start(plan.eal);
}

io::Result<std::vector<io::Port>> open_ports(const Plan &plan) {
    std::vector<io::Port> ports;
    for (const auto &port_plan : plan.ports) {
        auto port = io::Port::open(port_plan);
        if (!port) return std::unexpected(port.error());
        ports.push_back(std::move(*port));
    }
    for (auto &port : ports)
        if (auto started = start_port(port); !started) return std::unexpected(started.error());
    return ports;
}

bool can_receive(const io::PortSpec &spec) {
    if (spec.kind == io::PortKind::kNull) return false; // it receives without end what nobody sent
    return spec.kind != io::PortKind::kPcap || !spec.rx_file.empty();
}

Generator::Setup make_setup(const Options &options, std::span<const io::Port> ports) {
    Generator::Setup setup{.send_port = ports.front().id(), .pool = ports.front().pool(0), .receive_queues = {}, .templates = {},
                           .sizes = {}, .opening_share = options.syn_percent / 100, .idle = options.idle,
                           .ticks_per_s = measure_tsc_rate()};
    for (const auto &port : ports) {
        if (!can_receive(port.plan().spec)) continue;
        for (unsigned queue = 0; queue < port.plan().queue_count; ++queue)
            setup.receive_queues.push_back({port.id(), static_cast<std::uint16_t>(queue)});
    }
    const Target target{.gateway_mac = options.gateway_mac, .own_mac = ports.front().mac(), .vip = options.vip,
                        .vip_port = options.vip_port, .protocol = options.protocol};
    std::vector<unsigned> distinct;
    for (const auto size : options.frame_sizes) {
        const auto known = std::ranges::find(distinct, size);
        setup.sizes.push_back(static_cast<wire::u8>(known - distinct.begin()));
        if (known != distinct.end()) continue;
        distinct.push_back(size);
        setup.templates.emplace_back(target, size);
    }
    return setup;
}

/// Records of flows that have ended while their packets may be on their way: those of two seconds.
std::size_t ended_flow_count(const Options &options) {
    const double rate_pps = options.rate_pps != 0 ? options.rate_pps : kUnpacedRate_pps;
    return std::clamp(static_cast<std::size_t>(2 * rate_pps * options.syn_percent / 100), kEndedFlowsMin, kEndedFlowsMax);
}

/// Asked for before DPDK starts, which takes what it needs from the same memory if it is not given hugepages.
io::Result<FlowTable> make_flows(const Options &options, const io::EalOptions &eal) {
    const std::size_t available = io::MemorySupply::read().bytes_available;
    const std::size_t taken = eal.hugepages ? 0 : eal.memory_bytes;
    return FlowTable::make(options.flow_count, ended_flow_count(options), options.source_network, options.vip,
                           available - std::min(available, taken));
}

bool is_one_file(int left, int right) {
    struct stat a{}, b{};
    return ::fstat(left, &a) == 0 && ::fstat(right, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/// The measurement, on a thread of its own.
class Measurement {
  public:
    Measurement(const Options &options, FlowTable flows, Generator::Setup setup, const core::MacAddress &return_mac)
        : flows_(std::move(flows)), generator_(std::move(setup), flows_, stop) {
        report_.options = options;
        report_.expects_return = can_receive(options.return_port.value_or(options.port)) || can_receive(options.port);
        report_.return_mac = return_mac;
        report_.steps_are_shown = !options.prints_json && is_one_file(STDOUT_FILENO, STDERR_FILENO);
    }

    [[nodiscard]] Report run() {
        rte_eal_remote_launch(
            [](void *self) {
                static_cast<Measurement *>(self)->measure();
                return 0;
            },
            this, kMeasuringLcore);
        rte_eal_wait_lcore(kMeasuringLcore);
        if (const auto &path = report_.options.flow_file; !path.empty())
            if (const auto written = write_flows(path, flows_); !written) report_.flow_file_error = written.error();
        return std::move(report_);
    }

  private:
    void measure() {
        const auto &options = report_.options;
        report_.opening = generator_.open_flows(options.open_rate_pps);
        report_.came_back = report_.opening.returned + report_.opening.stale;
        if (is_silent(report_)) std::fputs(("fairlead-pktgen: " + explain_silence(report_) + "\n").c_str(), stderr);
        if (options.searches) search();
        else keep(run_trial(options.rate_pps, options.seconds));
        report_.was_interrupted = stop.load(std::memory_order_relaxed);
    }

    [[nodiscard]] Trial run_trial(double rate_pps, double seconds) {
        const Trial trial = generator_.run_trial(rate_pps, seconds);
        report_.came_back += trial.returned + trial.stale;
        return trial;
    }

    /// For the report, with the backends that its flows came back from: before the next trial takes their records.
    void keep(const Trial &trial) {
        report_.trial = trial;
        report_.backends.clear();
        report_.unknown_flows = 0;
        for (const auto &record : flows_.records()) {
            if (record.returned == 0) continue;
            if (record.backend != 0) ++report_.backends[record.backend];
            else ++report_.unknown_flows;
        }
    }

    void search() {
        const auto &options = report_.options;
        RateSearch search({.rate_max_pps = options.rate_pps, .loss_percent = options.loss_percent, .resolution_percent = options.resolution_percent});
        while (const auto rate_pps = search.next_pps()) {
            const Trial trial = run_trial(*rate_pps, options.trial_seconds);
            if (stop.load(std::memory_order_relaxed)) break; // cut short: evidence for nothing
            const auto before_pps = search.throughput_pps();
            const bool passed = search.judge(trial.outcome());
            report_.steps.push_back({.asked_pps = *rate_pps, .outcome = trial.outcome(), .receive_missed = trial.receive_missed, .passed = passed});
            if (!options.prints_json) std::fputs((format_step(report_.steps.back()) + "\n").c_str(), stderr);
            if (search.throughput_pps() > before_pps || search.throughput_pps() == 0) keep(trial);
        }
        report_.search = search;
    }

    Report report_;
    FlowTable flows_;
    Generator generator_;
};

} // namespace

io::Result<Report> run_session(const Options &options) {
    auto plan = make_plan(options);
    if (!plan) return std::unexpected(plan.error());
    auto flows = make_flows(options, plan->eal);
    if (!flows) return std::unexpected(flows.error());
    take_signals();
    const auto eal = start_eal(*plan);
    if (!eal) return std::unexpected(eal.error());
    const auto claims = claim_interfaces(*plan); // as late as can be: until the driver attaches its program, others may come
    if (!claims) return std::unexpected(claims.error());
    auto ports = open_ports(*plan);
    if (!ports) return std::unexpected(ports.error());
    io::end_log_startup();
    return Measurement(options, std::move(*flows), make_setup(options, *ports), ports->back().mac()).run();
}

} // namespace fairlead::pktgen
