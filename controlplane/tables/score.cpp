// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/score.hpp"

#include "controlplane/tables/address_hash.hpp"

namespace fairlead::tables {

BackendKey backend_key(const Seed &seed, const Address &address) noexcept {
    const std::uint64_t key = address_hash(seed, address, HashPurpose::kDraw);
    return {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
}

std::uint32_t draw_limit(std::uint64_t score_max, std::uint32_t weight) noexcept {
    std::uint32_t limit = 0;
    for (std::uint32_t bit = std::uint32_t{1} << 31; bit != 0; bit >>= 1) {
        if (score(limit | bit, weight) <= score_max) limit |= bit;
    }
    return limit;
}

} // namespace fairlead::tables
