// SPDX-License-Identifier: Apache-2.0
/// Reads the dataplane's counters (dataplane/wire/counters.h) from the memory file it hands out.
///
/// A CountersMap is one run of the dataplane: its numbers only grow, and it stays readable after that
/// dataplane has gone. CountersReader keeps a connection to notice that it has, and then asks the next
/// one. Both may be used from any thread. The counters are read while they are written: each number
/// is whole, but two numbers are not of the same instant.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "controlplane/error.hpp"
#include "controlplane/publish/descriptor.hpp"
#include "dataplane/wire/counters.h"

namespace fairlead::publish {

class ControlSocket;

/// Of one service; wire/counters.h says what each counts.
struct ServiceCounters : wire::TrafficCounters, wire::ServiceCounters {};
/// Of one slot.
struct SlotCounters : wire::TrafficCounters, wire::SlotCounters {};

class CountersMap {
  public:
    /// Maps the file and checks magic, ABI, sizes and offsets against each other and against the file.
    [[nodiscard]] static std::expected<std::shared_ptr<const CountersMap>, Error> map(Descriptor file,
                                                                                      std::uint64_t size);
    ~CountersMap();
    CountersMap(const CountersMap &) = delete;
    CountersMap &operator=(const CountersMap &) = delete;

    [[nodiscard]] std::uint32_t worker_count() const { return worker_count_; }
    [[nodiscard]] wire::CountersHeader header() const;
    /// By port; empty: the dataplane counts none by port.
    [[nodiscard]] std::vector<wire::PortCounters> ports() const;

    [[nodiscard]] wire::WorkerCounters worker(std::uint32_t worker) const;
    [[nodiscard]] ServiceCounters service(std::uint32_t worker, std::uint32_t index) const;
    [[nodiscard]] SlotCounters slot(std::uint32_t worker, std::uint32_t slot) const;

    /// Sums over the workers. An index out of range counts nothing.
    [[nodiscard]] ServiceCounters service(std::uint32_t index) const;
    [[nodiscard]] SlotCounters slot(std::uint32_t slot) const;

    /// Packets decided by each of the last generations, summed over the workers, oldest first.
    [[nodiscard]] std::vector<wire::GenerationCounters> generations() const;

  private:
    CountersMap(const std::byte *base, std::size_t size);
    [[nodiscard]] const wire::CounterBlock &block(std::uint32_t worker) const;

    const std::byte *base_;
    std::size_t size_;
    std::uint32_t worker_count_ = 0;
    std::uint64_t worker_offset_ = 0; ///< copies: the file's writer may not move us out of it later
    std::uint64_t worker_stride_ = 0;
    std::uint64_t ports_offset_ = 0;
    std::uint64_t port_count_ = 0;
};

class CountersReader {
  public:
    explicit CountersReader(std::string socket_path,
                            std::chrono::milliseconds deadline = std::chrono::milliseconds{1000});
    ~CountersReader();

    /// The running dataplane's counters, connecting and asking for them when need be. Waits at most
    /// the deadline. Errors: no dataplane, not in time, counters of another ABI.
    [[nodiscard]] std::expected<std::shared_ptr<const CountersMap>, Error> current();

  private:
    [[nodiscard]] std::expected<std::shared_ptr<const CountersMap>, Error> ask();

    std::string socket_path_;
    std::chrono::milliseconds deadline_;
    std::mutex mutex_;
    std::unique_ptr<ControlSocket> socket_;
    std::shared_ptr<const CountersMap> map_;
};

} // namespace fairlead::publish
