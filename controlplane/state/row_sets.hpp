// SPDX-License-Identifier: Apache-2.0
/// The row tables of all services and the alternates of their rows, each built anew only when what it
/// follows from changed.
///
/// Owned by the controller's thread. What build() returns is immutable and shared between
/// generations, so going back to the generation before costs nothing.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "controlplane/state/state_file.hpp"
#include "controlplane/tables/row_history.hpp"
#include "controlplane/tables/row_table.hpp"

namespace fairlead::state {

/// A service's backends as its table sees them, ascending by address. Those that take no new flows (drained,
/// failing, dead) own no rows (weight 0), but count for the size of the table, so that a drain moves no other backend's flows.
struct ServiceMembers {
    std::vector<tables::Member> all;
    std::vector<tables::Member> living; ///< those that flows may still be sent to: in the configuration, not dead
};
[[nodiscard]] ServiceMembers members_of(const config::Service &service, const ServiceLease &lease, const HealthRecord &record = {});

/// The histories of `before` with the sets of `after` put first. A service that went has none any more; another seed
/// begins all anew, since the tables of the old one say nothing of where flows went.
[[nodiscard]] Histories histories_after(const DesiredState &before, const DesiredState &after);

/// One service's table, its alternates, and what they were built from.
struct ServiceRows {
    tables::Algorithm algorithm;
    config::Seed seed;
    ServiceMembers members;
    bool has_second_chance = false;
    tables::SetHistory list;
    std::uint64_t digest = 0; ///< tables::digest_rows(): equal on nodes with equal tables
    tables::Rows rows = {};
    std::shared_ptr<const tables::RowHistory> history = {}; ///< null: no second chance, or nobody owned a row before
    tables::Alternates alternates = {};                     ///< empty: no second chance
    std::uint64_t segment_id = 0; ///< of this content and no other, also over restarts
};

using RowSet = std::map<ServiceKey, std::shared_ptr<const ServiceRows>>;

class RowSets {
  public:
    RowSets();

    /// The tables for `state`, whose histories are as histories_after() made them; those of `before` that still
    /// hold are taken over as they are.
    [[nodiscard]] RowSet build(const RowSet &before, const DesiredState &state);

    /// An id that no segment had. The dataplane may still hold segments of an earlier control plane, so
    /// each process counts from a random place of its own.
    [[nodiscard]] std::uint64_t next_segment_id() { return next_segment_id_++; }

  private:
    /// A builder remembers some 32 bytes a row, so only those of the services changed last are kept.
    static constexpr std::size_t kBuilderCountMax = 64;
    struct Builder {
        ServiceKey key;
        config::Seed seed;
        tables::TableBuilder table;
    };

    [[nodiscard]] tables::Rows build_rows(const ServiceKey &key, tables::Algorithm algorithm, const config::Seed &seed,
                                          const std::vector<tables::Member> &members);

    std::list<Builder> builders_; ///< the one used last is first
    std::uint64_t next_segment_id_;
};

} // namespace fairlead::state
