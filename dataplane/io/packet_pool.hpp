// SPDX-License-Identifier: Apache-2.0
/// The packet buffers (mbufs) of one queue of one port.
#pragma once

#include "dataplane/io/port_spec.hpp"
#include "dataplane/io/result.hpp"

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

struct rte_memzone;

namespace fairlead::io {

class PacketPool {
  public:
    /// @param name of at most 20 characters, unique in the process.
    /// @param mtu of the port: a frame of it fits in one buffer.
    /// @param held_count buffers that are held elsewhere all the time, beyond those of the rings; none with AF_XDP.
    /// @param node the NUMA node whose memory it is to be.
    [[nodiscard]] static Result<PacketPool> create(const std::string &name, PortKind kind, unsigned mtu, unsigned held_count = 0,
                                                   int node = kAnyNode);
    static constexpr int kAnyNode = -1;

    PacketPool(PacketPool &&) noexcept = default;
    PacketPool &operator=(PacketPool &&) = delete;
    ~PacketPool();

    [[nodiscard]] rte_mempool *get() const { return pool_.get(); }

    /// Memory that a pool takes, headers and DPDK's own records included.
    [[nodiscard]] static std::size_t memory_bytes(PortKind kind, unsigned mtu, unsigned held_count = 0);
    /// Bytes from an mbuf to where its driver puts a packet's first byte. net_af_xdp leaves the kernel's room in front, too.
    [[nodiscard]] static constexpr std::uint16_t headers_at(PortKind kind) {
        constexpr unsigned kXdpHeadroom = 256; // the kernel's XDP_PACKET_HEADROOM
        return static_cast<std::uint16_t>(sizeof(rte_mbuf) + RTE_PKTMBUF_HEADROOM + (kind == PortKind::kAfXdp ? kXdpHeadroom : 0));
    }
    /// The longest frame that an AF_XDP buffer takes, as an MTU.
    [[nodiscard]] static unsigned af_xdp_mtu_max();

  private:
    struct FreePool {
        void operator()(rte_mempool *pool) const { rte_mempool_free(pool); }
    };
    struct FreeZone {
        void operator()(const rte_memzone *zone) const;
    };
    PacketPool() = default;
    [[nodiscard]] bool populate_by_pages(const std::string &name);

    std::unique_ptr<const rte_memzone, FreeZone> zone_; ///< AF_XDP: what the pool's buffers lie in
    std::unique_ptr<rte_mempool, FreePool> pool_;       ///< freed first
};

} // namespace fairlead::io
