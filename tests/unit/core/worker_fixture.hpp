// SPDX-License-Identifier: Apache-2.0
// A worker without a port: counters, table memory and a pipeline in ordinary memory.
#pragma once

#include "dataplane/core/pipeline.hpp"

#include <cstdlib>
#include <memory>
#include <vector>

namespace fairlead::test {

/// Zeroed memory in cache lines.
struct TableMemory {
    explicit TableMemory(std::size_t bytes)
        : bytes_(bytes), memory_(static_cast<std::byte *>(std::aligned_alloc(64, bytes)), &std::free) {
        std::memset(memory_.get(), 0, bytes);
    }
    [[nodiscard]] std::span<std::byte> span() const { return {memory_.get(), bytes_}; }

  private:
    std::size_t bytes_;
    std::unique_ptr<std::byte, decltype(&std::free)> memory_;
};

struct Worker {
    explicit Worker(std::size_t connections = 4096, wire::u32 mtu = 1600, bool has_kernel = true)
        : compact(core::connection_memory_bytes<core::CompactKey>(connections)),
          wide(core::connection_memory_bytes<core::WideKey>(connections)),
          pipeline({*block, compact.span(), wide.span(), mtu, has_kernel}) {}

    std::unique_ptr<wire::CounterBlock> block = std::make_unique<wire::CounterBlock>();
    wire::WorkerCounters &counters = block->worker;
    TableMemory compact, wide;
    core::Pipeline pipeline;
};

} // namespace fairlead::test
