// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/counters_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace fairlead::io {

namespace {

constexpr std::size_t kPageBytes = 4096;

constexpr std::size_t round_up(std::size_t size) { return (size + kPageBytes - 1) & ~(kPageBytes - 1); }

// Whole pages for each worker: no two workers write one page, and what is unused takes no memory.
constexpr std::size_t kPortsOffset = sizeof(wire::CountersHeader);
constexpr std::size_t worker_offset(std::size_t port_count) { return round_up(kPortsOffset + port_count * sizeof(wire::PortCounters)); }
constexpr std::size_t kWorkerStride = round_up(sizeof(wire::CounterBlock));

std::unexpected<std::string> memory_file_error(const char *what) {
    return std::unexpected(fmt::format("cannot {} the counters' memory file: {}", what, std::strerror(errno)));
}

} // namespace

Result<CountersFile> CountersFile::create(unsigned worker_count, std::span<const std::string> ports) {
    const std::size_t size = worker_offset(ports.size()) + worker_count * kWorkerStride;
    const Descriptor writer(::memfd_create("fairlead-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!writer) return memory_file_error("make");
    if (::ftruncate(writer.get(), static_cast<off_t>(size)) != 0) return memory_file_error("size");
    void *address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, writer.get(), 0);
    if (address == MAP_FAILED) return memory_file_error("map");
    CountersFile file({static_cast<std::byte *>(address), size}, Descriptor());

    // FUTURE_WRITE: this mapping is the last that can write, even for who reopens the descriptor through /proc.
    if (::fcntl(writer.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0)
        return memory_file_error("seal");
    file.reader_ = Descriptor(::open(fmt::format("/proc/self/fd/{}", writer.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.reader_) return memory_file_error("reopen");

    const auto now = std::chrono::system_clock::now().time_since_epoch();
    wire::CountersHeader &header = file.header();
    header.magic = FAIRLEAD_COUNTERS_MAGIC;
    header.abi = wire::kCountersAbi;
    header.worker_count = worker_count;
    header.worker_offset = worker_offset(ports.size());
    header.worker_stride = kWorkerStride;
    header.size = size;
    header.started_unix_ns = static_cast<wire::u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
    if (ports.empty()) return file;
    header.ports_offset = kPortsOffset;
    header.port_count = ports.size();
    for (unsigned i = 0; i < ports.size(); ++i) ports[i].copy(file.port(i).name, sizeof(wire::PortCounters::name) - 1);
    return file;
}

CountersFile::~CountersFile() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

wire::CountersHeader &CountersFile::header() const { return *reinterpret_cast<wire::CountersHeader *>(bytes_.data()); }

wire::CounterBlock &CountersFile::worker(unsigned index) const {
    return *reinterpret_cast<wire::CounterBlock *>(bytes_.data() + header().worker_offset + index * kWorkerStride);
}

wire::PortCounters &CountersFile::port(unsigned index) const {
    return *reinterpret_cast<wire::PortCounters *>(bytes_.data() + kPortsOffset + index * sizeof(wire::PortCounters));
}

} // namespace fairlead::io
