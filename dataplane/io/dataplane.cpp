// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/dataplane.hpp"

#include "dataplane/core/key_digest.hpp"
#include "dataplane/io/control_server.hpp"
#include "dataplane/io/distribution.hpp"
#include "dataplane/io/eal.hpp"
#include "dataplane/io/generation_copy.hpp"
#include "dataplane/io/inheritance.hpp"
#include "dataplane/io/log.hpp"
#include "dataplane/io/numa.hpp"
#include "dataplane/io/plan.hpp"
#include "dataplane/io/port.hpp"
#include "dataplane/io/port_watch.hpp"
#include "dataplane/io/runtime_directory.hpp"
#include "dataplane/io/service_notifier.hpp"
#include "dataplane/io/table_directory.hpp"
#include "dataplane/io/worker.hpp"

#include <fmt/format.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace fairlead::io {

namespace {

constexpr int kTidyPeriod_ms = 2;                // while something waits for a grace period
constexpr int kCountPeriod_ms = 1000;            // otherwise: the steering programs' counts are read

/// SIGTERM and SIGINT as a descriptor; blocked for this thread and for those that it starts later.
Result<Descriptor> take_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    ::signal(SIGPIPE, SIG_IGN); // a log that nobody reads any more, or
    ::signal(SIGHUP, SIG_IGN);  // a terminal that hangs up, is no reason to stop forwarding
    if (::pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) return std::unexpected("cannot block signals");
    Descriptor descriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!descriptor) return std::unexpected(fmt::format("cannot wait for signals: {}", std::strerror(errno)));
    return descriptor;
}

Result<std::vector<Steering>> prepare_steering(Plan &plan, const std::filesystem::path &directory) {
    std::vector<Steering> steerings;
    for (auto &port : plan.ports) {
        if (port.spec.kind != PortKind::kAfXdp) continue;
        auto steering = Steering::prepare(port.spec.name, directory);
        if (!steering) return std::unexpected(steering.error());
        if (steering->was_stale()) spdlog::info("port {}: took a killed dataplane's program off the interface", port.spec.text);
        port.steer_object = steering->object_path();
        steerings.push_back(std::move(*steering));
    }
    Steering::clear_leftovers(directory, steerings);
    return steerings;
}

Result<Eal> start_eal(const Plan &plan, const std::filesystem::path &directory) {
    EalOptions options{.placement = plan.placement, .hugepages = plan.hugepages, .memory_bytes = plan.eal_bytes,
                       .node_bytes = plan.eal_node_bytes,
                       .pci_addresses = {}, .scratch_directory = directory};
    for (const auto &port : plan.ports)
        if (port.spec.kind == PortKind::kPci) options.pci_addresses.push_back(port.spec.name);
    return Eal::start(options);
}

/// The kernel takes a killed process's AF_XDP sockets off their queues a moment after its end: until then they are busy.
Result<Port> open_port(const PortPlan &plan, bool was_stale) {
    constexpr auto kRetry = std::chrono::milliseconds(50);
    for (int attempts_left = was_stale ? 40 : 0;; --attempts_left) {
        auto port = Port::open(plan);
        if (port || attempts_left == 0) return port;
        std::this_thread::sleep_for(kRetry);
    }
}

Result<std::vector<Port>> open_ports(const Plan &plan, std::span<Steering> steerings) {
    std::vector<Port> ports;
    for (const auto &port_plan : plan.ports) {
        const auto steering = std::ranges::find(steerings, port_plan.spec.name, &Steering::interface);
        const bool steered = port_plan.spec.kind == PortKind::kAfXdp;
        auto port = open_port(port_plan, steered && steering->was_stale());
        if (!port) return std::unexpected(port.error());
        if (steered)
            if (auto attached = steering->attached(); !attached) return std::unexpected(attached.error());
        ports.push_back(std::move(*port));
    }
    return ports;
}

Result<CountersFile> make_counters(const Plan &plan) {
    std::vector<std::string> names;
    for (const auto &port : plan.ports) names.push_back(port.spec.text);
    return CountersFile::create(plan.worker_count(), names);
}

