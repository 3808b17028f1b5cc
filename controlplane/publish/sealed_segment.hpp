// SPDX-License-Identifier: Apache-2.0
/// A segment of a snapshot as a memory file that nobody can change any more, its author included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>

#include "controlplane/error.hpp"
#include "controlplane/publish/descriptor.hpp"

namespace fairlead::publish {

class SealedSegment {
  public:
    /// Copies `content` (a wire::SegmentHeader and what follows) into a memory file, seals it against
    /// writing, growing, shrinking and further sealing, and keeps a read-only descriptor of it.
    /// Errors: content without a segment's header or of another size than the header says; no memory,
    /// no descriptors.
    [[nodiscard]] static std::expected<SealedSegment, Error> seal(std::span<const std::byte> content);

    [[nodiscard]] int descriptor() const { return descriptor_.get(); } ///< O_RDONLY, close-on-exec
    [[nodiscard]] std::uint64_t id() const { return id_; }             ///< from the header; 0: a root
    [[nodiscard]] std::size_t size() const { return size_; }           ///< bytes

  private:
    SealedSegment(Descriptor descriptor, std::uint64_t id, std::size_t size);

    Descriptor descriptor_;
    std::uint64_t id_ = 0;
    std::size_t size_ = 0;
};

} // namespace fairlead::publish
