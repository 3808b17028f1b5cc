// SPDX-License-Identifier: Apache-2.0
// One worker's packet path: parse -> service -> connection -> select -> encapsulate -> verdict.
//
// Invariant: all packets of a burst are decided by the one generation passed in. Owner and only
// user: one worker thread; nothing here is shared but the counters, which others read.
// packet_path.hpp has the way of a burst.
#pragma once

#include "dataplane/core/connection_table.hpp"
#include "dataplane/core/count.hpp"
#include "dataplane/core/frame.hpp"
#include "dataplane/core/generation.hpp"
#include "dataplane/core/inherited_tables.hpp"
#include "dataplane/core/parse.hpp"

#include <array>
#include <optional>
#include <span>

namespace fairlead::core {

struct PipelineOptions {
    wire::CounterBlock &counters;
    std::span<std::byte> connection_memory;      ///< zeroed (or see adopt()), 64-byte aligned; see connection_memory_bytes()
    std::span<std::byte> wide_connection_memory; ///< the same, for flows with wide keys (`port: any`)
    wire::u32 mtu = 1500;                        ///< bytes of the longest IP packet that may leave
    bool has_kernel = false;                     ///< what is for no VIP can be handed to the kernel; else it drops
    bool counts_inherited = false;               ///< this worker's counters include what inherited tables hold
};

/// Of a monotonic clock's time, as connection entries have it.
[[nodiscard]] constexpr wire::u32 seconds(wire::u64 now_ns) noexcept { return static_cast<wire::u32>(now_ns / 1'000'000'000) & 0xffffff; }

class Pipeline {
  public:
    explicit Pipeline(const PipelineOptions &options);

    /// Decides and rewrites a burst of at most kBurstSizeMax frames. Over Frame it is there; who has packets of another type
    /// includes packet_path.hpp, and instantiates it for them.
    /// @param generation null before the first adoption: everything is for the kernel, or drops as no_snapshot.
    /// @param source_mac link-layer source of what leaves, the port's own.
    /// @param now_ns a monotonic clock.
    template <class F>
    void process(const Generation *generation, std::span<F> burst, const MacAddress &source_mac, wire::u64 now_ns) noexcept;
    void process(const Generation *generation, std::span<Frame> burst, const MacAddress &source_mac, wire::u64 now_ns) noexcept {
        process<Frame>(generation, burst, source_mac, now_ns);
    }

    /// Expires connections, a bounded piece of the tables a call; call it about once a millisecond, also when idle: then a
    /// connection is gone, and no longer counted, some 4 s after its timeout (8 s in a table of 10 million).
    void housekeep(const Generation *generation, wire::u64 now_ns) noexcept;

    /// Expires whatever is due, in the whole tables. Not for the packet path.
    void expire_all(const Generation &generation, wire::u64 now_ns) noexcept;

    /// Forgets all connections.
    void forget() noexcept;

    /// Takes over the connections that an earlier process has left in the tables' memory; before the first packet.
    TableAdoption adopt() noexcept;

    /// Forgets all connections a piece at a time, between bursts: call forget_next() until it says that nothing is left.
    /// Meanwhile packets go by their rows, unrecorded. For a new flow-hash key, under which each entry is in a wrong line.
    void start_forgetting() noexcept;
    bool forget_next() noexcept;

    /// What process() asks when the own tables have no entry, until this is called again; null: nothing.
    void consult(const InheritedTables *inherited) noexcept {
        inherited_ = inherited;
        if (inherited_gauge_) inherited_gauge_->follow(inherited);
    }

    /// While the generation is one that an earlier process has left, entries may name backends that were added after it: their
    /// packets drop, and the entries stay, until the control plane has said what it knows. A lost packet is sent again.
    void hold_unknown(bool holds) noexcept { holds_unknown_ = holds; }

    /// Whether what is for no VIP in the bursts to come can be handed to the kernel, and how many packets of it: the rest drops as
    /// kernel_full.
    void set_kernel(bool has_kernel, wire::u64 room) noexcept {
        has_kernel_ = has_kernel;
        kernel_room_ = room;
    }

    /// Counts a drop that happened outside (a full queue, a frame that is no frame).
    void count_drop(wire::DropReason reason) noexcept;

    /// How packet `i` of the last burst was decided.
    [[nodiscard]] Decision decision(unsigned i) const noexcept {
        return {packets_[i].verdict, packets_[i].reason, packets_[i].service, packets_[i].slot(), packets_[i].source};
    }
    [[nodiscard]] unsigned burst_size() const noexcept { return burst_size_; }
    /// Packets of the last burst that were not forwarded.
    [[nodiscard]] unsigned not_forwarded() const noexcept { return not_forwarded_; }

  private:
    struct Burst;
    struct Encapsulation;
    template <class F> void process_without_generation(std::span<F>) noexcept;
    template <class Family, class F> void classify_burst(const Burst &, std::span<F>) noexcept;
    template <class F> void forward_burst(const Burst &, std::span<F>) noexcept;
    void follow(const Burst &, unsigned begin, unsigned count) noexcept;
    void select_backends(const Burst &) noexcept;
    template <class F> wire::u64 encapsulate(const Burst &, std::span<F>, unsigned begin) noexcept;

    // One step each, of one packet.
    template <class Family, class F> wire::u16 classify(const Burst &, ServiceTable::Lookup, Packet &, F &) noexcept;
    template <class Family, class F> void classify_uncommon(const Burst &, Packet &, F &) noexcept;
    void follow_connection(const Burst &, Packet &, wire::u32 unchanged) noexcept;
    void follow_closely(const Burst &, Packet &) noexcept;
    void follow_wide_connection(const Burst &, Packet &) noexcept;
    void postpone(const Burst &, Packet &) noexcept;
    void select_backend(const Burst &, Packet &) noexcept;
    template <class Key> void select_in(const Burst &, Packet &, ConnectionTable<Key> &, const Key &) noexcept;
    template <class F> wire::u32 encapsulate_sure(const Burst &, Encapsulation, Packet &, F &) noexcept;
    template <class F> wire::u32 encapsulate_stale(const Burst &, Packet &, F &) noexcept;
    template <class F> wire::u32 encapsulate_any(const Burst &, Packet &, F &) noexcept;

    template <class Key>
    wire::u64 *inherit(const Generation &, ConnectionTable<Key> &, const wire::FlowHash &, const Key &, wire::u32 now_s) noexcept;
    void drop_unsendable(const Burst &, Packet &, const Forwarding &) noexcept;
    void drop(Packet &, wire::DropReason) noexcept;
    void leave_to_kernel(Packet &, wire::DropReason otherwise) noexcept;
    void reset(Packet &) noexcept;
    static void count_packet(wire::TrafficCounters &, wire::u32 length) noexcept;
    [[nodiscard]] wire::u8 index(const Packet &packet) const noexcept { return static_cast<wire::u8>(&packet - packets_.data()); }
    template <class F> void count_by_service(std::span<F>) noexcept;
    void count_generation(wire::u64 number) noexcept;

    wire::CounterBlock &counters_;
    ConnectionTable<CompactKey> connections_;
    ConnectionTable<WideKey> wide_connections_;
    const InheritedTables *inherited_ = nullptr;
    std::optional<InheritedGauge> inherited_gauge_;
    wire::u64 housekept_ns_ = 0;
    wire::u32 mtu_;
    bool has_kernel_;
    wire::u64 kernel_room_ = ~wire::u64{0}; ///< packets; without end, unless set_kernel() has said otherwise
    bool holds_unknown_ = false;
    unsigned burst_size_ = 0;
    std::array<Packet, kBurstSizeMax> packets_;
    std::array<wire::u8, kBurstSizeMax> pending_; ///< indices of packets that their connections' first lines do not decide
    unsigned pending_count_ = 0;
    std::array<wire::u8, kBurstSizeMax> wide_;    ///< indices of packets whose connections have wide keys
    unsigned wide_count_ = 0;
    unsigned not_forwarded_ = 0; ///< of the burst: decided in another way
};

extern template void Pipeline::process<Frame>(const Generation *, std::span<Frame>, const MacAddress &, wire::u64) noexcept;

} // namespace fairlead::core
