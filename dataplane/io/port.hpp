// SPDX-License-Identifier: Apache-2.0
/// A port: one device of DPDK's, with its queues and their packet buffers.
///
/// A port is prepared before EAL starts (does it exist, what does it need), then opened, started, and
/// closed by its destructor, which leaves the device as it was. Queue q of port i is served by worker
/// (i + q) % workers. Only PCI ports and AF_XDP ports on devices with several channels have more than one queue.
///
/// A PCI device may go while its port is served: the main thread withdraws the port from the workers, waits until none is
/// in one of its queues any more (GenerationStore's grace periods), closes it, and opens it again when the device is back.
/// The port's packet buffers stay meanwhile.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/io/device_setup.hpp"
#include "dataplane/io/packet_pool.hpp"
#include "dataplane/io/port_spec.hpp"
#include "dataplane/io/result.hpp"

#include <rte_ring.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::io {

/// What is known of a port before DPDK runs.
struct PortPlan {
    PortSpec spec;
    unsigned index = 0;       ///< among the program's ports
    unsigned queue_count = 1;
    unsigned mtu = 1500;      ///< of the device
    std::filesystem::path steer_object; ///< kAfXdp; empty: libxdp's own program, which brings every packet
    unsigned held_buffer_count = 0;     ///< of each queue: what someone keeps of its packets all the time
    unsigned tx_queue_count = 0;        ///< DeviceWish's
    bool is_distributed = false;        ///< DeviceWish's
    int node = -1;                      ///< NUMA node of the device; -1: any
    std::string twin;                   ///< kPci: the kernel's interface beside it; empty: none

    [[nodiscard]] std::size_t memory_bytes() const { return queue_count * PacketPool::memory_bytes(spec.kind, mtu, held_buffer_count); }
};

/// Asks the machine about a port; changes nothing. The error names the port, what it needs and what there is.
[[nodiscard]] Result<PortPlan> plan_port(const PortSpec &spec, unsigned index, unsigned worker_count, unsigned mtu);

class Port {
  public:
    [[nodiscard]] static Result<Port> open(const PortPlan &plan);

    Port(Port &&other) noexcept;
    Port &operator=(Port &&) = delete;
    ~Port();

    /// From here on workers may serve it.
    [[nodiscard]] Result<void> start();

    /// Workers find kNoId from now on: they leave the port alone after their next quiescent state.
    void withdraw() { serving_->store(kNoId, std::memory_order_relaxed); }
    /// Gives the device back. No worker may be in a queue of the port.
    void close();
    /// Takes the device again and starts it, with as many queues as before.
    [[nodiscard]] Result<void> reopen();

    static constexpr std::uint16_t kNoId = 0xffff;
    [[nodiscard]] std::uint16_t id() const { return id_; }
    /// DPDK's number of the device, as workers may use it now; kNoId: they may not. Stays where it is.
    [[nodiscard]] const std::atomic<std::uint16_t> &serving() const { return *serving_; }
    [[nodiscard]] const DeviceSetup &setup() const { return setup_; }
    [[nodiscard]] const PortPlan &plan() const { return plan_; }
    [[nodiscard]] const core::MacAddress &mac() const { return mac_; }
    /// Whoever sends packets of its own on a queue takes them from here: AF_XDP sends no others without a copy.
    [[nodiscard]] rte_mempool *pool(unsigned queue) const { return pools_[queue].get(); }

  private:
    explicit Port(PortPlan plan) : plan_(std::move(plan)) {}
    [[nodiscard]] Result<void> attach();
    [[nodiscard]] Result<void> attach_rings();
    [[nodiscard]] Result<void> configure();
    [[nodiscard]] Result<void> set_up_queues(unsigned socket);
    [[nodiscard]] Result<void> take_mac();
    void spread_flows() const;
    void hear_multicast() const;
    [[nodiscard]] std::unexpected<std::string> cannot(const char *what) const;

    struct FreeRing {
        void operator()(rte_ring *ring) const { rte_ring_free(ring); }
    };

    PortPlan plan_;
    DeviceSetup setup_;
    std::unique_ptr<std::atomic<std::uint16_t>> serving_ = std::make_unique<std::atomic<std::uint16_t>>(kNoId);
    std::uint16_t id_ = kNoId;
    std::string device_; ///< the virtual device made for this port; empty: none
    core::MacAddress mac_{};
    std::vector<PacketPool> pools_; ///< one for each queue
    std::vector<std::unique_ptr<rte_ring, FreeRing>> rings_;
};

} // namespace fairlead::io
