// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/address_hash.hpp"

#include "controlplane/tables/siphash.hpp"

namespace fairlead::tables {

std::uint64_t address_hash(const Seed &seed, const Address &address, HashPurpose purpose) noexcept {
    SipHash hash(seed);
    hash.absorb(address);
    const auto last = static_cast<std::uint8_t>(purpose);
    hash.absorb({&last, 1});
    return hash.digest();
}

} // namespace fairlead::tables
