// SPDX-License-Identifier: Apache-2.0
// A frame that every kernel answers.
#pragma once

#include "dataplane/core/frame.hpp"
#include "tests/unit/io/capture_file.hpp"

#include <arpa/inet.h>

#include <cstring>

namespace fairlead::io::test {

inline constexpr core::MacAddress kNeighbourMac{0x02, 0, 0, 0, 0, 0x99};

/// Who has `target`? Tell `sender`, at kNeighbourMac. (RFC 826)
inline FrameBytes arp_request(const char *sender, const char *target) {
    FrameBytes frame(42);
    std::memset(frame.data(), 0xff, 6);
    std::memcpy(&frame[6], kNeighbourMac.data(), 6);
    constexpr unsigned char kHeader[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
    std::memcpy(&frame[12], kHeader, sizeof(kHeader));
    std::memcpy(&frame[22], kNeighbourMac.data(), 6);
    ::inet_pton(AF_INET, sender, &frame[28]);
    ::inet_pton(AF_INET, target, &frame[38]);
    return frame;
}

} // namespace fairlead::io::test
