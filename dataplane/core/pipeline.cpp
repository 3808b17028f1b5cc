// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/pipeline.hpp"

#include "dataplane/core/encapsulate.hpp"
#include "dataplane/core/reset.hpp"
#include "dataplane/core/select.hpp"

namespace fairlead::core {

using namespace wire;

namespace {

constexpr u64 kNsPerS = 1'000'000'000;
constexpr u64 kSweepPeriodNs = 4 * kNsPerS; ///< in which the whole of a table is looked through, if kSweepLinesMax allows
constexpr u64 kSweepLinesMax = 512;         ///< per housekeeping call and table: some 5 us
constexpr std::size_t kClearLinesMax = 1024; ///< per call and table: some 20 us

u32 seconds(u64 now_ns) noexcept { return static_cast<u32>(now_ns / kNsPerS) & 0xffffff; }

/// What the slot of an entry is in this generation.
const Forwarding &forwarding_of(const Generation &generation, const Connection &connection) noexcept {
    return generation.forwarding(std::min<u32>(connection.slot, generation.slot_count()));
}

bool is_living(const Forwarding &forwarding, const Connection &connection) noexcept {
    return forwarding.is_living() && forwarding.epoch == connection.epoch;
}

/// Whether the generation knows nothing of an entry's backend: its slot is free, or another's.
bool is_unknown(const Forwarding &forwarding, const Connection &connection) noexcept {
    return forwarding.state == kSlotFree || forwarding.epoch != connection.epoch;
}

/// Gives the packet the slot of its entry, and brings the entry up to date.
/// @return false if the entry does not hold for this packet: its slot has another tenant now, its backend is dead, or the
///         packet begins another connection.
inline bool follow(const Generation &generation, u64 &value, Packet &packet, u32 now_s) noexcept {
    const u64 before = value;
    const Forwarding &forwarding = generation.forwarding(std::min<u32>(static_cast<u16>(before), generation.slot_count()));
    if (forwarding.tenant != static_cast<u32>(before)) [[unlikely]] return false;
    if (is_opening(packet) && begins_elsewhere(Connection::unpack(before).state, forwarding)) [[unlikely]] return false;
    const u64 after = Connection::touch(before, transition(packet), now_s);
    if (after != before) value = after; // most packets change nothing: leave the line clean
    packet.slot = static_cast<u16>(before);
    packet.source = Connection::is_unsure_value(before) ? Source::kHops : Source::kConnection;
    return true;
}

/// Whether the client of an entry that does not hold is to be told so. Not of an unsure one: its connection may be alive
/// elsewhere; and not when it asks for a new one.
bool is_to_be_reset(const Generation &generation, const Connection &connection, const Packet &packet) noexcept {
    const Forwarding &forwarding = forwarding_of(generation, connection);
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

void Pipeline::process(const Generation *generation, std::span<Frame> burst, const MacAddress &source_mac,
                       u64 now_ns) noexcept {
    burst_size_ = static_cast<unsigned>(burst.size());
    pending_count_ = 0;
    WorkerCounters &worker = *counters_.worker;
    add(worker.bursts);
    add(worker.received_packets, burst_size_);
    const u32 now_s = seconds(now_ns);
    if (generation) [[likely]] {
        classify<Ipv4>(*generation, burst);
        look_up_connections<Ipv4>(*generation, burst, now_s);
        select_backends<Ipv4>(*generation, burst, source_mac, now_s);
        encapsulate_burst<Ipv4>(*generation, burst, source_mac);
        count_generation(generation->number());
    } else for (unsigned i = 0; i < burst_size_; ++i) {
        add(worker.received_bytes, burst[i].length);
        clear(packets_[i]);
        leave_to_kernel(burst[i], packets_[i], DropReason::no_snapshot);
    }
}

/// Nothing is known of the packet.
void Pipeline::clear(Packet &packet) noexcept {
    packet.service = ServiceTable::kNone;
    packet.slot = kNoSlot;
    packet.source = Source::kNone;
    packet.any_port = false;
}

/// Parse and service lookup. After it a frame's verdict is final unless it is kForward.
template <class Family> void Pipeline::classify(const Generation &generation, std::span<Frame> burst) noexcept {
    const ServiceTable &services = generation.service_table();
    const FlowHashKey key = generation.hash_key();
    u64 bytes = 0;
    u32 differences = 0; ///< 0: all packets are for the service of the first
    Packet *next = packets_.data();
    for (Frame &frame : burst) {
        Packet &packet = *next++;
        bytes += frame.length;
        frame.verdict = Verdict::kForward;
        const ParseResult parsed = Family::parse(frame, packet);
        ServiceTable::Found found{ServiceTable::kNone, false};
        if (parsed.parsed == Parsed::kFlow) [[likely]] {
            const FlowKeys keys = flow_keys(packet.flow);
            found = services.find(keys.service);
            if (found.index != ServiceTable::kNone && !found.any_port) [[likely]] {
                packet.hash = flow_hash(key, packet.flow);
                packet.client = keys.client;
                packet.line = connections_.first(packet.hash);
                connections_.prefetch(packet.line);
                packet.service = found.index;
                packet.source = Source::kConnection;
                packet.any_port = false;
                differences |= found.index ^ packets_[0].service;
                continue;
            }
        }
        differences = 1;
        classify_uncommon<Family>(generation, parsed, found, frame, packet);
    }
    add(counters_.worker->received_bytes, bytes);
    if (differences == 0 && burst_size_ > 0) [[likely]] add_packets(counters_.services[packets_[0].service], burst_size_, bytes);
    else count_by_service(burst);
}

/// Packets whose connections have wide keys; those for no service; and what is no flow at all.
template <class Family>
[[gnu::noinline]] void Pipeline::classify_uncommon(const Generation &generation, ParseResult parsed, ServiceTable::Found found, Frame &frame,
                                                   Packet &packet) noexcept {
    clear(packet);
    const ServiceTable &services = generation.service_table();
    if (parsed.parsed == Parsed::kFlow && found.index != ServiceTable::kNone) {
        packet.service = found.index;
        packet.source = Source::kConnection;
        packet.any_port = true;
        packet.hash = flow_hash(generation.hash_key(), packet.flow);
        packet.line = wide_connections_.first(packet.hash);
        wide_connections_.prefetch(packet.line);
    } else if (parsed.parsed == Parsed::kFlow && services.is_vip(packet.flow.destination)) drop(frame, packet, DropReason::no_service);
    else if (parsed.parsed == Parsed::kBadForAll) drop(frame, packet, parsed.reason);
    else if (parsed.parsed == Parsed::kBad && services.is_vip(Family::destination(frame))) drop(frame, packet, parsed.reason);
    else leave_to_kernel(frame, packet, DropReason::not_for_vip);
}

/// What each service receives, of a burst that is not for one alone.
void Pipeline::count_by_service(std::span<const Frame> burst) noexcept {
    const Packet *next = packets_.data();
    for (const Frame &frame : burst)
        if (const Packet &packet = *next++; packet.service != ServiceTable::kNone) add_packets(counters_.services[packet.service], 1, frame.length);
}

/// The packet goes no further, and is counted.
void Pipeline::drop(Frame &frame, const Packet &packet, DropReason reason) noexcept {
    frame.verdict = Verdict::kDrop;
    frame.reason = reason;
    count_drop(reason);
    if (packet.service != ServiceTable::kNone) add(counters_.services[packet.service].drops[static_cast<u8>(reason)]);
}

void Pipeline::leave_to_kernel(Frame &frame, const Packet &packet, DropReason otherwise) noexcept {
    if (!has_kernel_) return drop(frame, packet, otherwise);
    frame.verdict = Verdict::kKernel;
    add(counters_.worker->kernel_packets);
}

/// First lines only: four flows in five are found there. The rest becomes `pending_`, second lines on their way.
template <class Family>
void Pipeline::look_up_connections(const Generation &generation, std::span<Frame> burst, u32 now_s) noexcept {
    const u32 unchanged = Connection::established_at(now_s);
    const Forwarding *forwardings = &generation.forwarding(0);
    const u32 slot_count = generation.slot_count();
    Packet *next = packets_.data();
    for (const Frame &frame : burst) {
        Packet &packet = *next++;
        if (frame.verdict != Verdict::kForward || packet.any_port) [[unlikely]] {
            if (frame.verdict != Verdict::kForward || follow_first_wide(generation, packet, now_s)) continue;
        } else if (u64 *value = connections_.find_in(packet.line, CompactKey::of(packet.client, packet.service))) [[likely]] {
            // Most packets find their backend in place, and change nothing: the last one came in the same second.
            const u64 entry = *value;
            const Forwarding &forwarding = forwardings[std::min<u32>(static_cast<u16>(entry), slot_count)];
            packet.slot = static_cast<u16>(entry);
            if (forwarding.tenant == static_cast<u32>(entry) && entry >> 32 == unchanged && !(packet.tcp_flags & (kTcpFin | kTcpRst))) [[likely]] continue;
            if (follow(generation, *value, packet, now_s)) continue;
        }
        postpone(generation, packet);
    }
}

/// Out of line: what a compiler would otherwise prepare for every packet.
[[gnu::noinline]] bool Pipeline::follow_first_wide(const Generation &generation, Packet &packet, u32 now_s) noexcept {
    u64 *value = wide_connections_.find_in(packet.line, WideKey::of(packet.flow, packet.service));
    return value && follow(generation, *value, packet, now_s);
}

/// The packet is not decided by its first line: what it needs next is on its way.
inline void Pipeline::postpone(const Generation &generation, const Packet &packet) noexcept {
    pending_[pending_count_++] = static_cast<u8>(&packet - packets_.data());
    if (packet.any_port) [[unlikely]] wide_connections_.prefetch_second(packet.line, WideKey::of(packet.flow, packet.service));
    else connections_.prefetch_second(packet.line, CompactKey::of(packet.client, packet.service));
    const Service &service = generation.service(packet.service);
    __builtin_prefetch(&service.rows[reduce(packet.hash.row, service.row_count)]);
}

/// Second lines, then rows. Both lines are asked anew, since an earlier packet of the burst may have made the entry.
template <class Family>
void Pipeline::select_backends(const Generation &generation, std::span<Frame> burst, const MacAddress &source_mac,
                               u32 now_s) noexcept {
    const auto select = [&](auto &table, const auto &key, Packet &packet, Frame &frame) noexcept {
        const Service &service = generation.service(packet.service);
        // Without its beginning a connection's backend is not known for sure.
        bool is_unsure = service.alternates && !is_opening(packet);
        packet.slot = kNoSlot;
        packet.source = Source::kNone;
        u64 *value = table.find(packet.hash, key);
        if (!value && inherited_) [[unlikely]] value = inherit(generation, table, packet.hash, key, now_s);
        if (value) {
            if (follow(generation, *value, packet, now_s)) return;
            const Connection connection = Connection::unpack(*value);
            if (holds_unknown_ && !is_opening(packet) && is_unknown(forwarding_of(generation, connection), connection)) [[unlikely]]
                return drop(frame, packet, DropReason::backend_unknown);
            const bool is_reset = is_to_be_reset(generation, connection, packet);
            // A SYN that begins elsewhere may be forged, and the connection before it be alive.
            is_unsure |= service.alternates && is_living(forwarding_of(generation, connection), connection);
            table.erase(packet.hash, key);
            if (inherited_) inherited_->forget(packet.hash, key);
            add(counters_.worker->connections_stale);
            if (is_reset) {
                answer(frame, packet, source_mac);
                return;
            }
        }
        packet.slot = is_unsure ? select_unsure(service, packet.hash) : select_by_row(service, packet.hash);
        if (packet.slot == kNoSlot) {
            drop(frame, packet, DropReason::no_backend);
            return;
        }
        if (const auto state = first_state(packet)) {
            const Connection connection{packet.slot, generation.forwarding(packet.slot).epoch, *state, now_s, is_unsure};
            if (table.insert(generation, packet.hash, key, connection, now_s)) {
                add(counters_.worker->connections_opened);
                add(counters_.services[packet.service].connections_opened);
                add(counters_.slots[packet.slot].connections_opened);
            } else add(counters_.worker->connections_unrecorded);
        }
        packet.source = is_unsure ? Source::kHops : Source::kRow;
    };
    for (unsigned p = 0; p < pending_count_; ++p) {
        const unsigned i = pending_[p];
        Packet &packet = packets_[i];
        if (packet.any_port)
            select(wide_connections_, WideKey::of(packet.flow, packet.service), packet, burst[i]);
        else select(connections_, CompactKey::of(packet.client, packet.service), packet, burst[i]);
        if (burst[i].verdict == Verdict::kForward) __builtin_prefetch(&generation.forwarding(packet.slot));
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
    add(counters_.worker->connections_inherited);
    return table.find(hash, key);
}

/// Answers for a dead backend.
void Pipeline::answer(Frame &frame, const Packet &packet, const MacAddress &source_mac) noexcept {
    if (packet.tcp_flags & kTcpRst) return drop(frame, packet, DropReason::backend_dead); // never a reset for a reset
    answer_with_reset(frame, packet, source_mac);
    frame.verdict = Verdict::kReply;
    add(counters_.worker->resets_sent);
}

template <class Family>
void Pipeline::encapsulate_burst(const Generation &generation, std::span<Frame> burst,
                                 const MacAddress &source_mac) noexcept {
    const Forwarding *forwardings = &generation.forwarding(0);
    const u32 length_max = mtu_ + static_cast<u32>(sizeof(EthernetHeader));
    const MacAddress mac = source_mac;
    SlotCounters *slots = counters_.slots;
    SourceTally tally;
    u64 bytes = 0;
    const Packet *next = packets_.data();
    for (Frame &frame : burst) {
        const Packet &packet = *next++;
        if (frame.verdict != Verdict::kForward) [[unlikely]] continue;
        const Forwarding &forwarding = forwardings[packet.slot];
        if (u32{packet.ip_length} + forwarding.reach > length_max || frame.headroom < kHeadroomNeeded) [[unlikely]] {
            drop(frame, packet, forwarding.reach == Forwarding::kUnresolved ? DropReason::no_next_hop
                                : frame.headroom < kHeadroomNeeded          ? DropReason::no_headroom
                                                                            : DropReason::too_big);
            continue;
        }
        if (packet.source == Source::kHops) [[unlikely]] encapsulate_unsure(generation, frame, packet, mac);
        else encapsulate(frame, forwarding, packet.ip_length, packet.hash.entropy, mac);
        tally.count(packet.source);
        bytes += frame.length;
        add_packets(slots[packet.slot], 1, frame.length);
    }
    WorkerCounters &worker = *counters_.worker;
    add(worker.forwarded_packets, tally.of(Source::kConnection) + tally.of(Source::kRow) + tally.of(Source::kHops));
    add(worker.forwarded_bytes, bytes);
    add(worker.by_connection, tally.of(Source::kConnection));
    add(worker.by_row, tally.of(Source::kRow));
    add(worker.by_hops, tally.of(Source::kHops));
}

/// With hops, where the row has any and the MTU has room for them. Without: far likelier than not the first choice is right.
void Pipeline::encapsulate_unsure(const Generation &generation, Frame &frame, const Packet &packet,
                                  const MacAddress &source_mac) noexcept {
    const Forwarding &forwarding = generation.forwarding(packet.slot);
    Be32 hops[kGueHopCountMax];
    const unsigned count = select_hops(generation, generation.service(packet.service), packet.hash, packet.slot, hops);
    if (count == 0) return encapsulate(frame, forwarding, packet.ip_length, packet.hash.entropy, source_mac);
    if (packet.ip_length + forwarding.length - sizeof(EthernetHeader) + hops_length(count) > mtu_) {
        add(counters_.worker->hops_omitted);
        return encapsulate(frame, forwarding, packet.ip_length, packet.hash.entropy, source_mac);
    }
    encapsulate_with_hops(frame, forwarding, packet.ip_length, packet.hash.entropy, source_mac, {hops, count});
}

/// By which generation the burst was decided.
void Pipeline::count_generation(u64 number) noexcept {
    GenerationCounters &mine = counters_.worker->generations[number % kGenerationHistory];
    if (mine.generation != number) [[unlikely]] {
        set(mine.packets, 0);
        set(mine.generation, number);
        set(counters_.worker->generation, number);
    }
    add(mine.packets, burst_size_);
}

void Pipeline::count_drop(DropReason reason) noexcept { add(counters_.worker->drops[static_cast<u8>(reason)]); }

void Pipeline::housekeep(const Generation *generation, u64 now_ns) noexcept {
    if (generation) {
        const u64 elapsed_ns = std::min(now_ns - housekept_ns_, kSweepPeriodNs);
        const auto sweep = [&](auto &table) noexcept {
            table.sweep(*generation, std::min(1 + table.line_count() * elapsed_ns / kSweepPeriodNs, kSweepLinesMax), seconds(now_ns));
        };
        sweep(connections_);
        sweep(wide_connections_);
        housekept_ns_ = now_ns;
    }
    WorkerCounters &worker = *counters_.worker;
    for (TableEvents events : {connections_.take_events(), wide_connections_.take_events()}) {
        add(worker.connections_expired, events.expired);
        add(worker.connections_evicted, events.evicted);
        add(worker.connections_displaced, events.displaced);
    }
    const u64 inherited = inherited_gauge_ ? inherited_gauge_->total() : 0;
    set(worker.connections, connections_.size() + wide_connections_.size() + inherited);
    if (generation) set(worker.generation, generation->number());
}

void Pipeline::expire_all(const Generation &generation, u64 now_ns) noexcept {
    connections_.sweep(generation, connections_.line_count(), seconds(now_ns));
    wide_connections_.sweep(generation, wide_connections_.line_count(), seconds(now_ns));
}

void Pipeline::forget() noexcept {
    connections_.clear();
    wide_connections_.clear();
}

TableAdoption Pipeline::adopt() noexcept {
    TableAdoption sum;
    for (const TableAdoption &part : {connections_.adopt(), wide_connections_.adopt()}) {
        sum.entries += part.entries;
        sum.duplicates += part.duplicates;
        sum.unsound += part.unsound;
    }
    set(counters_.worker->connections_adopted, sum.entries);
    return sum;
}

void Pipeline::start_forgetting() noexcept {
    connections_.start_clearing();
    wide_connections_.start_clearing();
}

bool Pipeline::forget_next() noexcept {
    const bool more = connections_.clear_next(kClearLinesMax);
    return wide_connections_.clear_next(kClearLinesMax) || more;
}

} // namespace fairlead::core
