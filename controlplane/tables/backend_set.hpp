// SPDX-License-Identifier: Apache-2.0
//
// Backend sets, as row tables saw them, and the list of a service's last ones.
//
// A set and a seed make a table, so the list stands for all the tables that the service had: it is
// all that a node needs to know where open connections without state may be. Sets know addresses,
// never slots, so lists of different nodes can be compared.
//
// Lists are values: copies share their sets, which never change.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "controlplane/tables/row_table.hpp"

namespace fairlead::tables {

/// Sets that a list keeps; the one that was in use longest ago makes room.
inline constexpr std::size_t kSetCountMax = 64;

struct WeightedAddress {
    Address address{};
    std::uint32_t weight = 0;

    [[nodiscard]] auto operator<=>(const WeightedAddress &) const = default;
};

/// All that a table follows from, but for the seed.
struct BackendSet {
    Algorithm algorithm = Algorithm::kRendezvous;
    std::uint32_t row_count = 0;
    std::vector<WeightedAddress> members; ///< ascending by address; weights 1 to kWeightMax
    std::uint64_t digest = 0;             ///< of the above

    [[nodiscard]] bool operator==(const BackendSet &) const = default;
};

/// The set that a table of `row_count` rows sees in `members`: those of weight 0 own no rows and are left out.
[[nodiscard]] BackendSet backend_set(Algorithm algorithm, std::uint32_t row_count, std::span<const Member> members);

/// The set's members, each with its place in the set as its slot.
[[nodiscard]] std::vector<Member> numbered_members(const BackendSet &set);

using SharedBackendSet = std::shared_ptr<const BackendSet>;

/// Up to kSetCountMax distinct sets, none of them empty, the one used last first.
class SetHistory {
  public:
    SetHistory() = default;

    /// The list after `set` came into use. A set that returns moves to the front, so that a backend
    /// that comes and goes pushes out nothing; an empty one owns no flows and changes nothing.
    [[nodiscard]] SetHistory with(BackendSet set) const;

    [[nodiscard]] std::span<const SharedBackendSet> sets() const noexcept { return sets_; }
    /// Equal on nodes with equal lists.
    [[nodiscard]] std::uint64_t digest() const noexcept;

    [[nodiscard]] bool operator==(const SetHistory &other) const noexcept;

  private:
    std::vector<SharedBackendSet> sets_;
};

} // namespace fairlead::tables
