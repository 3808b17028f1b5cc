// SPDX-License-Identifier: Apache-2.0
// What a device is asked for, by what it reports: as e1000e, vmxnet3, virtio and a 100G NIC do.
#include "dataplane/io/device_setup.hpp"

#include <gtest/gtest.h>

#include <set>

namespace fairlead::io {
namespace {

rte_eth_dev_info nic() {
    rte_eth_dev_info info{};
    info.min_mtu = 68;
    info.max_mtu = 9216;
    info.max_rx_queues = info.max_tx_queues = 8;
    info.rx_desc_lim = info.tx_desc_lim = {.nb_max = 4096, .nb_min = 64, .nb_align = 8, .nb_seg_max = 0, .nb_mtu_seg_max = 0};
    info.flow_type_rss_offloads = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_IPV6 |
                                  RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_L2_PAYLOAD;
    info.hash_key_size = 40;
    info.reta_size = 128;
    info.tx_offload_capa = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    info.rx_offload_capa = RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_TCP_LRO;
    return info;
}

DeviceSetup set_up(const rte_eth_dev_info &info, unsigned queues) {
    auto setup = set_up_for(info, {.queue_count = queues, .is_nic = true});
    EXPECT_TRUE(setup) << setup.error();
    return std::move(*setup);
}

TEST(DeviceSetup, SpreadsFlowsByWhatTheDeviceReportsAndNoMore) {
    const auto info = nic();
    const auto setup = set_up(info, 4);
    EXPECT_EQ(setup.queue_count, 4);
    const auto &rss = setup.configuration.rx_adv_conf.rss_conf;
    EXPECT_EQ(setup.configuration.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
    EXPECT_EQ(rss.rss_hf & ~info.flow_type_rss_offloads, 0U);
    EXPECT_NE(rss.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_TCP, 0U);
    EXPECT_EQ(rss.rss_hf & RTE_ETH_RSS_L2_PAYLOAD, 0U) << "frames of a flow must not be spread by what they carry";
    EXPECT_EQ(setup.describe_spread(), "4 queues by RSS over 4-tuples but for IPv6-UDP");
    ASSERT_EQ(setup.spread.size(), 2U);
    std::set<unsigned> queues;
    for (const auto &group : setup.spread) {
        EXPECT_EQ(group.mask, ~std::uint64_t{0});
        for (unsigned entry = 0; entry < RTE_ETH_RETA_GROUP_SIZE; ++entry) {
            EXPECT_EQ(group.reta[entry], entry % 4);
            queues.insert(group.reta[entry]);
        }
    }
    EXPECT_EQ(queues.size(), 4U);
}

TEST(DeviceSetup, TheKeyIsTheSameInEveryRunAndOfTheDevicesSize) {
    auto info = nic();
    info.hash_key_size = 52;
    const auto setup = set_up(info, 2);
    const auto &rss = setup.configuration.rx_adv_conf.rss_conf;
    ASSERT_EQ(rss.rss_key_len, 52);
    EXPECT_EQ(rss.rss_key, setup.rss_key.data());
    EXPECT_EQ(rss.rss_key[0], 0x6d);
    EXPECT_EQ(rss.rss_key[39], 0xfa);
    EXPECT_EQ(rss.rss_key[40], 0x6d);
    info.hash_key_size = 0;
    EXPECT_EQ(set_up(info, 2).configuration.rx_adv_conf.rss_conf.rss_key, nullptr) << "the device takes none";
}

TEST(DeviceSetup, ANicThatCannotSpreadGetsOneQueue) {
    auto info = nic();
    info.flow_type_rss_offloads = 0;
    const auto setup = set_up(info, 4);
    EXPECT_EQ(setup.queue_count, 1);
    EXPECT_NE(setup.configuration.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
    // An AF_XDP port's queues are filled by the kernel's NIC, not by what DPDK sees.
    EXPECT_EQ(set_up_for(info, {.queue_count = 4}).value().queue_count, 4);
}

TEST(DeviceSetup, QueuesAreBoundedByTheDevice) {
    auto info = nic();
    info.max_tx_queues = 3;
    EXPECT_EQ(set_up(info, 16).queue_count, 3);
}

TEST(DeviceSetup, OneQueueNeedsNoSpreading) {
    const auto setup = set_up(nic(), 1);
    EXPECT_EQ(setup.configuration.rx_adv_conf.rss_conf.rss_hf, 0U);
    EXPECT_TRUE(setup.spread.empty());
}

TEST(DeviceSetup, UsesNoOffloadThatThePacketPathDoesNotNeed) {
    auto info = nic();
    EXPECT_EQ(set_up(info, 1).configuration.txmode.offloads, RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
    EXPECT_EQ(set_up(info, 1).configuration.rxmode.offloads, 0U);
    info.tx_offload_capa = RTE_ETH_TX_OFFLOAD_TCP_TSO;
    EXPECT_EQ(set_up(info, 1).configuration.txmode.offloads, 0U) << "only what is reported";
}

TEST(DeviceSetup, RingsAreWithinTheDevicesLimits) {
    auto info = nic();
    EXPECT_EQ(set_up(info, 1).tx_size, 1024) << "the device prefers nothing";
    info.tx_desc_lim = {.nb_max = 4096, .nb_min = 512, .nb_align = 1, .nb_seg_max = 0, .nb_mtu_seg_max = 0}; // vmxnet3
    info.default_txportconf.ring_size = 256;
    EXPECT_EQ(set_up(info, 1).tx_size, 512);
    info.rx_desc_lim = {.nb_max = 256, .nb_min = 32, .nb_align = 1, .nb_seg_max = 0, .nb_mtu_seg_max = 0}; // virtio
    EXPECT_EQ(set_up(info, 1).rx_size, 256);
    info.default_txportconf.ring_size = 2048;
    EXPECT_EQ(set_up(info, 1).tx_size, 1024) << "there are buffers for no more";
}

TEST(DeviceSetup, TheLinkIsAskedForNotInterruptedBy) {
    auto info = nic();
    const std::uint32_t flags = RTE_ETH_DEV_INTR_LSC;
    info.dev_flags = &flags;
    EXPECT_EQ(set_up(info, 1).configuration.intr_conf.lsc, 0U) << "with it, PortWatch would be told what the last interrupt said";
}

TEST(DeviceSetup, AnMtuThatTheDeviceDoesNotTakeIsAnError) {
    auto info = nic();
    info.max_mtu = 1500;
    const auto setup = set_up_for(info, {.queue_count = 1, .mtu = 9000, .is_nic = true});
    ASSERT_FALSE(setup);
    EXPECT_EQ(setup.error(), "needs an MTU of 9000, the device takes 68 to 1500");
}

} // namespace
} // namespace fairlead::io
