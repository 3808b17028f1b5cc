// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/segment_set.hpp"

#include <fmt/format.h>

#include <utility>

namespace fairlead::io {

core::Refusal SegmentSet::take(int descriptor, wire::u64 id) {
    const auto known = places_.find(id);
    if (known == places_.end() && checked_.size() >= kSegmentCountMax)
        return fmt::format("more than {} segments sent without a generation that names them", kSegmentCountMax);
    auto mapped = SegmentMapping::map(descriptor);
    if (!mapped) return "segment: " + mapped.error();
    core::CheckedSegment checked;
    if (auto refusal = core::check_segment(mapped->bytes(), checked); !refusal.empty()) return refusal;
    if (checked.id != id) return fmt::format("segment: the message calls it {}, its header {}", id, checked.id);

    auto mapping = std::make_shared<const SegmentMapping>(std::move(*mapped));
    if (known != places_.end()) {
        checked_[known->second] = std::move(checked);
        mappings_[known->second] = std::move(mapping);
        return {};
    }
    places_.emplace(id, checked_.size());
    checked_.push_back(std::move(checked));
    mappings_.push_back(std::move(mapping));
    return {};
}

void SegmentSet::keep_only(std::span<const wire::u64> ids) {
    SegmentSet kept;
    for (const auto id : ids) {
        const auto place = places_.find(id);
        if (place == places_.end() || !kept.places_.emplace(id, kept.checked_.size()).second) continue;
        kept.checked_.push_back(std::move(checked_[place->second]));
        kept.mappings_.push_back(std::move(mappings_[place->second]));
    }
    *this = std::move(kept);
}

} // namespace fairlead::io
