// SPDX-License-Identifier: Apache-2.0
/// The dataplane's packet path over mbufs: core's pipeline, and the connection tables that it works on. A worker's own.
#pragma once

#include "dataplane/core/pipeline.hpp"
#include "dataplane/io/poll_loop.hpp"
#include "dataplane/io/table_memory.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace fairlead::io {

class Forwarder {
  public:
    struct Setup {
        wire::CounterBlock &counters;
        unsigned mtu;
        TableMemory connections;
        TableMemory wide_connections;
        bool counts_inherited = false; ///< one worker's does
    };

    Forwarder(Setup setup, const GenerationStore &store);

    /// Takes over the connections in its tables' memory; on the worker's own lcore, before the first packet.
    core::TableAdoption adopt() noexcept { return pipeline_.adopt(); }
    /// Expires whatever is due by then, in whole tables. Not while packets come.
    void expire_all(const core::Generation &generation, wire::u64 now_ns) noexcept { pipeline_.expire_all(generation, now_ns); }

    // PacketPath

    void begin_round(const core::Generation *generation) noexcept {
        if (generation && generation->number() != key_number_) [[unlikely]] follow_key(*generation);
        if (is_forgetting_) [[unlikely]] forget_next();
        pipeline_.consult(store_.inherited());
    }
    [[nodiscard]] std::uint16_t decide(const core::Generation *generation, std::span<rte_mbuf *> packets, const PortQueue &queue,
                                       wire::u64 now_ns) noexcept;
    void housekeep(const core::Generation *generation, wire::u64 now_ns) noexcept { pipeline_.housekeep(generation, now_ns); }

  private:
    [[nodiscard]] std::uint16_t settle(std::span<rte_mbuf *> packets, const PortQueue &queue) noexcept;
    [[nodiscard]] std::array<TableHeader *, 2> tables() const {
        return {&setup_.connections.header(), &setup_.wide_connections.header()};
    }
    void follow_key(const core::Generation &generation) noexcept;
    void forget_next() noexcept;

    Setup setup_;
    const GenerationStore &store_;
    core::Pipeline pipeline_;
    wire::u64 key_number_ = 0;   ///< generation whose key was compared last
    wire::u64 key_digest_ = 0;   ///< of that key
    bool is_forgetting_ = false; ///< the tables were filled under another key
};

} // namespace fairlead::io
