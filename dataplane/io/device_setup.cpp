// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/device_setup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace fairlead::io {

namespace {

constexpr std::uint64_t kFourTuples = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_TCP |
                                      RTE_ETH_RSS_NONFRAG_IPV6_UDP | RTE_ETH_RSS_IPV6_TCP_EX | RTE_ETH_RSS_IPV6_UDP_EX;
// What has no ports is spread by its addresses.
constexpr std::uint64_t kAddresses = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_IPV6 |
                                     RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER | RTE_ETH_RSS_IPV6_EX;

// The key of Microsoft's RSS specification, repeated where a device takes more. Not a driver's own, which may be random: a flow
// comes to the same queue after a restart, where its connection is. Not a symmetric one: the replies never come here, and a
// symmetric key spreads worse.
constexpr std::array<std::uint8_t, 40> kStandardKey{
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
    0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

constexpr std::uint16_t kRingSizeMin = 512;

std::uint16_t ring_size(const rte_eth_desc_lim &limits, std::uint16_t preferred, std::uint16_t most) {
    unsigned size = preferred == 0 ? most : std::clamp<unsigned>(preferred, std::min(kRingSizeMin, most), most);
    if (limits.nb_align != 0) size = (size + limits.nb_align - 1) / limits.nb_align * limits.nb_align;
    if (limits.nb_max != 0) size = std::min<unsigned>(size, limits.nb_max);
    return static_cast<std::uint16_t>(std::max<unsigned>(size, limits.nb_min));
}

void spread_flows(const rte_eth_dev_info &info, DeviceSetup &setup) {
    auto &rss = setup.configuration.rx_adv_conf.rss_conf;
    rss.rss_hf = info.flow_type_rss_offloads & (kFourTuples | kAddresses);
    setup.configuration.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    for (unsigned byte = 0; byte < info.hash_key_size; ++byte) setup.rss_key.push_back(kStandardKey[byte % kStandardKey.size()]);
    rss.rss_key = setup.rss_key.empty() ? nullptr : setup.rss_key.data();
    rss.rss_key_len = info.hash_key_size;
    setup.spread_size = info.reta_size;
    setup.spread.resize((info.reta_size + RTE_ETH_RETA_GROUP_SIZE - 1) / RTE_ETH_RETA_GROUP_SIZE);
    for (unsigned entry = 0; entry < info.reta_size; ++entry) {
        auto &group = setup.spread[entry / RTE_ETH_RETA_GROUP_SIZE];
        group.mask |= std::uint64_t{1} << (entry % RTE_ETH_RETA_GROUP_SIZE);
        group.reta[entry % RTE_ETH_RETA_GROUP_SIZE] = static_cast<std::uint16_t>(entry % setup.queue_count);
    }
}

} // namespace

Result<DeviceSetup> set_up_for(const rte_eth_dev_info &info, const DeviceWish &wish) {
    if (wish.mtu > info.max_mtu || wish.mtu < info.min_mtu)
        return std::unexpected(fmt::format("needs an MTU of {}, the device takes {} to {}", wish.mtu, info.min_mtu, info.max_mtu));
    DeviceSetup setup;
    unsigned queues = std::min<unsigned>({wish.queue_count, info.max_rx_queues, info.max_tx_queues});
    const bool spreads = (info.flow_type_rss_offloads & (kFourTuples | kAddresses)) != 0;
    setup.queue_count = static_cast<std::uint16_t>(queues);
    if (wish.is_nic && !spreads) setup.queue_count = 1; // further queues would stay empty
    if (setup.queue_count == 0) return std::unexpected("the device has no queues");
    setup.configuration.rxmode.mtu = wish.mtu;
    if (setup.queue_count > 1 && spreads) spread_flows(info, setup);
    setup.tx_queue_count = setup.queue_count;
    if (wish.is_nic && wish.tx_queue_count > setup.queue_count && wish.tx_queue_count <= info.max_tx_queues)
        setup.tx_queue_count = static_cast<std::uint16_t>(wish.tx_queue_count);
    // All packets of a queue come from one pool and are never shared: so they do where each worker sends what it received, or
    // all is received by one queue.
    const bool is_one_pool = !wish.is_distributed || setup.queue_count == 1;
    if (is_one_pool) setup.configuration.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    setup.rx_size = ring_size(info.rx_desc_lim, info.default_rxportconf.ring_size, wish.ring_size);
    setup.tx_size = ring_size(info.tx_desc_lim, info.default_txportconf.ring_size, wish.ring_size);
    return setup;
}

std::string DeviceSetup::describe_spread() const {
    const auto fields = configuration.rx_adv_conf.rss_conf.rss_hf;
    if (fields == 0) return fmt::format("{} queues", queue_count);
    const auto missing = [&](std::uint64_t kind) { return (fields & kind) == 0; };
    std::string without;
    if (missing(RTE_ETH_RSS_NONFRAG_IPV4_TCP)) without += " IPv4-TCP";
    if (missing(RTE_ETH_RSS_NONFRAG_IPV4_UDP)) without += " IPv4-UDP";
    if (missing(RTE_ETH_RSS_NONFRAG_IPV6_TCP)) without += " IPv6-TCP";
    if (missing(RTE_ETH_RSS_NONFRAG_IPV6_UDP)) without += " IPv6-UDP";
    return fmt::format("{} queues by RSS over {}{}{}", queue_count, missing(kFourTuples) ? "addresses" : "4-tuples",
                       without.empty() || missing(kFourTuples) ? "" : " but for", missing(kFourTuples) ? "" : without);
}

std::string DeviceSetup::describe() const {
    const auto key = rss_key.empty() ? std::string(configuration.rx_adv_conf.rss_conf.rss_hf != 0 ? ", the device's key" : "")
                                     : fmt::format(", the standard key of {} bytes", rss_key.size());
    return fmt::format("{}{}, {}/{} descriptors", describe_spread(), key, rx_size, tx_size);
}

} // namespace fairlead::io
