// SPDX-License-Identifier: Apache-2.0
/// What the backend's program ought to do on a host without any connection, said a second time: slowly, over
/// a byte vector, following the words of the standards and none of the program's code.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>

#include "dataplane/wire/drop_reasons.h"
#include "tests/unit/bpf/frames.hpp"

namespace fairlead::bpf::test {

struct BackendOracle {
    std::set<std::uint32_t> balancers; ///< addresses as they stand on the wire
    std::set<std::uint32_t> vips;
    std::uint16_t gue_port;
    Bytes own_mac;
    /// How a hop, as it stands on the wire, is reached: by this MAC address; empty: by the kernel; not at all.
    std::function<std::optional<Bytes>(std::uint32_t)> way;

    struct Expected {
        wire::BackendOutcome outcome;
        Bytes frame = {}; ///< as it goes on, to the kernel or to the next hop, where it does
        /// The inner header checksum was wrong and its header had to change: any value is as good.
        bool is_checksum_free = false;
    };
    [[nodiscard]] Expected judge(const Bytes &frame) const;
};

} // namespace fairlead::bpf::test
