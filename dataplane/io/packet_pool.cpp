// SPDX-License-Identifier: Apache-2.0
// AF_XDP: the driver hands the pool's memory itself to the kernel (a umem), as populated_size chunks of one object
// each from the first page of the pool's first piece of memory on (drivers/net/af_xdp/rte_eth_af_xdp.c,
// xdp_umem_configure()). So all objects must lie in one piece, page-aligned and without gaps; but DPDK fits objects
// into pages, and where pages are ordinary ones that leaves a gap after each. Hence one object a page, exactly: the
// last buffers would lie outside of the umem otherwise, and the kernel would refuse them one by one.
#include "dataplane/io/packet_pool.hpp"

#include <fmt/format.h>
#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_memzone.h>

#include <algorithm>
#include <array>
#include <utility>

namespace fairlead::io {

namespace {

constexpr unsigned kPageSize = 4096;
constexpr unsigned kObjectHeaderSize = 64; // rte_mempool_objhdr on a cache line
constexpr unsigned kAfXdpElementSize = kPageSize - kObjectHeaderSize;
constexpr unsigned kLinkOverhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
constexpr unsigned kCacheSize = 256;

// net_af_xdp's rings hold 2048 each: fill, transmit and completion may be full at once, and a worker's cache as well.
constexpr unsigned kAfXdpBufferCount = 3 * 2048 + 2 * kCacheSize;
constexpr unsigned kBufferCount = 4096; // rings of 1024 each way, and bursts

constexpr unsigned element_size(PortKind kind, unsigned mtu) {
    if (kind == PortKind::kAfXdp) return kAfXdpElementSize;
    unsigned room = std::max<unsigned>(RTE_MBUF_DEFAULT_DATAROOM, mtu + kLinkOverhead + kVlanTagsSize);
    // NICs are told the size in whole KiB, rounded down: a longer frame would come in several buffers.
    if (kind == PortKind::kPci) room = (room + 1023) / 1024 * 1024;
    return static_cast<unsigned>(sizeof(rte_mbuf)) + RTE_PKTMBUF_HEADROOM + room;
}

constexpr unsigned buffer_count(PortKind kind) { return kind == PortKind::kAfXdp ? kAfXdpBufferCount : kBufferCount; }

unsigned pool_flags(PortKind kind) {
    // Spreading over memory channels would make objects longer than a page.
    if (kind == PortKind::kAfXdp) return RTE_MEMPOOL_F_NO_SPREAD;
    // No device reads these by physical address: objects may cross pages, so without hugepages, too, they lie close
    // together and do not all fall into the same cache sets.
    return kind == PortKind::kPci ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG;
}

} // namespace

void PacketPool::FreeZone::operator()(const rte_memzone *zone) const { rte_memzone_free(zone); }

PacketPool::~PacketPool() = default;

std::size_t PacketPool::memory_bytes(PortKind kind, unsigned mtu, unsigned held_count) {
    // The mempool's ring of pointers, per-lcore caches, and slack for the allocator's alignment.
    constexpr std::size_t kRecords = 4U << 20;
    const std::size_t object = kind == PortKind::kAfXdp ? kPageSize : element_size(kind, mtu) + 2 * kObjectHeaderSize;
    return (buffer_count(kind) + held_count) * object + kRecords;
}

unsigned PacketPool::af_xdp_mtu_max() {
    return kAfXdpElementSize - headers_at(PortKind::kAfXdp) - kLinkOverhead;
}

Result<PacketPool> PacketPool::create(const std::string &name, PortKind kind, unsigned mtu, unsigned held_count, int node) {
    static_assert(kAnyNode == SOCKET_ID_ANY);
    const unsigned count = buffer_count(kind) + held_count;
    const auto cannot = [&] {
        return std::unexpected(fmt::format("no memory for {} packet buffers ({} MB): {}; raise --memory", count,
                                           memory_bytes(kind, mtu, held_count) >> 20, rte_strerror(rte_errno)));
    };
    PacketPool pool;
    pool.pool_.reset(rte_mempool_create_empty(name.c_str(), count, element_size(kind, mtu), kCacheSize,
                                              sizeof(rte_pktmbuf_pool_private), node, pool_flags(kind)));
    if (!pool.pool_) return cannot();
    if (rte_mempool_set_ops_byname(pool.get(), "ring_mp_mc", nullptr) != 0) return cannot();
    rte_pktmbuf_pool_private room{};
    room.mbuf_data_room_size = static_cast<std::uint16_t>(element_size(kind, mtu) - sizeof(rte_mbuf));
    rte_pktmbuf_pool_init(pool.get(), &room);
    const bool populated = kind == PortKind::kAfXdp ? pool.populate_by_pages(name) : rte_mempool_populate_default(pool.get()) > 0;
    if (!populated) return cannot();
    rte_mempool_obj_iter(pool.get(), rte_pktmbuf_init, nullptr);
    return pool;
}

bool PacketPool::populate_by_pages(const std::string &name) {
    const std::size_t size = std::size_t{kAfXdpBufferCount} * kPageSize;
    zone_.reset(rte_memzone_reserve_aligned((name + "-pages").c_str(), size, SOCKET_ID_ANY, 0, kPageSize));
    if (!zone_) return false;
    const rte_mempool &pool = *pool_;
    return pool.header_size + pool.elt_size + pool.trailer_size == kPageSize &&
           rte_mempool_populate_iova(pool_.get(), static_cast<char *>(zone_->addr), zone_->iova, size, nullptr, nullptr) ==
               static_cast<int>(kAfXdpBufferCount);
}

} // namespace fairlead::io
