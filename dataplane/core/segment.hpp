// SPDX-License-Identifier: Apache-2.0
// Segments as they come from the control plane: bytes that nobody here wrote and nobody trusts yet.
//
// check_segment() reads all of a segment once, when it arrives. What it returns keeps just enough
// (the distinct slots that it names) for Generation::build() to prove every index in range
// without reading the rows again, so a generation costs what changed.
#pragma once

#include "dataplane/wire/snapshot.h"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace fairlead::core {

/// Why something was refused, one line of text; empty: it was not.
using Refusal = std::string;

struct CheckedSegment {
    std::span<const std::byte> bytes; ///< borrowed: whoever mapped them keeps them mapped
    wire::u64 id = 0;
    wire::u32 kind = 0;
    wire::u32 count = 0;
    wire::u32 alternates = 0;             ///< kSegmentRows: of each row
    std::vector<wire::u16> owners;        ///< kSegmentRows: the distinct slots that own rows, ascending
    std::vector<wire::u16> former_owners; ///< kSegmentRows: the distinct slots that stand as alternates, ascending
};

/// CRC-32C (RFC 3720, B.4) of a segment whose checksum field counts as zero.
/// `bytes` must hold at least a SegmentHeader.
[[nodiscard]] wire::u32 segment_checksum(std::span<const std::byte> bytes) noexcept;

/// Reads a whole segment of any kind and fills `out`. Checks magic, ABI, kind, size, count, checksum,
/// reserved bytes, and for hops and rows what their elements may hold.
/// @param bytes the mapping; 8-byte aligned.
[[nodiscard]] Refusal check_segment(std::span<const std::byte> bytes, CheckedSegment &out);

} // namespace fairlead::core
