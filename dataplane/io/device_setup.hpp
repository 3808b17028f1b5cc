// SPDX-License-Identifier: Apache-2.0
/// How a device is set up, of what it says it can do: queues, spreading of flows, descriptors, offloads. Pure.
///
/// Nothing is asked of a device that it does not report. All checksums are made by the packet path (outer IPv4 header;
/// outer UDP has none), the inner ones are the client's, and no packet that leaves is longer than the MTU: so neither
/// checksum nor segmentation offloads are used, in either direction. With receive offloads off, a virtual device hands over
/// packets whose checksums are complete, which those from its own host otherwise lack.
#pragma once

#include "dataplane/io/result.hpp"

#include <rte_ethdev.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::io {

struct DeviceWish {
    unsigned queue_count = 1;
    unsigned tx_queue_count = 0; ///< one for each worker, where there are fewer to receive by; 0: as many
    unsigned mtu = 1500;
    std::uint16_t ring_size = 1024; ///< where the device prefers nothing, and at most
    bool is_distributed = false; ///< a worker may send what another has received
    bool is_nic = false;            ///< a queue is of use where flows are spread over it; the link may come and go
};

struct DeviceSetup {
    rte_eth_conf configuration{};
    std::uint16_t queue_count = 1;
    std::uint16_t tx_queue_count = 1; ///< as wished, or as many as to receive by
    std::uint16_t rx_size = 0; ///< descriptors of a queue
    std::uint16_t tx_size = 0;
    std::vector<std::uint8_t> rss_key;            ///< configuration points at it
    std::uint16_t spread_size = 0;                ///< entries of the next
    std::vector<rte_eth_rss_reta_entry64> spread; ///< hash -> queue, round robin; empty: the device has no such table

    DeviceSetup() = default;
    DeviceSetup(DeviceSetup &&) noexcept = default; // a vector's bytes stay where they are
    DeviceSetup &operator=(DeviceSetup &&) noexcept = default;

    /// "4 queues by 4-tuples, 1024/1024 descriptors"
    [[nodiscard]] std::string describe() const;
    /// What flows a device spreads over queues, in words: part of what makes a connection table fit a later run.
    [[nodiscard]] std::string describe_spread() const;
};

/// The error says what the device cannot do that is wished.
[[nodiscard]] Result<DeviceSetup> set_up_for(const rte_eth_dev_info &info, const DeviceWish &wish);

} // namespace fairlead::io