Result<Twins> open_twins(std::span<const Port> ports, const CountersFile &counters, unsigned worker_count) {
    Twins twins;
    for (const auto &port : ports) {
        const auto &plan = port.plan();
        twins.emplace_back();
        if (plan.twin.empty()) continue;
        auto twin = Twin::open({.name = plan.twin, .mac = port.mac(), .mtu = plan.mtu, .worker_count = worker_count, .counters = &counters.port(plan.index)});
        if (!twin) return std::unexpected(fmt::format("port {}: {}", plan.spec.text, twin.error()));
        twins.back() = std::move(*twin);
    }
    return twins;
}

std::vector<std::unique_ptr<Worker>> make_workers(const Options &options, const Plan &plan, const Distribution &distribution,
                                                  const CountersFile &counters, GenerationStore &store,
                                                  const std::atomic<bool> &stop, TableDirectory::Tables &tables) {
    std::vector<std::unique_ptr<Worker>> workers;
    for (unsigned index = 0; index < plan.worker_count(); ++index) {
        const auto &queues = distribution.queues_of(index);
        if (queues.empty()) spdlog::warn("worker {} has no queue to serve: fewer workers would do", index);
        workers.push_back(std::make_unique<Worker>(
            Worker::Setup{.index = index, .counters = counters.worker(index), .mtu = options.mtu != 0 ? options.mtu : distribution.mtu_of(index), .idle = options.idle,
                          .queues = queues, .connections = std::move(tables.compact[index]),
                          .wide_connections = std::move(tables.wide[index]), .counts_inherited = index == 0},
            store, stop));
    }
    return workers;
}

Result<TableDirectory::Tables> take_tables(const Options &options, const Plan &plan, const TableDirectory &directory) {
    const NearNode near(plan.node);
    return options.forgets ? TableDirectory::allocate(plan.tables, plan.place.page_bytes) : directory.take(plan.tables, plan.place);
}

int adopt_table(void *worker) {
    static_cast<Worker *>(worker)->adopt();
    return 0;
}

/// Each worker takes over the connections that are in its tables already, on its own CPU.
void adopt_tables(std::span<const std::unique_ptr<Worker>> workers, bool was_killed) {
    for (unsigned index = 0; index < workers.size(); ++index)
        rte_eal_remote_launch(adopt_table, workers[index].get(), index + 1);
    rte_eal_mp_wait_lcore();
    core::TableAdoption sum;
    for (const auto &worker : workers) {
        sum.entries += worker->adopted().entries;
        sum.duplicates += worker->adopted().duplicates;
        sum.unsound += worker->adopted().unsound;
    }
    spdlog::info("adopted {} connections of a dataplane that {}; dropped {} interrupted moves and {} unsound entries", sum.entries,
                 was_killed ? "was killed" : "has ended", sum.duplicates, sum.unsound);
}

/// Says it when the workers empty their tables: these were filled under another seed.
class SeedWatch {
  public:
    explicit SeedWatch(wire::u64 key_digest) : key_digest_(key_digest) {}
    void look(const core::Generation *generation) {
        if (generation == nullptr || generation->number() == number_) return;
        number_ = generation->number();
        const auto digest = core::key_digest(generation->hash_key());
        if (key_digest_ != 0 && digest != key_digest_) spdlog::warn("generation {} has another seed: all connections are forgotten", number_);
        key_digest_ = digest;
    }

  private:
    wire::u64 key_digest_; ///< of the tables' entries; 0: there are none
    wire::u64 number_ = 0;
};

void restore(GenerationCopy &copy, Adoption &adoption) {
    const auto number = copy.restore(adoption);
    if (!number) spdlog::warn("starts without a generation: the copy of the last one cannot be used: {}", number.error());
    else if (*number != 0) spdlog::info("generation {} runs, from the copy on disk, until the control plane has another", *number);
}

int run_worker(void *worker) {
    static_cast<Worker *>(worker)->run();
    return 0;
}

/// The workers' threads, for as long as this lives.
class RunningWorkers {
  public:
    RunningWorkers(std::span<const std::unique_ptr<Worker>> workers, std::atomic<bool> &stop) : stop_(stop) {
        for (unsigned index = 0; index < workers.size(); ++index)
            rte_eal_remote_launch(run_worker, workers[index].get(), index + 1); // lcore 0 is the main thread
    }
    ~RunningWorkers() {
        stop_.store(true, std::memory_order_relaxed);
        rte_eal_mp_wait_lcore();
    }
    RunningWorkers(const RunningWorkers &) = delete;
    RunningWorkers &operator=(const RunningWorkers &) = delete;

