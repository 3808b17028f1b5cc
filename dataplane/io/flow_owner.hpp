// SPDX-License-Identifier: Apache-2.0
/// Whose a packet is among workers: a hash of its addresses and ports, so that a flow is always the same one's.
///
/// Not the flow hash of the row tables: that is keyed, costs more, and is computed by whoever decides. What has no ports (other
/// protocols, fragments) goes by its addresses; what is no IP packet is worker 0's.
#pragma once

#include "dataplane/wire/packet.h"
#include "dataplane/wire/wire.h"

#include <cstddef>
#include <cstring>

namespace fairlead::io {

/// @param data a frame of `length` bytes, the Ethernet header first.
[[nodiscard]] inline unsigned owner_of_flow(const std::byte *data, wire::u32 length, unsigned worker_count) noexcept {
    constexpr wire::u32 kLink = sizeof(wire::EthernetHeader);
    const auto load = [data](wire::u32 offset, auto &value) { std::memcpy(&value, data + offset, sizeof(value)); };
    const auto byte = [data](wire::u32 offset) { return static_cast<unsigned>(data[offset]); };
    wire::u64 addresses = 0;
    wire::u32 ports = 0;
    wire::u32 l4 = 0; // where the ports are; 0: there are none
    unsigned protocol = 0;
    if (length >= kLink + 20 && byte(12) == 0x08 && byte(13) == 0x00) {
        load(kLink + 12, addresses);
        protocol = byte(kLink + 9);
        if (((byte(kLink + 6) & 0x3f) | byte(kLink + 7)) == 0) l4 = kLink + (byte(kLink) & 0xf) * 4; // no fragment
    } else if (length >= kLink + 40 && byte(12) == 0x86 && byte(13) == 0xdd) {
        wire::u64 part[4];
        load(kLink + 8, part);
        addresses = part[0] ^ (part[1] * 3) ^ (part[2] * 5) ^ (part[3] * 7);
        protocol = byte(kLink + 6);
        l4 = kLink + 40;
    } else return 0;
    if (l4 != 0 && (protocol == 6 || protocol == 17) && length >= l4 + 4) load(l4, ports);
    // Multiplied and folded twice: single bits of an address or a port reach all bits of the upper half.
    wire::u64 hash = (addresses ^ (wire::u64{ports} << 17)) * 0x9e3779b97f4a7c15ULL;
    hash = (hash ^ (hash >> 32) ^ ports) * 0xd6e8feb86659fd93ULL;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93ULL;
    return static_cast<unsigned>((hash >> 32) * worker_count >> 32);
}

} // namespace fairlead::io
