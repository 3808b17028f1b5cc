// SPDX-License-Identifier: Apache-2.0
/// A dataplane's counters as a test wants them, and a dataplane's end that hands them out.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>

#include <atomic>
#include <functional>
#include <thread>

#include "dataplane/wire/counters.h"
#include "tests/unit/publish/dataplane_end.hpp"

namespace fairlead::publish::test {

/// The memory file, writable here. Workers lie further apart than they need to, as a writer may have it.
class CountersFile {
  public:
    explicit CountersFile(std::uint32_t workers, std::uint64_t started_unix_ns = 1)
        : size_(kWorkerOffset + workers * kStride), file_(::memfd_create("counters", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
        EXPECT_EQ(::ftruncate(file_.get(), static_cast<off_t>(size_)), 0);
        base_ = static_cast<std::byte *>(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0));
        header() = {.magic = FAIRLEAD_COUNTERS_MAGIC, .abi = wire::kCountersAbi, .worker_count = workers,
                    .worker_offset = kWorkerOffset, .worker_stride = kStride, .size = size_,
                    .started_unix_ns = started_unix_ns, .generation = 0, .generations_adopted = 0,
                    .generations_refused = 0, .adoption_ns_last = 0, .segments_mapped = 0, .steered = {}, .ports_offset = 0, .port_count = 0};
    }
    ~CountersFile() { ::munmap(base_, size_); }
    CountersFile(const CountersFile &) = delete;
    CountersFile &operator=(const CountersFile &) = delete;

    void seal() const { EXPECT_EQ(::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0); }
    [[nodiscard]] Descriptor reader() const {
        return Descriptor(::open(("/proc/self/fd/" + std::to_string(file_.get())).c_str(), O_RDONLY | O_CLOEXEC));
    }
    [[nodiscard]] std::uint64_t size() const { return size_; }

    wire::CountersHeader &header() { return *reinterpret_cast<wire::CountersHeader *>(base_); }
    /// Says that there are ports, right behind the header.
    void set_port_count(std::uint64_t count) {
        header().ports_offset = sizeof(wire::CountersHeader);
        header().port_count = count;
    }
    wire::PortCounters &port(unsigned index) { return reinterpret_cast<wire::PortCounters *>(base_ + sizeof(wire::CountersHeader))[index]; }
    wire::CounterBlock &block(unsigned worker) { return *reinterpret_cast<wire::CounterBlock *>(base_ + kWorkerOffset + worker * kStride); }
    wire::WorkerCounters &worker(unsigned worker) { return block(worker).worker; }

  private:
    static constexpr std::uint64_t kWorkerOffset = 4096;
    static constexpr std::uint64_t kStride = sizeof(wire::CounterBlock) + 4096;

    std::uint64_t size_;
    Descriptor file_;
    std::byte *base_;
};

/// Answers one reader's question for the counters; fails the test when there is none.
inline void serve_counters(DataplaneEnd &end, const CountersFile &counters) {
    ASSERT_TRUE(end.accept());
    end.say_hello(1);
    ASSERT_EQ(end.receive().type, wire::kControlGetCounters);
    auto answer = make_control_message<wire::ControlCounters>(wire::kControlCounters);
    answer.size = counters.size();
    end.send(answer, counters.reader().get());
}

} // namespace fairlead::publish::test
