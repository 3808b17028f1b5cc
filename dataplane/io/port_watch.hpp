// SPDX-License-Identifier: Apache-2.0
/// What happens to ports while they are served: links that go and come, devices that are removed and added again. Each is an
/// event: a line of the log, and counted (wire::PortCounters). The main thread's.
///
/// Links are asked for every 100 ms, on every NIC, rather than waited for by interrupt: with the interrupt turned on a driver only
/// repeats what the last one said, and e1000e's and vmxnet3's never came under vfio (QEMU 7.2, DPDK 22.11).
///
/// A device that goes is withdrawn from the workers first and closed when none can be in its queues any more; from then on it
/// is looked for, and taken again once it is bound. Its twin in the kernel stays, without a carrier meanwhile.
#pragma once

#include "dataplane/io/counters_file.hpp"
#include "dataplane/io/generation_store.hpp"
#include "dataplane/io/port.hpp"
#include "dataplane/io/twin.hpp"

#include <rte_dev.h>

#include <atomic>
#include <memory>
#include <span>
#include <vector>

namespace fairlead::io {

/// Twins by port; null where a port has none.
using Twins = std::vector<std::unique_ptr<Twin>>;

class PortWatch {
  public:
    /// How often look() is to be called while a port can change.
    static constexpr int kPeriod_ms = 100;

    /// All are started.
    PortWatch(std::span<Port> ports, const Twins &twins, const CountersFile &counters, GenerationStore &store);
    ~PortWatch();
    PortWatch(const PortWatch &) = delete;
    PortWatch &operator=(const PortWatch &) = delete;

    /// Whether any port can change at all: a NIC's can.
    [[nodiscard]] bool is_needed() const { return !watched_.empty(); }
    void look();

  private:
    enum class State { kServed, kWithdrawn, kAway };
    /// What DPDK's interrupt thread says; it lives as long as DPDK may.
    struct Heard {
        std::atomic<bool> leaves{false};
    };
    struct Watched {
        Port *port;
        Twin *twin; ///< null: none
        wire::PortCounters *counters;
        std::unique_ptr<Heard> heard;
        State state = State::kServed;
        wire::u64 grace = 0;       ///< kWithdrawn: the workers that pass it are out of the port's queues
        bool link_is_up = false;
        std::string obstacle{};    ///< kAway: said last
        unsigned rests_for = 0;    ///< kAway: looks until it is tried again
    };

    static int hear_port(std::uint16_t id, rte_eth_event_type event, void *heard, void *);
    static void hear_device(const char *name, rte_dev_event_type event, void *heard);
    static void listen(const Watched &);
    void follow_link(Watched &);
    void withdraw(Watched &, const char *why);
    void give_back(Watched &);
    void look_for(Watched &);

    std::vector<Watched> watched_;
    GenerationStore &store_;
};

} // namespace fairlead::io
