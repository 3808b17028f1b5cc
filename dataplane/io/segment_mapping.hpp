// SPDX-License-Identifier: Apache-2.0
/// A sealed memory file from the control plane, mapped read-only.
///
/// The seals are what makes it safe to read while its sender lives: without them the sender could change a
/// byte after it was checked, or cut the file short under a worker's feet.
#pragma once

#include "dataplane/io/result.hpp"

#include <cstddef>
#include <span>
#include <utility>

namespace fairlead::io {

class SegmentMapping {
  public:
    /// Refuses what is no sealed memory file of a fitting size. Does not take the descriptor over.
    [[nodiscard]] static Result<SegmentMapping> map(int descriptor);

    SegmentMapping(SegmentMapping &&other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    SegmentMapping &operator=(SegmentMapping &&) = delete;
    ~SegmentMapping();

    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  private:
    explicit SegmentMapping(std::span<const std::byte> bytes) : bytes_(bytes) {}
    std::span<const std::byte> bytes_;
};

} // namespace fairlead::io
