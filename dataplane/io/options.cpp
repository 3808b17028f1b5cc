// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/options.hpp"

#include "dataplane/io/choice.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdio>

namespace fairlead::io {

namespace {

constexpr unsigned kWorkerCountMax = 64;
constexpr unsigned kPortCountMax = 16;
constexpr unsigned kWideConnectionsDefaultMax = 1U << 20;
constexpr unsigned kMtuMin = 576; // RFC 791: what every host must take
constexpr unsigned kMtuMax = 9216;

Exit refuse(const std::string &why) {
    fmt::print(stderr, "fairlead-dataplane: {}\n", why);
    return {EX_USAGE};
}

} // namespace

std::variant<Options, Exit> parse_options(int argc, const char *const *argv) {
    Options options;
    std::vector<std::string> ports;
    std::string lcores;
    CLI::App app{"The DPDK dataplane of Fairlead: forwards packets for virtual addresses to backends.", "fairlead-dataplane"};
    app.set_version_flag("--version", FAIRLEAD_VERSION);
    app.add_option("--port", ports, "af_xdp:IFACE, pcap:rx=FILE,tx=FILE, ring:NAME, null or pci:ADDRESS[,twin=NAME|none]; repeat for more")
        ->required()
        ->allow_extra_args(false);
    app.add_option("--workers", options.worker_count, "forwarding threads; port i is served by worker i modulo this")
        ->check(CLI::Range(1U, kWorkerCountMax));
    app.add_option("--lcores", lcores, "CPUs of the workers, such as 2,4-6; as many workers as CPUs unless --workers says more");
    app.add_option("--runtime-dir", options.runtime_directory, "where the control socket is")->capture_default_str();
    app.add_option("--table-directory", options.table_directory,
                   "where the connection tables are, for a restart to find them: on hugetlbfs or tmpfs; default: the hugetlbfs mount of the smallest "
                   "pages of which enough are free if hugepages are used, else --runtime-dir if it is on tmpfs, else /dev/shm");
    app.add_option("--state-directory", options.state_directory,
                   "where the copy of the last generation is, to start with before fairleadd is there; default: --runtime-dir");
    app.add_flag("--forget", options.forgets,
                 "keep nothing for the next start, neither connections nor the last generation, and remove what is kept");
    app.add_option("--idle", options.idle, "poll: never sleep; backoff: sleep up to 100 us when there is nothing to do")
        ->transform(one_of<Idle>({{"poll", Idle::kPoll}, {"backoff", Idle::kBackoff}}))
        ->option_text("poll|backoff=poll");
    app.add_option("--connections", options.connections, "connections that a worker remembers for certain, 18.8 bytes each; then it begins to give up half-open ones")
        ->check(CLI::Range(1024U, 1U << 30))
        ->capture_default_str();
    app.add_option("--wide-connections", options.wide_connections,
                   "the same for services with `port: any`, 37.6 bytes each; default: --connections, but at most 1048576")
        ->check(CLI::Range(1024U, 1U << 30));
    app.add_option("--memory", options.memory_mb, "MB for packet buffers; default: what the ports need")
        ->check(CLI::Range(16U, 1U << 20));
    app.add_option("--hugepages", options.hugepages, "auto: where enough are free")
        ->transform(one_of<HugepageUse>({{"auto", HugepageUse::kAuto}, {"on", HugepageUse::kOn}, {"off", HugepageUse::kOff}}))
        ->option_text("auto|on|off=auto");
    app.add_option("--distribute", options.distribute,
                   "on: who receives hands flows on to all workers; auto: where a NIC has fewer queues than there are workers")
        ->transform(one_of<Distribute>({{"auto", Distribute::kAuto}, {"on", Distribute::kOn}, {"off", Distribute::kOff}}))
        ->option_text("auto|on|off=auto");
    app.add_option("--numa", options.numa, "strict: the workers run on the NICs' NUMA node; any: wherever --lcores says, with a warning")
        ->transform(one_of<NumaUse>({{"strict", NumaUse::kStrict}, {"any", NumaUse::kAny}}))
        ->option_text("strict|any=strict");
    app.add_option("--mtu", options.mtu, "bytes of the longest IP packet that may leave; default: the port's")
        ->check(CLI::Range(kMtuMin, kMtuMax));
    app.add_option("--log-level", options.log_level, "what to log")
        ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
        ->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        if (error.get_exit_code() == 0) return Exit{app.exit(error)};
        return refuse(error.what());
    }

    if (ports.size() > kPortCountMax) return refuse(fmt::format("--port: {} ports, at most {}", ports.size(), kPortCountMax));
    for (const auto &text : ports) {
        auto spec = parse_port_spec(text);
        if (!spec) return refuse(spec.error());
        for (const auto &other : options.ports)
            if ((other.text == spec->text && spec->kind != PortKind::kNull) || (spec->kind == PortKind::kPci && other.name == spec->name))
                return refuse(fmt::format("--port {}: given twice", text));
        options.ports.push_back(std::move(*spec));
    }
    if (options.wide_connections == 0) options.wide_connections = std::min(options.connections, kWideConnectionsDefaultMax);
    if (options.state_directory.empty()) options.state_directory = options.runtime_directory;
    if (!lcores.empty()) {
        auto cpus = parse_cpu_list(lcores);
        if (!cpus) return refuse("--lcores: " + cpus.error());
        options.lcores = std::move(*cpus);
    }
    return options;
}

} // namespace fairlead::io
