// SPDX-License-Identifier: Apache-2.0
#include "perf/mpps/meter.hpp"

#include "dataplane/io/eal.hpp"
#include "dataplane/io/memory_supply.hpp"
#include "perf/mpps/foreign.hpp"
#include "perf/mpps/generations.hpp"
#include "perf/mpps/lane.hpp"

#include <fmt/format.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <thread>

namespace fairlead::mpps {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kEalBaseBytes = 24U << 20;
constexpr std::size_t kHugepageBytes = 2U << 20;

double median(std::vector<double> values) {
    if (values.empty()) return 0;
    std::ranges::sort(values);
    const auto middle = values.size() / 2;
    return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double percentile(std::vector<double> values, double part) {
    std::ranges::sort(values);
    return values[std::min(values.size() - 1, static_cast<std::size_t>(part * static_cast<double>(values.size())))];
}

/// One kind of round: a pipeline, on all lanes or the first, with updates or without.
struct Kind {
    Pipeline pipeline;
    bool is_updated = false;
    bool is_alone = false;
    std::vector<double> ns{}, per_second{};
};

/// Where what runs, and what memory it takes.
struct Plan {
    io::Placement placement;
    std::vector<io::PortPlan> ports;
    std::size_t eal_bytes, table_bytes;
    io::MemoryNeed need;
};

/// The error says what cannot be had, before anything is taken.
io::Result<Plan> plan(const Options &options) {
    std::vector<unsigned> requested;
    if (!options.lcores.empty()) {
        auto cpus = io::parse_cpu_list(options.lcores);
        if (!cpus) return std::unexpected("--lcores: " + cpus.error());
        requested = std::move(*cpus);
    }
    const auto allowed = io::allowed_cpus();
    if (options.workers > allowed.size())
        return std::unexpected(fmt::format("--workers {}: each needs a CPU of its own to be measured on, and this process may use {}", options.workers, allowed.size()));
    auto placement = io::place(allowed, requested, options.workers, true);
    if (!placement) return std::unexpected(placement.error());

    std::vector<io::PortPlan> ports;
    std::size_t eal_bytes = kEalBaseBytes;
    for (unsigned index = 0; index < options.workers; ++index) {
        auto port = io::plan_port(*io::parse_port_spec("null"), index, options.workers, 1500);
        if (!port) return std::unexpected(port.error());
        if (options.headers == Headers::kCold) port->held_buffer_count = Offer::kColdDepth;
        eal_bytes += port->memory_bytes();
        ports.push_back(std::move(*port));
    }
    const auto table_bytes = core::connection_memory_bytes<core::CompactKey>(options.table_entries);
    io::MemoryNeed need{.eal = {{eal_bytes}}};
    need.tables.resize(options.workers, io::MemoryNeed::Piece{table_bytes + io::kTableHeaderSize});

    const auto supply = io::MemorySupply::read();
    const std::size_t available = supply.bytes_available + supply.hugepage_bytes_free();
    const std::size_t witness_bytes = sizeof(wire::u32) * options.flows * options.workers;
    if (const std::size_t bytes = need.memory_bytes() + witness_bytes; bytes > available)
        return std::unexpected(fmt::format("--table {} with --workers {} takes {} MB of memory, {} MB are available: a smaller --table, or fewer --workers",
                                           options.table_entries, options.workers, (bytes >> 20) + 1, available >> 20));
    return Plan{std::move(*placement), std::move(ports), eal_bytes, table_bytes, std::move(need)};
}

class Meter {
  public:
    explicit Meter(const Options &options) : options_(options) {}

    io::Result<void> prepare();
    Measurement run();

  private:
    void launch(unsigned first, unsigned count);
    void pass(std::uint8_t tcp_flags);
    void run_round(Kind &kind);
    void publish(Clock::time_point begin, Clock::time_point end);
    [[nodiscard]] std::uint64_t sum(wire::u64 wire::WorkerCounters::*counter) const;
    [[nodiscard]] std::uint64_t offered() const;
    [[nodiscard]] std::vector<Kind> kinds() const;
    [[nodiscard]] Measurement conclude(const std::vector<Kind> &kinds) const;

    const Options &options_;
    std::optional<io::Eal> eal_;
    std::vector<io::Port> ports_;
    std::optional<io::CountersFile> counters_;
    std::optional<io::GenerationStore> store_;
    std::optional<io::Adoption> adoption_;
    std::optional<Generations> generations_;
    std::atomic<bool> stop_{false};
    std::vector<std::unique_ptr<Lane>> lanes_;
    bool hugepages_ = false;

    std::uint64_t full_offered_ = 0, full_sent_ = 0, full_new_ = 0;
    double full_seconds_ = 0;
    std::vector<double> reach_us_;
};

io::Result<void> Meter::prepare() {
    auto planned = plan(options_);
    if (!planned) return std::unexpected(planned.error());
    auto &[placement, plans, eal_bytes, table_bytes, need] = *planned;
    const auto memory = io::choose_memory(io::HugepageUse::kAuto, need, io::MemorySupply::read());
    if (!memory) return std::unexpected(memory.error());
    hugepages_ = memory->hugepages;
    auto eal = io::Eal::start({.placement = placement, .hugepages = hugepages_, .memory_bytes = eal_bytes, .pci_addresses = {},
                               .scratch_directory = std::filesystem::temp_directory_path()});
    if (!eal) return std::unexpected(eal.error());
    eal_.emplace(std::move(*eal));

    auto counters = io::CountersFile::create(options_.workers);
    if (!counters) return std::unexpected(counters.error());
    counters_.emplace(std::move(*counters));
    store_.emplace(options_.workers);
    adoption_.emplace(*store_, counters_->header(), std::span<io::Steering>());
    generations_.emplace(options_, *adoption_, counters_->header());
    for (auto &plan : plans) {
        auto port = io::Port::open(plan);
        if (!port) return std::unexpected(port.error());
        ports_.push_back(std::move(*port));
    }
    for (unsigned index = 0; index < options_.workers; ++index) {
        auto table = io::TableMemory::allocate(table_bytes, memory->place.page_bytes);
        if (!table) return std::unexpected(table.error());
        lanes_.push_back(std::make_unique<Lane>(options_, index, ports_[index], std::move(*table), counters_->worker(index), *store_, stop_));
        if (auto started = ports_[index].start(); !started) return started;
    }
    return {};
}

/// Has lanes do what was planned for them, each on its own lcore.
void Meter::launch(unsigned first, unsigned count) {
    stop_.store(false, std::memory_order_relaxed);
    for (unsigned index = first; index < first + count; ++index) // lcore 0 is the main thread
        rte_eal_remote_launch([](void *lane) { static_cast<Lane *>(lane)->run(); return 0; }, lanes_[index].get(), index + 1);
}

/// Lane by lane, since each stops all.
void Meter::pass(std::uint8_t tcp_flags) {
    for (unsigned index = 0; index < lanes_.size(); ++index) {
        lanes_[index]->plan_pass(tcp_flags);
        launch(index, 1);
        rte_eal_mp_wait_lcore();
    }
}

std::uint64_t Meter::sum(wire::u64 wire::WorkerCounters::*counter) const {
    std::uint64_t sum = 0;
    for (const auto &lane : lanes_) sum += lane->counters().*counter;
    return sum;
}

std::uint64_t Meter::offered() const {
    std::uint64_t sum = 0;
    for (const auto &lane : lanes_) sum += lane->offered();
    return sum;
}

/// Publishes at the rate asked for, and notes how long each generation takes to reach all workers.
void Meter::publish(Clock::time_point begin, Clock::time_point end) {
    const auto period = std::chrono::nanoseconds(std::chrono::seconds(1)) / options_.updates_per_second;
    for (auto next = begin + period / 2; next < end; next += period) { // half: as many before the first as after the last
        std::this_thread::sleep_until(next);
        adoption_->tidy();
        const auto released = generations_->publish_next();
        const auto has_arrived = [&](const auto &lane) {
            return __atomic_load_n(&lane->counters().generation, __ATOMIC_RELAXED) == generations_->number();
        };
        const auto deadline = released + std::chrono::seconds(1);
        while (!std::ranges::all_of(lanes_, has_arrived) && Clock::now() < deadline) _mm_pause();
        reach_us_.push_back(std::chrono::duration<double, std::micro>(Clock::now() - released).count());
    }
    std::this_thread::sleep_until(end);
}

void Meter::run_round(Kind &kind) {
    const auto sent = [&] { return sum(&wire::WorkerCounters::forwarded_packets); };
    const std::uint64_t offered_before = offered(), sent_before = sent();
    const std::uint64_t new_before = sum(&wire::WorkerCounters::connections_opened);
    const unsigned lane_count = kind.is_alone ? 1 : static_cast<unsigned>(lanes_.size());
    for (const auto &lane : lanes_) lane->plan(kind.pipeline);
    const auto begin = Clock::now(), end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.seconds / options_.rounds));
    launch(0, lane_count);
    if (kind.is_updated) publish(begin, end);
    else std::this_thread::sleep_until(end);
    stop_.store(true, std::memory_order_relaxed);
    rte_eal_mp_wait_lcore();

