// SPDX-License-Identifier: Apache-2.0
// Tells flow-hash keys apart without giving them away: what is kept in memory that outlives the process.
#pragma once

#include "dataplane/wire/flow_hash.hpp"

namespace fairlead::core {

/// 64 of the 128 bits that the key makes of a flow of zeros. Never 0.
[[nodiscard]] inline wire::u64 key_digest(const wire::FlowHashKey &key) noexcept {
    const wire::FlowHash hash = wire::flow_hash(key, wire::FlowBlock{});
    return (wire::u64{hash.row} << 32 | hash.spare) | 1;
}

} // namespace fairlead::core
