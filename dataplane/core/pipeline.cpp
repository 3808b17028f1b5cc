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

void drop(Frame &frame, DropReason reason) noexcept {
    frame.verdict = Verdict::kDrop;
    frame.reason = reason;
}

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
[[gnu::always_inline]] inline bool follow(const Generation &generation, u64 &value, Packet &packet, u32 now_s) noexcept {
    const u64 before = value;
    const Forwarding &forwarding = generation.forwarding(std::min<u32>(static_cast<u16>(before), generation.slot_count()));
    if (forwarding.tenant != static_cast<u32>(before)) [[unlikely]] return false;
    if (is_opening(packet) && begins_elsewhere(Connection::unpack(before).state, forwarding)) [[unlikely]] return false;
    const u64 after = Connection::touch(before, packet.transition, now_s);
    if (after != before) value = after; // most packets change nothing: leave the line clean
    packet.slot = static_cast<u16>(before);
    packet.is_unsure = Connection::is_unsure_value(before);
    packet.source = packet.is_unsure ? Source::kHops : Source::kConnection;
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
    u64 received_bytes = 0;
    for (const Frame &frame : burst) received_bytes += frame.length;
    const u32 now_s = seconds(now_ns);
    if (generation) {
        classify<Ipv4>(*generation, burst);
        look_up_connections<Ipv4>(*generation, burst, now_s);
        select_backends<Ipv4>(*generation, burst, source_mac, now_s);
        encapsulate_burst<Ipv4>(*generation, burst, source_mac);
    } else {
        for (unsigned i = 0; i < burst_size_; ++i) {
            leave_to_kernel(burst[i], DropReason::no_snapshot);
            packets_[i].service = ServiceTable::kNone;
            packets_[i].slot = kNoSlot;
            packets_[i].source = Source::kNone;
        }
    }
    count_burst(generation, burst, received_bytes);
}

/// Parse and service lookup. After it a frame's verdict is final unless it is kForward.
template <class Family> void Pipeline::classify(const Generation &generation, std::span<Frame> burst) noexcept {
    const ServiceTable &services = generation.service_table();
    ServiceTally tally(counters_.services);
    Packet *next = packets_.data();
    for (Frame &frame : burst) {
        Packet &packet = *next++;
        packet.service = ServiceTable::kNone;
        packet.slot = kNoSlot;
        packet.source = Source::kNone;
        packet.is_unsure = false;
        frame.verdict = Verdict::kForward;
        const ParseResult result = Family::parse(frame, packet);
        if (result.parsed == Parsed::kFlow) [[likely]] {
            const auto found = services.find(packet.flow.destination, packet.flow.destination_port, packet.flow.protocol);
            packet.service = found.index;
            packet.any_port = found.any_port;
            if (found.index != ServiceTable::kNone) [[likely]] {
                packet.hash = flow_hash(generation.hash_key(), packet.flow);
                if (found.any_port) [[unlikely]] wide_connections_.prefetch(packet.hash);
                else connections_.prefetch(packet.hash);
                tally.count(found.index, frame.length);
            } else if (services.is_vip(packet.flow.destination)) drop(frame, DropReason::no_service);
            else leave_to_kernel(frame, DropReason::not_for_vip);
        } else if (result.parsed == Parsed::kBadForAll) drop(frame, result.reason);
        else if (result.parsed == Parsed::kBad && services.is_vip(Family::destination(frame))) drop(frame, result.reason);
        else leave_to_kernel(frame, DropReason::not_for_vip);
    }
}

void Pipeline::leave_to_kernel(Frame &frame, DropReason otherwise) const noexcept {
    if (has_kernel_) frame.verdict = Verdict::kKernel;
    else drop(frame, otherwise);
}

/// Out of line: what a compiler would otherwise prepare for every packet.
[[gnu::noinline]] u64 *Pipeline::find_first_wide(const Packet &packet) noexcept {
    return wide_connections_.find_first(packet.hash, WideKey::of(packet.flow, packet.service));
}

/// First lines only: four flows in five are found there. The rest becomes `pending_`, second lines on their way.
template <class Family>
void Pipeline::look_up_connections(const Generation &generation, std::span<Frame> burst, u32 now_s) noexcept {
    Packet *next = packets_.data();
    for (const Frame &frame : burst) {
        Packet &packet = *next++;
        if (frame.verdict != Verdict::kForward) [[unlikely]] continue;
        u64 *value;
        if (packet.any_port) [[unlikely]] value = find_first_wide(packet);
        else value = connections_.find_first(packet.hash, CompactKey::of(packet.flow, packet.service));
        if (value && follow(generation, *value, packet, now_s)) [[likely]] {
            __builtin_prefetch(&generation.forwarding(packet.slot));
            continue;
        }
        pending_[pending_count_++] = static_cast<u8>(&packet - packets_.data());
        if (packet.any_port) wide_connections_.prefetch_second(packet.hash, WideKey::of(packet.flow, packet.service));
        else connections_.prefetch_second(packet.hash, CompactKey::of(packet.flow, packet.service));
        const Service &service = generation.service(packet.service);
        __builtin_prefetch(&service.rows[reduce(packet.hash.row, service.row_count)]);
    }
}

