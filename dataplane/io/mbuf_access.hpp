// SPDX-License-Identifier: Apache-2.0
/// How the packet path reaches a packet in an mbuf: its headers, and the mbuf's first line.
#pragma once

#include "dataplane/core/frame.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace fairlead::core {

template <> struct FrameAccess<rte_mbuf *> {
    [[nodiscard]] static wire::u8 *data(const rte_mbuf *packet) noexcept { return rte_pktmbuf_mtod(packet, wire::u8 *); }
    [[nodiscard]] static wire::u32 length(const rte_mbuf *packet) noexcept { return packet->pkt_len; }
    [[nodiscard]] static wire::u32 headroom(const rte_mbuf *packet) noexcept { return packet->data_off; }
    [[nodiscard]] static bool is_whole(const rte_mbuf *packet) noexcept { return packet->nb_segs == 1; }
    static void extend(rte_mbuf *packet, wire::u32 bytes, wire::u32 length) noexcept {
        packet->data_off = static_cast<std::uint16_t>(packet->data_off - bytes);
        packet->data_len = static_cast<std::uint16_t>(length);
        packet->pkt_len = length;
    }
};

} // namespace fairlead::core