    double per_second = 0, ns = 0;
    for (unsigned index = 0; index < lane_count; ++index) {
        per_second += lanes_[index]->round().per_second();
        ns += lanes_[index]->round().ns() / lane_count;
    }
    kind.per_second.push_back(per_second);
    kind.ns.push_back(ns);
    if (kind.pipeline != Pipeline::kFull) return;
    full_offered_ += offered() - offered_before;
    full_sent_ += sent() - sent_before;
    if (!kind.is_alone) {
        full_new_ += sum(&wire::WorkerCounters::connections_opened) - new_before;
        full_seconds_ += lanes_[0]->round().seconds;
    }
    if (options_.new_flows_percent != 0)
        for (const auto &lane : lanes_) lane->forget_new_flows(*store_->current());
}

std::vector<Kind> Meter::kinds() const {
    const auto has = [&](Pipelines one) { return options_.pipelines == Pipelines::kAll || options_.pipelines == one; };
    std::vector<Kind> kinds;
    if (has(Pipelines::kIo)) kinds.push_back({.pipeline = Pipeline::kIo});
    if (has(Pipelines::kMacswap)) kinds.push_back({.pipeline = Pipeline::kMacswap});
    if (!has(Pipelines::kFull)) return kinds;
    kinds.push_back({.pipeline = Pipeline::kFull});
    if (options_.updates_per_second != 0) kinds.push_back({.pipeline = Pipeline::kFull, .is_updated = true});
    if (options_.workers > 1) {
        kinds.push_back({.pipeline = Pipeline::kFull, .is_alone = true});
        kinds.push_back({.pipeline = Pipeline::kArithmetic, .is_alone = true});
        kinds.push_back({.pipeline = Pipeline::kArithmetic});
    }
    return kinds;
}