/// Second lines, then rows. Both lines are asked anew, since an earlier packet of the burst may have made the entry.
template <class Family>
void Pipeline::select_backends(const Generation &generation, std::span<Frame> burst, const MacAddress &source_mac,
                               u32 now_s) noexcept {
    const auto select = [&](auto &table, const auto &key, Packet &packet, Frame &frame) noexcept {
        const Service &service = generation.service(packet.service);
        // Without its beginning a connection's backend is not known for sure.
        packet.is_unsure = service.alternates && !is_opening(packet);
        u64 *value = table.find(packet.hash, key);
        if (!value && inherited_) [[unlikely]] value = inherit(generation, table, packet.hash, key, now_s);
        if (value) {
            if (follow(generation, *value, packet, now_s)) return;
            const Connection connection = Connection::unpack(*value);
            if (holds_unknown_ && !is_opening(packet) && is_unknown(forwarding_of(generation, connection), connection)) [[unlikely]]
                return drop(frame, DropReason::backend_unknown);
            const bool is_reset = is_to_be_reset(generation, connection, packet);
            // A SYN that begins elsewhere may be forged, and the connection before it be alive.
            packet.is_unsure |= service.alternates && is_living(forwarding_of(generation, connection), connection);
            table.erase(packet.hash, key);
            if (inherited_) inherited_->forget(packet.hash, key);
            add(counters_.worker->connections_stale);
            if (is_reset) {
                answer(frame, packet, source_mac);
                return;
            }
        }
        packet.slot = packet.is_unsure ? select_unsure(service, packet.hash) : select_by_row(service, packet.hash);
        if (packet.slot == kNoSlot) {
            drop(frame, DropReason::no_backend);
            return;
        }
        if (const auto state = first_state(packet)) {
            const Connection connection{packet.slot, generation.forwarding(packet.slot).epoch, *state, now_s, packet.is_unsure};
            if (table.insert(generation, packet.hash, key, connection, now_s)) {
                add(counters_.worker->connections_opened);
                add(counters_.services[packet.service].connections_opened);
                add(counters_.slots[packet.slot].connections_opened);
            } else add(counters_.worker->connections_unrecorded);
        }
        packet.source = packet.is_unsure ? Source::kHops : Source::kRow;
    };
    for (unsigned p = 0; p < pending_count_; ++p) {
        const unsigned i = pending_[p];
        Packet &packet = packets_[i];
        if (packet.any_port)
            select(wide_connections_, WideKey::of(packet.flow, packet.service), packet, burst[i]);
        else select(connections_, CompactKey::of(packet.flow, packet.service), packet, burst[i]);
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
    if (packet.tcp_flags & kTcpRst) return drop(frame, DropReason::backend_dead); // never a reset for a reset
    answer_with_reset(frame, packet, source_mac);
    frame.verdict = Verdict::kReply;
    add(counters_.worker->resets_sent);
}

template <class Family>
void Pipeline::encapsulate_burst(const Generation &generation, std::span<Frame> burst,
                                 const MacAddress &source_mac) noexcept {
    const Forwarding *forwardings = &generation.forwarding(0);
    const u32 length_max = mtu_ + static_cast<u32>(sizeof(EthernetHeader));
    const Packet *next = packets_.data();
    for (Frame &frame : burst) {
        const Packet &packet = *next++;
        if (frame.verdict != Verdict::kForward) [[unlikely]] continue;
        const Forwarding &forwarding = forwardings[packet.slot];
        if (!forwarding.resolved) [[unlikely]] drop(frame, DropReason::no_next_hop);
        else if (u32{packet.ip_length} + forwarding.length > length_max) [[unlikely]]
            drop(frame, DropReason::too_big);
        else if (frame.headroom < kHeadroomNeeded) [[unlikely]] drop(frame, DropReason::no_headroom);
        else if (packet.is_unsure) [[unlikely]] encapsulate_unsure(generation, frame, packet, source_mac);
        else encapsulate(frame, forwarding, packet.ip_length, packet.hash.entropy, source_mac);
    }
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

void Pipeline::count_burst(const Generation *generation, std::span<const Frame> burst, u64 received_bytes) noexcept {
    u64 forwarded_bytes = 0, kernel = 0;
    SourceTally tally;
    SlotCounters *slots = counters_.slots;
    const Packet *next = packets_.data();
    for (const Frame &frame : burst) {
        const Packet &packet = *next++;
        if (frame.verdict == Verdict::kForward) [[likely]] {
            forwarded_bytes += frame.length;
            tally.count(packet.source);
            add_packet(slots[packet.slot], frame.length);
        } else if (frame.verdict == Verdict::kDrop) {
            add(counters_.worker->drops[static_cast<u8>(frame.reason)]);
            if (packet.service != ServiceTable::kNone)
                add(counters_.services[packet.service].drops[static_cast<u8>(frame.reason)]);
        } else kernel += frame.verdict == Verdict::kKernel;
    }
    WorkerCounters &worker = *counters_.worker;
    add(worker.bursts);
    add(worker.received_packets, burst_size_);
    add(worker.received_bytes, received_bytes);
    add(worker.forwarded_packets, tally.of(Source::kConnection) + tally.of(Source::kRow) + tally.of(Source::kHops));
    add(worker.forwarded_bytes, forwarded_bytes);
    add(worker.kernel_packets, kernel);
    add(worker.by_connection, tally.of(Source::kConnection));
    add(worker.by_row, tally.of(Source::kRow));
    add(worker.by_hops, tally.of(Source::kHops));
    if (!generation) return;
    GenerationCounters &mine = worker.generations[generation->number() % kGenerationHistory];
    if (mine.generation != generation->number()) [[unlikely]] {
        set(mine.packets, 0);
        set(mine.generation, generation->number());
        set(worker.generation, generation->number());
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
