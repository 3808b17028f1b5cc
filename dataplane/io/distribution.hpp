// SPDX-License-Identifier: Apache-2.0
/// Which worker serves what, and how packets go from one worker to another where there are more workers than queues, or one
/// queue is hot.
///
/// Queue q of port i is worker (i + q) % workers. Where a port is distributed, that worker receives and hands each packet to the
/// worker that its flow belongs to, by a hash of the addresses and ports, over a ring from the one to the other: all packets of
/// a flow take one way, so they stay in order. Who has decided a packet sends it by a queue of its own where the device has one
/// for each worker, else gives it back to be sent. Each ring has one writer and one reader, and none ever waits.
#pragma once

#include "dataplane/io/options.hpp"
#include "dataplane/io/poll_loop.hpp"
#include "dataplane/io/port.hpp"
#include "dataplane/io/port_watch.hpp"
#include "dataplane/io/result.hpp"

#include <rte_ring.h>

#include <memory>
#include <span>
#include <vector>

namespace fairlead::io {

class Distribution {
  public:
    /// Of the opened ports. A worker's queues are at its index.
    [[nodiscard]] static Result<Distribution> make(std::span<const Port> ports, const Twins &twins, unsigned worker_count, Distribute use);

    [[nodiscard]] const std::vector<PortQueue> &queues_of(unsigned worker) const { return queues_[worker]; }
    /// The least of the ports that a worker serves.
    [[nodiscard]] unsigned mtu_of(unsigned worker) const { return mtus_[worker]; }
    /// Whether the port's packets are handed on.
    [[nodiscard]] static bool is_spread(const Port &port, unsigned worker_count, Distribute use);

    /// Buffers that rings may hold of one queue's packets.
    [[nodiscard]] static unsigned held_buffer_count(PortKind kind, unsigned worker_count, Distribute use);

  private:
    struct FreeRing {
        void operator()(rte_ring *ring) const { rte_ring_free(ring); }
    };
    [[nodiscard]] Result<void> spread(const Port &port, PortQueue &received);
    void add(unsigned worker, const Port &port, PortQueue queue);
    [[nodiscard]] rte_ring *make_ring(const Port &port, unsigned queue, unsigned from, unsigned to);

    std::vector<std::vector<PortQueue>> queues_;
    std::vector<unsigned> mtus_;
    std::vector<std::unique_ptr<rte_ring, FreeRing>> rings_;
};

} // namespace fairlead::io
