// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <span>
#include <type_traits>

#include "controlplane/publish/counters_reader.hpp"

namespace fairlead::publish {
namespace {

using wire::GenerationCounters;
using wire::CounterBlock;
using wire::WorkerCounters;

constexpr std::uint32_t kWorkerCountMax = 1024; ///< more lcores than any machine that DPDK 22.11 starts on

/// Copies a struct of counters word by word, so that no counter is torn: its writer is another process.
template <class Counters> Counters load(const Counters &from) {
    static_assert(std::is_trivially_copyable_v<Counters> && sizeof(Counters) % 8 == 0 && alignof(Counters) == 8);
    constexpr std::size_t kWords = sizeof(Counters) / 8;
    const auto *source = reinterpret_cast<const std::uint64_t *>(&from);
    std::uint64_t words[kWords];
    for (std::size_t i = 0; i < kWords; ++i) words[i] = __atomic_load_n(source + i, __ATOMIC_RELAXED);
    Counters counters;
    std::memcpy(&counters, words, sizeof(counters));
    return counters;
}

/// Adds all words: for structs that hold nothing but counts. Wraps like the counters do, so a gauge that
/// one worker counted up and another down comes out right.
template <class Counters> void add(Counters &sum, const Counters &more) {
    constexpr std::size_t kWords = sizeof(Counters) / 8;
    std::uint64_t left[kWords];
    std::uint64_t right[kWords];
    std::memcpy(left, &sum, sizeof(sum));
    std::memcpy(right, &more, sizeof(more));
    for (std::size_t i = 0; i < kWords; ++i) left[i] += right[i];
    std::memcpy(&sum, left, sizeof(sum));
}

/// What is wrong with the layout that the header claims; empty: nothing.
std::string check_layout(const wire::CountersHeader &header, std::uint64_t size) {
    if (header.magic != FAIRLEAD_COUNTERS_MAGIC) return "they are no counters file";
    if (header.abi != wire::kCountersAbi)
        return fmt::format("they are of ABI {}, this program reads ABI {}", header.abi,
                           static_cast<int>(wire::kCountersAbi));
    if (header.size != size) return fmt::format("their header says {} bytes, the dataplane {}", header.size, size);
    if (header.worker_count == 0 || header.worker_count > kWorkerCountMax)
        return fmt::format("{} workers", header.worker_count);
    if (header.worker_offset < sizeof(header) || header.worker_offset % 8 != 0 || header.worker_offset > size)
        return fmt::format("workers start at byte {}", header.worker_offset);
    if (header.worker_stride < sizeof(CounterBlock) || header.worker_stride % 8 != 0)
        return fmt::format("a worker takes {} bytes, not {}", header.worker_stride, sizeof(CounterBlock));
    if ((size - header.worker_offset) / header.worker_stride < header.worker_count)
        return fmt::format("{} workers do not fit in {} bytes", header.worker_count, size);
    if (header.ports_offset != 0 && (header.ports_offset < sizeof(header) || header.ports_offset % 8 != 0 || header.ports_offset > header.worker_offset ||
                                     (header.worker_offset - header.ports_offset) / sizeof(wire::PortCounters) < header.port_count))
        return fmt::format("{} ports do not fit at byte {}", header.port_count, header.ports_offset);
    return {};
}

} // namespace

std::expected<std::shared_ptr<const CountersMap>, Error> CountersMap::map(Descriptor file, std::uint64_t size) {
    const auto refuse = [](const std::string &why) {
        return std::unexpected(error_of("cannot read the dataplane's counters: " + why));
    };
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return refuse(std::strerror(errno));
    // A file that could shrink under the mapping would end this process by SIGBUS.
    const int seals = ::fcntl(file.get(), F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) return refuse("their file is not sealed against shrinking");
    if (size < sizeof(wire::CountersHeader) || static_cast<std::uint64_t>(status.st_size) < size)
        return refuse(fmt::format("their file has {} bytes, the dataplane says {}", status.st_size, size));
    void *base = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (base == MAP_FAILED) return refuse(std::strerror(errno));

    std::shared_ptr<CountersMap> map(new CountersMap(static_cast<const std::byte *>(base), size));
    const wire::CountersHeader header = map->header();
    if (const std::string wrong = check_layout(header, size); !wrong.empty()) return refuse(wrong);
    map->worker_count_ = header.worker_count;
    map->worker_offset_ = header.worker_offset;
    map->worker_stride_ = header.worker_stride;
    map->ports_offset_ = header.ports_offset;
    map->port_count_ = header.ports_offset != 0 ? header.port_count : 0;
    return map;
}

CountersMap::CountersMap(const std::byte *base, std::size_t size) : base_(base), size_(size) {}

CountersMap::~CountersMap() { ::munmap(const_cast<std::byte *>(base_), size_); }

const wire::CounterBlock &CountersMap::block(std::uint32_t worker) const {
    return *reinterpret_cast<const CounterBlock *>(base_ + worker_offset_ + worker * worker_stride_);
}

wire::CountersHeader CountersMap::header() const { return load(*reinterpret_cast<const wire::CountersHeader *>(base_)); }

std::vector<wire::PortCounters> CountersMap::ports() const {
    std::vector<wire::PortCounters> ports;
    for (std::uint64_t i = 0; i < port_count_; ++i) {
        ports.push_back(load(reinterpret_cast<const wire::PortCounters *>(base_ + ports_offset_)[i]));
        ports.back().name[sizeof(wire::PortCounters::name) - 1] = '\0';
    }
    return ports;
}

WorkerCounters CountersMap::worker(std::uint32_t worker) const {
    return worker < worker_count_ ? load(block(worker).worker) : WorkerCounters{};
}

ServiceCounters CountersMap::service(std::uint32_t worker, std::uint32_t index) const {
    if (worker >= worker_count_ || index >= wire::kServiceCapacity) return {};
    const CounterBlock &counters = block(worker);
    return {load(counters.service_traffic[index]), load(counters.services[index])};
}

SlotCounters CountersMap::slot(std::uint32_t worker, std::uint32_t slot) const {
    if (worker >= worker_count_ || slot >= wire::kSlotCapacity) return {};
    const CounterBlock &counters = block(worker);
    return {load(counters.slot_traffic[slot]), load(counters.slots[slot])};
}

ServiceCounters CountersMap::service(std::uint32_t index) const {
    ServiceCounters sum{};
    for (std::uint32_t i = 0; i < worker_count_; ++i) add(sum, service(i, index));
    return sum;
}

SlotCounters CountersMap::slot(std::uint32_t slot_index) const {
    SlotCounters sum{};
    for (std::uint32_t i = 0; i < worker_count_; ++i) add(sum, slot(i, slot_index));
    return sum;
}

std::vector<GenerationCounters> CountersMap::generations() const {
    std::map<std::uint64_t, std::uint64_t> packets;
    for (std::uint32_t i = 0; i < worker_count_; ++i) {
        const WorkerCounters counters = worker(i);
        for (const GenerationCounters &entry : counters.generations)
            if (entry.generation != 0) packets[entry.generation] += entry.packets;
    }
    std::vector<GenerationCounters> history;
    history.reserve(packets.size());
    for (const auto &[generation, count] : packets) history.push_back({generation, count});
    return history;
}

} // namespace fairlead::publish
