// SPDX-License-Identifier: Apache-2.0
/// What a worker's port offers: a callback of the port's (net_null's, whose empty frames it fills) writes the headers of a
/// TCP packet into every mbuf of a burst, of a flow drawn at random.
///
/// One thread, the worker's, but for reset() and the counts between rounds. Only headers are written; checksums are 0, since
/// no balancer looks at them.
#pragma once

#include "dataplane/wire/packet.h"
#include "perf/mpps/options.hpp"
#include "perf/xorshift.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

struct rte_mbuf;

namespace fairlead::mpps {

/// Which packets belong to a flow, by its number: the client's address and port, and the service.
class FlowSpace {
  public:
    static constexpr std::uint32_t kClientNetwork = 0x0a000000; ///< 10.0.0.0/8: four bits the worker, 20 the client
    static constexpr std::uint32_t kVipNetwork = 0xc6120000;    ///< 198.18.0.0/15 (RFC 2544), one address a service

    FlowSpace(unsigned worker, unsigned services) : first_address_(kClientNetwork + (worker << 20)), services_(services) {}

    [[nodiscard]] std::uint32_t address(std::uint32_t flow) const { return first_address_ + (flow >> kPortBits); }
    [[nodiscard]] std::uint16_t port(std::uint32_t flow) const { return static_cast<std::uint16_t>(kFirstPort + (flow & ((1U << kPortBits) - 1))); }
    /// Fibonacci hashing spreads neighbouring flows over the services.
    [[nodiscard]] std::uint32_t vip(std::uint32_t flow) const {
        return kVipNetwork + static_cast<std::uint32_t>((std::uint64_t{flow * 0x9e3779b1U} * services_) >> 32);
    }
    /// The flow of a packet with this source.
    [[nodiscard]] std::uint32_t flow(std::uint32_t address, std::uint16_t port) const {
        return (address - first_address_) << kPortBits | (port - kFirstPort);
    }

  private:
    static constexpr unsigned kPortBits = 14;
    static constexpr std::uint32_t kFirstPort = 1024;
    std::uint32_t first_address_;
    std::uint32_t services_;
};

class Offer {
  public:
    /// Buffers that cold headers keep waiting: with three lines touched in each, some three times the L2 of a large core.
    static constexpr unsigned kColdDepth = 16384;

    /// @param stop set when a pass over all flows has ended, so that the loop ends.
    Offer(const Options &options, unsigned worker, std::atomic<bool> &stop);

    /// To be done once, before the port starts.
    void attach(std::uint16_t port);

    /// From now on each flow in turn, once, with these TCP flags; then the loop is stopped.
    void pass(std::uint8_t tcp_flags);
    /// From now on flows drawn at random, without end.
    void draw();

    [[nodiscard]] std::uint64_t offered() const { return offered_; } ///< packets, since the beginning
    [[nodiscard]] const FlowSpace &flows() const { return flows_; }

  private:
    static std::uint16_t receive(std::uint16_t port, std::uint16_t queue, rte_mbuf **packets, std::uint16_t count, std::uint16_t room, void *offer);
    [[nodiscard]] std::uint16_t fill_pass(rte_mbuf **packets, std::uint16_t count);
    void fill_drawn(rte_mbuf **packets, std::uint16_t count);
    void let_cool(rte_mbuf **packets, std::uint16_t count);
    void write(rte_mbuf *packet, std::uint32_t flow, std::uint8_t tcp_flags, std::uint16_t length) const;

    FlowSpace flows_;
    std::atomic<bool> &stop_;
    std::uint32_t flow_count_;
    std::uint32_t new_flow_below_; ///< of 2^32 draws, those of new flows; 0: none
    bool all_new_;
    bool imix_;
    bool is_cold_;
    std::uint16_t frame_length_; ///< bytes without the CRC
    std::optional<std::uint8_t> pass_flags_;
    std::uint32_t next_in_pass_ = 0;
    std::uint32_t next_new_;
    perf::Xorshift random_;
    std::uint64_t offered_ = 0;
    std::vector<rte_mbuf *> cooling_; ///< a ring; written packets that wait until their headers are cold
    std::size_t coolest_ = 0;
    alignas(64) std::uint8_t template_[64];
};

} // namespace fairlead::mpps
