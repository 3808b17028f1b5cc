// SPDX-License-Identifier: Apache-2.0
// A program of its own, since EAL starts once in a process's life.
#include "dataplane/io/packet_pool.hpp"

#include "dataplane/io/eal.hpp"
#include "tests/unit/io/temporary_directory.hpp"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::io {
namespace {

class PacketPoolTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        const auto placement = place(allowed_cpus(), {}, 1, false);
        ASSERT_TRUE(placement) << placement.error();
        static const test::TemporaryDirectory scratch;
        static auto eal = Eal::start({.placement = *placement, .hugepages = false, .memory_bytes = 128U << 20,
                                      .pci_addresses = {}, .scratch_directory = scratch.path()});
        ASSERT_TRUE(eal) << eal.error();
    }
};

/// What net_af_xdp registers with the kernel for a pool (xdp_umem_configure() and get_base_addr() in its source).
struct Umem {
    std::uintptr_t begin, end;
    bool all_inside = true;
};

Umem umem_of(rte_mempool *pool) {
    constexpr std::uintptr_t kPageMask = 4095;
    const auto address = reinterpret_cast<std::uintptr_t>(STAILQ_FIRST(&pool->mem_list)->addr);
    const std::size_t object = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, nullptr);
    const std::uintptr_t begin = address & ~kPageMask;
    return {.begin = begin, .end = begin + pool->populated_size * object + (address & kPageMask)};
}

TEST_F(PacketPoolTest, EveryAfXdpBufferLiesInWhatTheDriverRegisters) {
    const auto pool = PacketPool::create("af-xdp", PortKind::kAfXdp, 1500);
    ASSERT_TRUE(pool) << pool.error();
    EXPECT_EQ(pool->get()->nb_mem_chunks, 1U) << "the driver sees the first piece of memory only";
    auto umem = umem_of(pool->get());
    rte_mempool_obj_iter(
        pool->get(),
        [](rte_mempool *of, void *seen, void *object, unsigned) {
            auto &whole = *static_cast<Umem *>(seen);
            const auto begin = reinterpret_cast<std::uintptr_t>(object) - of->header_size;
            const auto end = begin + rte_mempool_calc_obj_size(of->elt_size, of->flags, nullptr);
            whole.all_inside = whole.all_inside && begin >= whole.begin && end <= whole.end && begin % 4096 == 0;
        },
        &umem);
    EXPECT_TRUE(umem.all_inside);
}

TEST_F(PacketPoolTest, ABufferTakesAFrameOfTheMtuAndHasHeadroom) {
    for (const auto kind : {PortKind::kAfXdp, PortKind::kPcap, PortKind::kNull, PortKind::kPci}) {
        const auto pool = PacketPool::create("kind" + std::to_string(static_cast<int>(kind)), kind, 1500);
        ASSERT_TRUE(pool) << pool.error();
        rte_mbuf *packet = rte_pktmbuf_alloc(pool->get());
        ASSERT_NE(packet, nullptr);
        EXPECT_GE(rte_pktmbuf_headroom(packet), 64U);
        EXPECT_GE(rte_pktmbuf_tailroom(packet), 1500U + 14U);
        rte_pktmbuf_free(packet);
    }
}

TEST_F(PacketPoolTest, WhatDoesNotFitIsAnErrorWithItsSize) {
    std::vector<PacketPool> taken;
    for (int i = 0; i < 100; ++i) {
        auto pool = PacketPool::create("taken" + std::to_string(i), PortKind::kAfXdp, 1500);
        if (!pool) {
            EXPECT_NE(pool.error().find("MB"), std::string::npos) << pool.error();
            return;
        }
        taken.push_back(std::move(*pool));
    }
    FAIL() << "100 pools in 128 MB";
}

} // namespace
} // namespace fairlead::io
