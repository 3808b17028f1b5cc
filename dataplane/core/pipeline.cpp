// SPDX-License-Identifier: Apache-2.0
// What few packets need: second lines, rows, verdicts other than to forward. packet_path.hpp has the way through.
#include "dataplane/core/packet_path.hpp"

namespace fairlead::core {

namespace {

bool is_living(const Forwarding &forwarding, const Connection &connection) noexcept {
    return forwarding.is_living() && forwarding.epoch == connection.epoch;
}

/// Whether the generation knows nothing of an entry's backend: its slot is free, or another's.
bool is_unknown(const Forwarding &forwarding, const Connection &connection) noexcept {
    return forwarding.state == kSlotFree || forwarding.epoch != connection.epoch;
}

/// Whether the client of an entry that does not hold is to be told so. Not of an unsure one: its connection may be alive
/// elsewhere; and not when it asks for a new one.
bool is_to_be_reset(const Generation &generation, const Connection &connection, const Packet &packet) noexcept {
    const Forwarding &forwarding = generation.forwarding_of(connection.slot);
    return forwarding.state == kSlotReset && forwarding.epoch == connection.epoch && !connection.is_unsure &&
           !is_opening(packet) && packet.flow.protocol == kIpProtocolTcp;
}

} // namespace

Pipeline::Pipeline(const PipelineOptions &options)
    : counters_(options.counters), connections_(options.connection_memory, options.counters.slots, options.counters.services),
      wide_connections_(options.wide_connection_memory, options.counters.slots, options.counters.services), mtu_(options.mtu),
      has_kernel_(options.has_kernel) {
    if (options.counts_inherited) inherited_gauge_.emplace(options.counters.slots);
}

[[gnu::noinline]] void Pipeline::follow_wide_connection(const Burst &b, Packet &packet) noexcept {
    const WideKey key = WideKey::of(packet.flow, packet.service);
    auto *line = wide_connections_.first(packet.hash);
    u64 *value = wide_connections_.find_in(line, key);
    if (value && follow_entry(b.generation, *value, packet, b.now_s)) return;
    wide_connections_.prefetch_second(line, key);
    postpone(b, packet);
}

/// For those that their connections' first lines have not decided.
void Pipeline::select_backends(const Burst &b) noexcept {
    for (unsigned w = 0; w < wide_count_; ++w) follow_wide_connection(b, packets_[wide_[w]]);
    for (unsigned p = 0; p < pending_count_; ++p) select_backend(b, packets_[pending_[p]]);
}

[[gnu::noinline]] void Pipeline::select_backend(const Burst &b, Packet &packet) noexcept {
    if (b.generation.service(packet.service).any_port) select_in(b, packet, wide_connections_, WideKey::of(packet.flow, packet.service));
    else select_in(b, packet, connections_, packet.key);
    if (packet.source != Source::kNone) b.generation.prefetch_forwarding(packet.slot());
}

/// Second lines, then rows. Both lines are asked anew, since an earlier packet of the burst may have made the entry.
/// Afterwards the packet has a source, or its verdict stands.
template <class Key> void Pipeline::select_in(const Burst &b, Packet &packet, ConnectionTable<Key> &table, const Key &key) noexcept {
    const Generation &generation = b.generation;
    const Service &service = generation.service(packet.service);
    // Without its beginning a connection's backend is not known for sure.
    bool is_unsure = service.alternates && !is_opening(packet);
    u64 *value = table.find(packet.hash, key);
    if (!value && inherited_) [[unlikely]] value = inherit(generation, table, packet.hash, key, b.now_s);
    if (value) {
        if (follow_entry(generation, *value, packet, b.now_s)) return;
        const Connection connection = Connection::unpack(*value);
        if (holds_unknown_ && !is_opening(packet) && is_unknown(generation.forwarding_of(connection.slot), connection)) [[unlikely]]
            return drop(packet, DropReason::backend_unknown);
        const bool is_reset = is_to_be_reset(generation, connection, packet);
        // A SYN that begins elsewhere may be forged, and the connection before it be alive.
        is_unsure |= service.alternates && is_living(generation.forwarding_of(connection.slot), connection);
        table.erase(packet.hash, key);
        if (inherited_) inherited_->forget(packet.hash, key);
        add(counters_.worker.connections_stale);
        if (is_reset) return reset(packet);
    }
    packet.tenant = is_unsure ? select_unsure(service, packet.hash) : select_by_row(service, packet.hash);
    if (packet.slot() == kNoSlot) return drop(packet, DropReason::no_backend);
    packet.source = is_unsure ? Source::kHops : Source::kRow;
    if (const auto state = first_state(packet)) {
        const Connection connection{packet.slot(), generation.forwarding(packet.slot()).epoch, *state, b.now_s, is_unsure};
        if (table.insert(generation, packet.hash, key, connection, b.now_s)) {
            add(counters_.worker.connections_opened);
            add(counters_.services[packet.service].connections_opened);
            add(counters_.slots[packet.slot()].connections_opened);
        } else add(counters_.worker.connections_unrecorded);
    }
}

/// Moves a flow's entry from the inherited tables to its own.
/// @return its value; where the own table has no room, that of the inherited one. Null: none of them has the flow.
template <class Key>
u64 *Pipeline::inherit(const Generation &generation, ConnectionTable<Key> &table, const FlowHash &hash, const Key &key,
                       u32 now_s) noexcept {
    const auto entry = inherited_->find(hash, key);
    if (!entry) return nullptr;
    const Connection connection = Connection::unpack(entry.value());
    if (expired(generation, key.service(), connection, now_s)) return nullptr;
    if (!table.insert(generation, hash, key, connection, now_s)) return &entry.value();
    entry.clear(); // copied first: who dies here leaves it twice, and the own one is asked first
    add(counters_.worker.connections_inherited);
    return table.find(hash, key);
}

/// Answers for a dead backend.
void Pipeline::reset(Packet &packet) noexcept {
    if (packet.tcp_flags & kTcpRst) return drop(packet, DropReason::backend_dead); // never a reset for a reset
    packet.verdict = Verdict::kReply;
    ++not_forwarded_;
    add(counters_.worker.resets_sent);
}

/// The packet goes no further, and is counted.
void Pipeline::drop(Packet &packet, DropReason reason) noexcept {
    ++not_forwarded_;
    packet.verdict = Verdict::kDrop;
    packet.reason = reason;
    count_drop(reason);
    if (packet.service != ServiceTable::kNone) add(counters_.services[packet.service].drops[static_cast<u8>(reason)]);
}

void Pipeline::leave_to_kernel(Packet &packet, DropReason otherwise) noexcept {
    if (!has_kernel_) return drop(packet, otherwise);
    if (kernel_room_ == 0) return drop(packet, DropReason::kernel_full);
    --kernel_room_;
    ++not_forwarded_;
    packet.verdict = Verdict::kKernel;
    add(counters_.worker.kernel_packets);
}

[[gnu::noinline]] void Pipeline::drop_unsendable(const Burst &b, Packet &packet, const Forwarding &forwarding) noexcept {
    drop(packet, forwarding.reach == Forwarding::kUnresolved               ? DropReason::no_next_hop
                 : u32{packet.ip_length} + forwarding.reach > b.length_max ? DropReason::too_big
                                                                           : DropReason::no_headroom);
}

/// By which generation the burst was decided.
void Pipeline::count_generation(u64 number) noexcept {
    GenerationCounters &mine = counters_.worker.generations[number % kGenerationHistory];
    if (mine.generation != number) [[unlikely]] {
        set(mine.packets, 0);
        set(mine.generation, number);
        set(counters_.worker.generation, number);
    }
    add(mine.packets, burst_size_);
}

void Pipeline::count_drop(DropReason reason) noexcept { add(counters_.worker.drops[static_cast<u8>(reason)]); }

template void Pipeline::process<Frame>(const Generation *, std::span<Frame>, const MacAddress &, u64) noexcept;

} // namespace fairlead::core
