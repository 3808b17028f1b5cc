// SPDX-License-Identifier: Apache-2.0
/// What the dataplane under test forwards by: services and backends, as real snapshots, adopted in the real way. Updates take
/// one backend of the first service in and out in turn. Main thread.
#pragma once

#include "controlplane/publish/snapshot_builder.hpp"
#include "controlplane/tables/row_history.hpp"
#include "controlplane/tables/row_table.hpp"
#include "dataplane/io/adoption.hpp"
#include "perf/mpps/options.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

namespace fairlead::mpps {

class Generations {
  public:
    /// @param counters those of the adoption.
    Generations(const Options &options, io::Adoption &adoption, const wire::CountersHeader &counters);

    /// Publishes all of it.
    void publish_first();

    /// Publishes the next generation: the first service has a backend more than the last time, or less.
    /// @return when the workers could see it.
    std::chrono::steady_clock::time_point publish_next();

    [[nodiscard]] std::uint64_t number() const { return state_.generation; }

  private:
    std::chrono::steady_clock::time_point adopt();
    void take(std::span<const std::byte> segment, std::uint64_t id);
    [[nodiscard]] std::vector<tables::Member> members_of(unsigned service) const;

    io::Adoption &adoption_;
    const wire::CountersHeader &counters_;
    io::SegmentSet held_;
    publish::ForwardingState state_;
    std::uint64_t next_segment_id_ = 1;
    struct Table {
        tables::Rows rows;
        tables::Alternates alternates;
    };
    std::array<Table, 2> first_service_; ///< without the backend that comes and goes, and with it
    bool is_in_ = false;
};

} // namespace fairlead::mpps
