// SPDX-License-Identifier: Apache-2.0
/// Zeroed memory for a worker's connection tables: hugepages where asked for and free, else transparent
/// ones, since every packet touches a random line of it.
#pragma once

#include "dataplane/io/result.hpp"

#include <cstddef>
#include <span>
#include <utility>

namespace fairlead::io {

class TableMemory {
  public:
    /// @param size bytes; rounded up to whole pages.
    [[nodiscard]] static Result<TableMemory> allocate(std::size_t size, bool hugepages);

    TableMemory(TableMemory &&other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    TableMemory &operator=(TableMemory &&) = delete;
    ~TableMemory();

    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; } ///< aligned to a page

  private:
    explicit TableMemory(std::span<std::byte> bytes) : bytes_(bytes) {}
    std::span<std::byte> bytes_;
};

} // namespace fairlead::io
