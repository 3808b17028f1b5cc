// SPDX-License-Identifier: Apache-2.0
//
// Where all of a table's randomness comes from: SipHash keyed by the fleet's seed, over a backend's
// address. One hash a purpose, so that no two uses see related bits.
#pragma once

#include <cstdint>

#include "controlplane/tables/row_table.hpp"

namespace fairlead::tables {

enum class HashPurpose : std::uint8_t {
    kDraw,         ///< rendezvous: keys the backend's draws
    kRounding,     ///< rendezvous: where the backend's capacity rounds up
    kMaglevOffset, ///< Maglev: where the backend's permutation starts
    kMaglevSkip,   ///< Maglev: its stride
};

[[nodiscard]] std::uint64_t address_hash(const Seed &seed, const Address &address, HashPurpose purpose) noexcept;

} // namespace fairlead::tables
