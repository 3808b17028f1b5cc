// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/snapshot_factory.hpp"

namespace fairlead::state {

namespace {

std::expected<publish::SharedSegment, Error> seal(const publish::SegmentBytes &bytes) {
    auto segment = publish::SealedSegment::seal(bytes);
    if (!segment) return std::unexpected(std::move(segment.error()));
    return std::make_shared<const publish::SealedSegment>(std::move(*segment));
}

} // namespace

std::vector<Hop> hops_of(const publish::ForwardingState &forwarding) {
    std::vector<Hop> hops;
    hops.reserve(forwarding.slots.size());
    for (const publish::ForwardingSlot &slot : forwarding.slots) hops.push_back({slot.slot, slot.mac, slot.resolved});
    return hops;
}

std::expected<publish::Snapshot, Error> SnapshotFactory::build(publish::ForwardingState forwarding, const RowSet &rows,
                                                               RowSets &ids) {
    std::vector<Hop> hops = hops_of(forwarding);
    const bool has_same_hops = hops_segment_ && hops == hops_;
    forwarding.hops_segment_id = has_same_hops ? hops_segment_->id() : ids.next_segment_id();
    if (!has_same_hops) {
        auto segment = seal(publish::build_hops_segment(forwarding));
        if (!segment) return std::unexpected(std::move(segment.error()));
        hops_segment_ = std::move(*segment);
        hops_ = std::move(hops);
    }
    auto root = seal(publish::build_root_segment(forwarding));
    if (!root) return std::unexpected(std::move(root.error()));
    publish::Snapshot snapshot{
        .generation = forwarding.generation, .root = std::move(*root), .hops = hops_segment_, .rows = {}};
    std::erase_if(sealed_rows_, [](const auto &entry) { return entry.second.rows.expired(); });
    for (const auto &[key, service_rows] : rows) {
        auto segment = seal_rows(service_rows);
        if (!segment) return std::unexpected(std::move(segment.error()));
        snapshot.rows.push_back(std::move(*segment));
    }
    return snapshot;
}

std::expected<publish::SharedSegment, Error>
SnapshotFactory::seal_rows(const std::shared_ptr<const ServiceRows> &rows) {
    const auto known = sealed_rows_.find(rows->segment_id);
    if (known != sealed_rows_.end()) return known->second.segment;
    auto segment = seal(publish::build_rows_segment(rows->segment_id, rows->rows, rows->alternates));
    if (segment) sealed_rows_.emplace(rows->segment_id, SealedRows{rows, *segment});
    return segment;
}

} // namespace fairlead::state
