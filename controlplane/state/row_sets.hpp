// SPDX-License-Identifier: Apache-2.0
/// The row tables of all services, each built anew only when its members, algorithm or seed changed.
///
/// Owned by the controller's thread. What build() returns is immutable and shared between
/// generations, so going back to the generation before costs nothing.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "controlplane/state/state_file.hpp"
#include "controlplane/tables/row_table.hpp"

namespace fairlead::state {

/// One service's table and what it was built from.
struct ServiceRows {
    tables::Algorithm algorithm;
    config::Seed seed;
    std::vector<tables::Member> members;
    std::uint64_t digest = 0; ///< tables::digest_rows(): equal on nodes with equal tables
    tables::Rows rows;
    std::uint64_t segment_id = 0; ///< of this content and no other, also over restarts
};

using RowSet = std::map<ServiceKey, std::shared_ptr<const ServiceRows>>;

class RowSets {
  public:
    RowSets();

    /// The tables for `state`; those of `before` that still hold are taken over as they are.
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

/// A service's backends as its table sees them. Those that take no new flows (drained, failing, dead) own no rows, but count for
/// the size of the table, so that a drain moves no other backend's flows.
[[nodiscard]] std::vector<tables::Member> members_of(const config::Service &service, const ServiceLease &lease,
                                                     const HealthRecord &record = {});

} // namespace fairlead::state
