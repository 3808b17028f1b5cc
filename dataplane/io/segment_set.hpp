// SPDX-License-Identifier: Apache-2.0
/// The checked segments that a root may name: those one peer has sent, or those one generation runs on.
///
/// Copies share the mappings; a segment is unmapped when the last set that holds it lets it go. Main thread only.
#pragma once

#include "dataplane/core/segment.hpp"
#include "dataplane/io/segment_mapping.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

namespace fairlead::io {

class SegmentSet {
  public:
    /// Twice what one generation can name: the old one and the next.
    static constexpr std::size_t kSegmentCountMax = 2 * (wire::kServiceCapacity + 1);

    /// Maps and checks a segment that a peer calls `id`, and takes it in; a segment of that id is replaced.
    [[nodiscard]] core::Refusal take(int descriptor, wire::u64 id);

    /// Lets go of all but these.
    void keep_only(std::span<const wire::u64> ids);

    [[nodiscard]] std::span<const core::CheckedSegment> checked() const { return checked_; }
    [[nodiscard]] std::size_t size() const { return checked_.size(); }

  private:
    std::vector<core::CheckedSegment> checked_;
    std::vector<std::shared_ptr<const SegmentMapping>> mappings_; ///< parallel to checked_
    std::unordered_map<wire::u64, std::size_t> places_;           ///< id -> index of both
};

} // namespace fairlead::io