Measurement Meter::run() {
    generations_->publish_first();
    for (const std::uint8_t flags : {std::uint8_t{wire::kTcpSyn}, std::uint8_t{wire::kTcpAck}}) pass(flags);
    const std::uint64_t moved_before = [&] { std::uint64_t n = 0; for (auto &lane : lanes_) n += lane->moved(); return n; }();
    auto kinds = this->kinds();
    for (auto &kind : kinds) run_round(kind); // warms up
    for (auto &kind : kinds) kind.ns.clear(), kind.per_second.clear();
    full_offered_ = full_sent_ = full_new_ = 0;
    full_seconds_ = 0;
    reach_us_.clear();
    const std::uint64_t by_connection_before = sum(&wire::WorkerCounters::by_connection), forwarded_before = sum(&wire::WorkerCounters::forwarded_packets);
    const ForeignWork foreign;
    for (unsigned round = 0; round < options_.rounds; ++round)
        for (auto &kind : kinds) run_round(kind);
    Measurement result = conclude(kinds);
    result.foreign_percent = foreign.percent();
    if (const auto forwarded = sum(&wire::WorkerCounters::forwarded_packets) - forwarded_before; forwarded != 0)
        result.by_connection = static_cast<double>(sum(&wire::WorkerCounters::by_connection) - by_connection_before) / static_cast<double>(forwarded);
    pass(wire::kTcpAck);
    for (const auto &lane : lanes_) result.broken += lane->moved();
    result.broken -= moved_before;
    result.generations = reach_us_.size();
    return result;
}