  private:
    std::atomic<bool> &stop_;
};

} // namespace

Result<void> run_dataplane(const Options &options) {
    auto directory = RuntimeDirectory::take(options.runtime_directory);
    if (!directory) return std::unexpected(directory.error());
    const TableDirectory table_directory(directory->path(), options.table_directory);
    if (options.forgets) {
        table_directory.forget();
        GenerationCopy::forget(options.state_directory);
    }
    auto plan = make_plan(options, table_directory);
    if (!plan) return std::unexpected(plan.error());
    const auto signals = take_signals();
    if (!signals) return std::unexpected(signals.error());
    auto steerings = prepare_steering(*plan, directory->path());
    if (!steerings) return std::unexpected(steerings.error());
    const auto eal = start_eal(*plan, directory->path());
    if (!eal) return std::unexpected(eal.error());
    auto ports = open_ports(*plan, *steerings);
    if (!ports) return std::unexpected(ports.error());
    plan->tables.spread = spread_of(*ports, plan->worker_count(), options.distribute);
    if (auto enough = check_left_tables(*plan, table_directory); !enough) return std::unexpected(enough.error());
    const auto counters = make_counters(*plan);
    if (!counters) return std::unexpected(counters.error());

    GenerationStore store(plan->worker_count());
    std::atomic<bool> stop{false};
    auto tables = take_tables(options, *plan, table_directory);
    if (!tables) return std::unexpected(tables.error());
    Adoption adoption(store, counters->header(), *steerings);
    auto server = ControlServer::listen(directory->path() / "dataplane.sock", adoption,
                                        {.worker_count = plan->worker_count(), .counters_descriptor = counters->reader_descriptor(),
                                         .counters_size = counters->size()});
    if (!server) return std::unexpected(server.error());
    const auto twins = open_twins(*ports, *counters, plan->worker_count());
    if (!twins) return std::unexpected(twins.error());
    const auto distribution = Distribution::make(*ports, *twins, plan->worker_count(), options.distribute);
    if (!distribution) return std::unexpected(distribution.error());
    for (auto &port : *ports)
        if (auto started = port.start(); !started) return std::unexpected(started.error());

    auto copy = options.forgets ? Result<std::unique_ptr<GenerationCopy>>() : GenerationCopy::open(options.state_directory);
    if (!copy) return std::unexpected(copy.error());

    tables->keep(); // from here on nothing fails
    Inheritance inheritance(store, std::move(tables->inherited));
    const auto workers = make_workers(options, *plan, *distribution, *counters, store, stop, *tables);
    if (tables->has_found()) adopt_tables(workers, tables->were_in_use);
    if (*copy) restore(**copy, adoption);
    TscClock clock;
    inheritance.look(clock.now_ns());
    SeedWatch seed_watch(tables->key_digest);

    PortWatch watch(*ports, *twins, *counters, store);
    const RunningWorkers running(workers, stop);
    end_log_startup();
    spdlog::info("forwards on {} port(s) with {} worker(s), {}; control socket in {}", ports->size(), plan->worker_count(),
                 plan->hugepages ? "hugepages" : "no hugepages", directory->path().string());
    spdlog::info("connection tables: {}", tables->place.empty() ? "in this process's memory, lost with it" : tables->place);
    ServiceNotifier service_notifier(store, fmt::format("{} worker(s) on {} port(s)", plan->worker_count(), ports->size()));
    service_notifier.serves(clock.now_ns());
    const int quiet_ms = watch.is_needed() ? PortWatch::kPeriod_ms : kCountPeriod_ms;
    while (!server->serve(signals->get(), adoption.is_tidy() ? quiet_ms : kTidyPeriod_ms)) {
        watch.look();
        if (*copy) (*copy)->follow(store);
        seed_watch.look(store.current());
        clock.set_right();
        inheritance.look(clock.now_ns());
        service_notifier.look(clock.now_ns());
        if (adoption.is_tidy()) adoption.count_steered();
        else adoption.tidy();
    }
    service_notifier.ends();
    if (*copy) (*copy)->follow(store);
    spdlog::info("ends{}", server->is_asked_to_stop() ? ", as its control socket was told" : "");
    return {};
}

} // namespace fairlead::io
