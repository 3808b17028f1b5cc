// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071), on sums of 16-bit words in host order that are not yet inverted.
#pragma once

#include "dataplane/wire/wire.h"

#include <cstring>

namespace fairlead::core {

/// The 16-bit words of a struct summed; at most 2^15 of them.
template <class Struct> [[nodiscard]] inline wire::u32 word_sum(const Struct &bytes) noexcept {
    static_assert(sizeof bytes % 2 == 0);
    wire::Be16 words[sizeof bytes / 2];
    std::memcpy(words, &bytes, sizeof bytes);
    wire::u32 sum = 0;
    for (const wire::Be16 word : words) sum += word.host();
    return sum;
}

/// The ones' complement sum in 16 bits.
[[nodiscard]] constexpr wire::u16 fold(wire::u32 sum) noexcept {
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<wire::u16>(sum + (sum >> 16));
}

/// The checksum as it stands in a header.
[[nodiscard]] inline wire::Be16 checksum(wire::u32 sum) noexcept { return wire::Be16::from_host(static_cast<wire::u16>(~fold(sum))); }

} // namespace fairlead::core