Measurement Meter::conclude(const std::vector<Kind> &kinds) const {
    const auto find = [&](Pipeline pipeline, bool is_updated = false, bool is_alone = false) -> const Kind * {
        const auto it = std::ranges::find_if(kinds, [&](const Kind &k) { return k.pipeline == pipeline && k.is_updated == is_updated && k.is_alone == is_alone; });
        return it == kinds.end() ? nullptr : &*it;
    };
    const auto ns = [&](const Kind *kind) { return kind ? std::optional(median(kind->ns)) : std::nullopt; };
    /// The median, over rounds, of one's figure combined with the other's of the same round.
    const auto paired = [&](const Kind *a, const Kind *b, auto values, auto combine) -> std::optional<double> {
        if (!a || !b) return std::nullopt;
        std::vector<double> combined;
        for (std::size_t i = 0; i < (a->*values).size(); ++i) combined.push_back(combine((a->*values)[i], (b->*values)[i]));
        return median(combined);
    };
    const auto ratio = [](double a, double b) { return a / b; };
    const Kind *full = find(Pipeline::kFull), *macswap = find(Pipeline::kMacswap), *io = find(Pipeline::kIo);

    Measurement m;
    m.full_ns = ns(full);
    m.macswap_ns = ns(macswap);
    m.io_ns = ns(io);
    m.net_ns = paired(full, io, &Kind::ns, [](double a, double b) { return a - b; });
    m.full_to_macswap = paired(full, macswap, &Kind::ns, ratio);
    for (const Kind *shown : {full, macswap, io})
        if (shown) {
            m.mpps = median(shown->per_second) / 1e6;
            break;
        }
    m.packets = full_offered_;
    m.lost = full_offered_ - full_sent_;
    m.new_flows_per_s = full_seconds_ > 0 ? static_cast<double>(full_new_) / full_seconds_ : 0;
    const Kind *updated = find(Pipeline::kFull, true);
    m.updated_ns = ns(updated);
    if (const auto cost = paired(updated, full, &Kind::ns, ratio)) m.update_cost_percent = 100 * (*cost - 1);
    if (!reach_us_.empty()) m.reach_p99_us = percentile(reach_us_, 0.99);
    m.scaling = paired(full, find(Pipeline::kFull, false, true), &Kind::per_second, ratio);
    m.arithmetic_scaling = paired(find(Pipeline::kArithmetic), find(Pipeline::kArithmetic, false, true), &Kind::per_second, ratio);
    m.hugepages = hugepages_;
    return m;
}

} // namespace

io::Result<std::size_t> hugepages_needed(const Options &options) {
    const auto planned = plan(options);
    if (!planned) return std::unexpected(planned.error());
    return planned->need.hugepage_bytes(kHugepageBytes) / kHugepageBytes;
}

io::Result<Measurement> measure(const Options &options) {
    Meter meter(options);
    if (auto prepared = meter.prepare(); !prepared) return std::unexpected(prepared.error());
    return meter.run();
}

} // namespace fairlead::mpps
