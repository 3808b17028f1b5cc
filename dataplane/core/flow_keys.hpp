// SPDX-License-Identifier: Apache-2.0
// A flow's 5-tuple as the two numbers that tables compare: what tells its service, and what tells it from the service's
// other flows. They are the packet's bytes in another order, so they are shuffled, never converted.
#pragma once

#include "dataplane/wire/flow_hash.hpp"

namespace fairlead::core {

/// The parts of a flow by which things are looked up, ready to compare.
struct FlowKeys {
    wire::u64 service; ///< destination address << 32 | protocol << 16 | destination port, in the packet's byte order
    wire::u64 client;  ///< source address << 32 | source port << 16, likewise; the low 16 bits are free
};

/// Both keys in one shuffle.
[[nodiscard]] inline FlowKeys flow_keys(const wire::FlowBlock &flow) noexcept {
    const __m128i places = _mm_set_epi8(3, 2, 1, 0, 9, 8, -1, -1, 7, 6, 5, 4, -1, 12, 11, 10);
    const __m128i keys = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(&flow)), places);
    return {static_cast<wire::u64>(_mm_cvtsi128_si64(keys)), static_cast<wire::u64>(_mm_extract_epi64(keys, 1))};
}

/// The same in plain C++: what the tests compare the other with.
[[nodiscard]] constexpr FlowKeys flow_keys_scalar(const wire::FlowBlock &flow) noexcept {
    return {wire::u64{flow.destination.raw} << 32 | wire::u32{flow.protocol} << 16 | flow.destination_port.raw,
            wire::u64{flow.source.raw} << 32 | wire::u32{flow.source_port.raw} << 16};
}

} // namespace fairlead::core
