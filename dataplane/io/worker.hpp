// SPDX-License-Identifier: Apache-2.0
/// A worker: one thread that receives, decides and sends; the only code that touches packets.
///
/// It shares nothing that it writes: its queues, its connection tables and its counters are its own. What it
/// reads and others write is the generation (GenerationStore) and the word to stop.
#pragma once

#include "dataplane/io/forwarder.hpp"
#include "dataplane/io/poll_loop.hpp"

namespace fairlead::io {

class Worker {
  public:
    struct Setup {
        unsigned index;
        wire::CounterBlock &counters;
        unsigned mtu;
        Idle idle;
        std::vector<PortQueue> queues;
        TableMemory connections;
        TableMemory wide_connections;
        bool counts_inherited = false; ///< one worker does
    };

    /// @param stop set by the main thread when the worker is to end.
    Worker(Setup setup, GenerationStore &store, const std::atomic<bool> &stop)
        : forwarder_({.counters = setup.counters,
                      .mtu = setup.mtu,
                      .connections = std::move(setup.connections),
                      .wide_connections = std::move(setup.wide_connections),
                      .counts_inherited = setup.counts_inherited},
                     store),
          loop_({.index = setup.index, .idle = setup.idle, .queues = std::move(setup.queues), .counters = &setup.counters.worker},
                forwarder_, store, stop) {}

    Worker(const Worker &) = delete;
    Worker &operator=(const Worker &) = delete;

    /// Takes over the connections in its tables' memory; on the worker's own lcore, before run().
    void adopt() noexcept { adopted_ = forwarder_.adopt(); }
    [[nodiscard]] const core::TableAdoption &adopted() const { return adopted_; }

    /// The loop, on the worker's own lcore.
    void run() noexcept { loop_.run(); }

  private:
    Forwarder forwarder_;
    PollLoop<Forwarder> loop_;
    core::TableAdoption adopted_;
};

} // namespace fairlead::io
