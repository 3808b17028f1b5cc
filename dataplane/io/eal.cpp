// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/eal.hpp"

#include "dataplane/io/log.hpp"

#include <fmt/format.h>
#include <rte_eal.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

// libdpdk's pkg-config file asks for an older CPU level than the rest of the program has.
#if defined(FAIRLEAD_CPU_HAS_AVX2) && !defined(__AVX2__)
#error "io/ is compiled for another CPU level than core/"
#endif

namespace fairlead::io {

std::vector<std::string> eal_arguments(const EalOptions &options) {
    const auto megabytes = [](std::size_t bytes) { return (bytes + (1U << 20) - 1) >> 20; };
    std::vector<std::string> arguments{"fairlead-dataplane", "--no-telemetry", "--lcores", options.placement.lcores()};
    if (options.node_bytes.empty() || !options.hugepages) arguments.insert(arguments.end(), {"-m", fmt::format("{}", megabytes(options.memory_bytes))});
    else {
        std::string by_node;
        for (const auto bytes : options.node_bytes) by_node += (by_node.empty() ? "" : ",") + std::to_string(megabytes(bytes));
        arguments.insert(arguments.end(), {"--socket-mem", by_node});
    }
    // Without hugepages EAL's memory is an anonymous file anyway, and it refuses --in-memory.
    if (options.hugepages) arguments.emplace_back("--in-memory");
    else arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
    if (options.pci_addresses.empty()) {
        arguments.emplace_back("--no-pci");
        arguments.emplace_back("--iova-mode=va"); // no device sees physical addresses
    }
    for (const auto &address : options.pci_addresses) {
        arguments.emplace_back("--allow");
        arguments.push_back(address);
    }
    return arguments;
}

Result<Eal> Eal::start(const EalOptions &options) {
    auto arguments = eal_arguments(options);
    std::vector<char *> pointers;
    for (auto &argument : arguments) pointers.push_back(argument.data());
    // EAL makes this directory in any mode and keeps nothing in it in ours.
    ::setenv("RUNTIME_DIRECTORY", options.scratch_directory.c_str(), 1);
    forget_library_complaint();
    int status = 0;
    {
        const Silence silence; // EAL prints its fatal errors besides logging them
        status = rte_eal_init(static_cast<int>(pointers.size()), pointers.data());
    }
    ::rmdir((options.scratch_directory / "dpdk" / "rte").c_str());
    ::rmdir((options.scratch_directory / "dpdk").c_str());
    if (status >= 0) return Eal();
    return std::unexpected(fmt::format("cannot start DPDK: {} ({} MB of {})", library_complaint(),
                                       options.memory_bytes >> 20, options.hugepages ? "hugepages" : "ordinary memory"));
}

Eal::Eal(Eal &&other) noexcept : running_(std::exchange(other.running_, false)) {}

Eal::~Eal() {
    if (running_) rte_eal_cleanup();
}

} // namespace fairlead::io
