// SPDX-License-Identifier: Apache-2.0
/// Seals snapshots. A segment that is as it was is the same object as before, so that the publisher
/// sends it once.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <vector>

#include "controlplane/publish/publisher.hpp"
#include "controlplane/publish/snapshot_builder.hpp"
#include "controlplane/state/row_sets.hpp"

namespace fairlead::state {

/// What the hops segment says of one slot.
struct Hop {
    std::uint16_t slot;
    std::array<std::uint8_t, 6> mac;
    bool resolved;

    [[nodiscard]] bool operator==(const Hop &) const = default;
};

/// Those in use, in the order of the configuration.
[[nodiscard]] std::vector<Hop> hops_of(const publish::ForwardingState &forwarding);

/// One thread's: the controller's.
class SnapshotFactory {
  public:
    /// @param forwarding as forwarding_state() made it from `rows`; its hops segment gets its id here.
    /// @param ids where new segments get their ids.
    /// Errors: no memory or no descriptors for the memory files.
    [[nodiscard]] std::expected<publish::Snapshot, Error> build(publish::ForwardingState forwarding, const RowSet &rows,
                                                                RowSets &ids);

  private:
    struct SealedRows {
        std::weak_ptr<const ServiceRows> rows; ///< gone: no state that may come back has them
        publish::SharedSegment segment;
    };
    [[nodiscard]] std::expected<publish::SharedSegment, Error> seal_rows(const std::shared_ptr<const ServiceRows> &rows);

    std::map<std::uint64_t, SealedRows> sealed_rows_; ///< by segment id
    std::vector<Hop> hops_;
    publish::SharedSegment hops_segment_; ///< of hops_; null: none yet
};

} // namespace fairlead::state
