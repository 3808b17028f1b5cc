// SPDX-License-Identifier: Apache-2.0
/// A worker's side of what the kernel sends by a twin, in packet buffers.
#pragma once

#include "dataplane/io/frame_ring.hpp"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstdint>
#include <span>

namespace fairlead::io {

/// Moves frames into new buffers, as many as there are, or there is room or memory for. The rest stays where it is.
/// @return how many of `packets` are set.
inline std::uint16_t take_from_kernel(FrameRing &frames, rte_mempool *pool, std::span<rte_mbuf *> packets) noexcept {
    std::uint16_t taken = 0;
    while (taken < packets.size()) {
        const auto frame = frames.front();
        if (frame.empty()) break;
        rte_mbuf *packet = rte_pktmbuf_alloc(pool);
        if (packet == nullptr) break;
        // A buffer takes a frame of the port's MTU, and the twin's ring no longer one.
        std::ranges::copy(frame, rte_pktmbuf_mtod(packet, std::byte *));
        packet->data_len = static_cast<std::uint16_t>(frame.size());
        packet->pkt_len = static_cast<std::uint32_t>(frame.size());
        frames.pop();
        packets[taken++] = packet;
    }
    return taken;
}

} // namespace fairlead::io
