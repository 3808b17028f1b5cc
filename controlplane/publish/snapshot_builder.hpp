// SPDX-License-Identifier: Apache-2.0
/// Renders the forwarding state into a snapshot's segments (dataplane/wire/snapshot.h): bytes, not yet
/// sealed. Pure functions; `replay` feeds the bytes to the same validator that the dataplane uses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/wire/snapshot.h"

namespace fairlead::publish {

using SegmentBytes = std::vector<std::byte>;

/// A service as the root carries it; its place in the root is its index.
struct ForwardingService {
    std::uint16_t index = 0;
    wire::Be32 vip{};
    std::uint16_t port = wire::kPortAny;
    std::uint8_t protocol = 0;
    std::uint8_t forwarding = 0;
    std::uint64_t rows_segment_id = 0;
    std::uint32_t half_open_timeout_s = 0;
    std::uint32_t established_timeout_s = 0;
    std::uint32_t closing_timeout_s = 0;
    std::uint32_t udp_timeout_s = 0;
};

/// A backend of a service, with its next hop; its place in the root is its slot.
struct ForwardingSlot {
    std::uint16_t slot = 0;
    wire::Be32 address{};
    std::uint16_t epoch = 0;
    std::uint16_t service = 0;                ///< index
    std::uint8_t state = wire::kSlotFree;     ///< wire::kSlot...
    std::array<std::uint8_t, 6> mac{};
    bool resolved = false;
};

struct ForwardingState {
    std::uint64_t generation = 0;
    std::uint64_t hops_segment_id = 0;
    std::array<std::uint8_t, 16> seed{};
    wire::Be32 source_address{};
    std::uint16_t gue_port = 0;
    std::uint8_t dscp = 0;
    std::vector<ForwardingService> services; ///< in any order; indices below wire::kServiceCapacity
    std::vector<ForwardingSlot> slots;       ///< in any order; slots below wire::kSlotCapacity
};

/// @param rows a slot or wire::kNoSlot each; 1 to wire::kRowCountMax of them.
/// @param alternates wire::kAlternateCount for each row, row after row; empty: no second chance.
[[nodiscard]] SegmentBytes build_rows_segment(std::uint64_t id, std::span<const std::uint16_t> rows,
                                              std::span<const std::uint16_t> alternates = {});
[[nodiscard]] SegmentBytes build_hops_segment(const ForwardingState &state);
[[nodiscard]] SegmentBytes build_root_segment(const ForwardingState &state);

} // namespace fairlead::publish
