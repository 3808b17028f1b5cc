// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/pipeline.hpp"

#include "dataplane/core/encapsulate.hpp"
#include "dataplane/core/reset.hpp"
#include "dataplane/core/select.hpp"

namespace fairlead::core {

using namespace wire;

namespace {

constexpr u32 kLinkLength = sizeof(EthernetHeader);

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
    const Forwarding &forwarding = generation.forwarding_of(before);
    if (forwarding.tenant != static_cast<u32>(before)) [[unlikely]] return false;
    if (is_opening(packet) && begins_elsewhere(Connection::unpack(before).state, forwarding)) [[unlikely]] return false;
    const u64 after = Connection::touch(before, transition(packet), now_s);
    if (after != before) value = after; // most packets change nothing: leave the line clean
    packet.tenant = static_cast<u32>(before);
    packet.source = Connection::is_unsure_value(before) ? Source::kHops : Source::kConnection;
    return true;
}

/// Whether the client of an entry that does not hold is to be told so. Not of an unsure one: its connection may be alive
/// elsewhere; and not when it asks for a new one.
bool is_to_be_reset(const Generation &generation, const Connection &connection, const Packet &packet) noexcept {
    const Forwarding &forwarding = generation.forwarding_of(connection.slot);
    return forwarding.state == kSlotReset && forwarding.epoch == connection.epoch && !connection.is_unsure &&
           !is_opening(packet) && packet.flow.protocol == kIpProtocolTcp;
}

} // namespace

/// What the steps of one burst share, and none of them changes.
struct Pipeline::Burst {
    const Generation &generation;
    Frame *frames; ///< parallel to packets_
    Frame *end;
    u32 now_s;
    u32 length_max; ///< of an outgoing frame
    u32 unchanged;  ///< Connection::established_at(now_s)
    OuterSource source;
    FlowHashKey hash_key;
    const MacAddress &source_mac;
};

Pipeline::Pipeline(const PipelineOptions &options)
    : counters_(options.counters), connections_(options.connection_memory, options.counters.slots, options.counters.services),
      wide_connections_(options.wide_connection_memory, options.counters.slots, options.counters.services), mtu_(options.mtu),
      has_kernel_(options.has_kernel) {
    if (options.counts_inherited) inherited_gauge_.emplace(options.counters.slots);
}

void Pipeline::process(const Generation *generation, std::span<Frame> burst, const MacAddress &source_mac,
                       u64 now_ns) noexcept {
    burst_size_ = static_cast<unsigned>(burst.size());
    add(counters_.worker->bursts);
    add(counters_.worker->received_packets, burst_size_);
    if (!generation) [[unlikely]] return process_without_generation(burst);
    const u32 now_s = seconds(now_ns);
    const Burst b{.generation = *generation, .frames = burst.data(), .end = burst.data() + burst.size(), .now_s = now_s, .length_max = mtu_ + kLinkLength,
                  .unchanged = Connection::established_at(now_s), .source = OuterSource(source_mac), .hash_key = generation->hash_key(),
                  .source_mac = source_mac};
    not_forwarded_ = 0;
    count_generation(generation->number());
    classify_burst<Ipv4>(b);
    follow_burst(b);
    encapsulate_burst(b);
}

void Pipeline::process_without_generation(std::span<Frame> burst) noexcept {
    for (unsigned i = 0; i < burst_size_; ++i) {
        add(counters_.worker->received_bytes, burst[i].length);
        clear(packets_[i]);
        leave_to_kernel(burst[i], packets_[i], DropReason::no_snapshot);
    }
}

/// Classifies all packets; the lines of their connections are on their way then.
template <class Family> void Pipeline::classify_burst(const Burst &b) noexcept {
    pending_count_ = wide_count_ = 0;
    u64 bytes = 0;
    u32 services_or = 0, services_and = ~0U;
    Packet *packet = packets_.data();
    for (Frame *frame = b.frames; frame != b.end; ++frame, ++packet) {
        bytes += frame->length;
        const u16 service = classify<Family>(b, *packet, *frame);
        services_or |= service;
        services_and &= service;
    }
    add(counters_.worker->received_bytes, bytes);
    if (services_or != services_and || services_or == ServiceTable::kNone) [[unlikely]] return count_by_service();
    add(counters_.services[services_or].packets, burst_size_);
    add(counters_.services[services_or].bytes, bytes);
}

/// Gives each packet its backend: most by their connections' first lines; then those that need more.
void Pipeline::follow_burst(const Burst &b) noexcept {
    Packet *packet = packets_.data();
    for (const Frame *frame = b.frames; frame != b.end; ++frame, ++packet) follow_connection(b, *packet);
    for (unsigned w = 0; w < wide_count_; ++w) follow_wide_connection(b, packets_[wide_[w]]);
    for (unsigned p = 0; p < pending_count_; ++p) select_backend(b, packets_[pending_[p]], b.frames[pending_[p]]);
}

/// Gives each packet that has a backend its outer headers.
void Pipeline::encapsulate_burst(const Burst &b) noexcept {
    WorkerCounters &worker = *counters_.worker;
    const u64 others_before = worker.by_row + worker.by_hops;
    u64 bytes = 0;
    Packet *packet = packets_.data();
    for (Frame *frame = b.frames; frame != b.end; ++frame, ++packet) bytes += encapsulate_sure(b, *packet, *frame);
    const unsigned forwarded = burst_size_ - not_forwarded_;
    add(worker.forwarded_packets, forwarded);
    add(worker.forwarded_bytes, bytes);
    add(worker.by_connection, forwarded - (worker.by_row + worker.by_hops - others_before));
}

/// Nothing is known of the packet.
void Pipeline::clear(Packet &packet) noexcept {
    packet.service = ServiceTable::kNone;
    packet.tenant = kNoSlot;
    packet.source = Source::kNone;
}

/// Parse and service lookup. After it a packet has the source kConnection and its line is on its way, or it is
/// decided, or among `wide_`.
/// @return its service, or kNone.
template <class Family> [[gnu::always_inline]] inline u16 Pipeline::classify(const Burst &b, Packet &packet, Frame &frame) noexcept {
    packet.frame_length = frame.length;
    if (Family::parse(frame, packet)) [[likely]] {
        const FlowKeys keys = flow_keys(packet.flow);
        if (const u16 *service = b.generation.service_table().find_at_once(keys.service)) [[likely]] {
            packet.service = *service;
            packet.source = Source::kConnection;
            packet.key = CompactKey::of(keys.client, *service);
            packet.hash = flow_hash(b.hash_key, packet.flow);
            packet.line = connections_.first(packet.hash);
            connections_.prefetch(packet.line);
            return packet.service;
        }
    }
    classify_uncommon<Family>(b, packet, frame);
    return packet.service;
}

/// All other packets: rare protocols and options, services for any port, what is for no service, what is malformed.
template <class Family> [[gnu::noinline]] void Pipeline::classify_uncommon(const Burst &b, Packet &packet, Frame &frame) noexcept {
    clear(packet);
    const ServiceTable &services = b.generation.service_table();
    const ParseResult result = Family::parse_uncommon(frame, packet);
    if (result.parsed == Parsed::kFlow) {
        const FlowKeys keys = flow_keys(packet.flow);
        if (const auto found = services.find(keys.service); found.index != ServiceTable::kNone) {
            packet.service = found.index;
            packet.hash = flow_hash(b.hash_key, packet.flow);
            if (found.any_port) {
                packet.line = wide_connections_.first(packet.hash);
                wide_connections_.prefetch(packet.line);
                wide_[wide_count_++] = index(packet);
            } else {
                packet.source = Source::kConnection;
                packet.key = CompactKey::of(keys.client, found.index);
                packet.line = connections_.first(packet.hash);
                connections_.prefetch(packet.line);
            }
        } else if (services.is_vip(packet.flow.destination)) drop(frame, packet, DropReason::no_service);
        else leave_to_kernel(frame, packet, DropReason::not_for_vip);
    } else if (result.parsed == Parsed::kBadForAll) drop(frame, packet, result.reason);
    else if (result.parsed == Parsed::kBad && services.is_vip(Family::destination(frame))) drop(frame, packet, result.reason);
    else leave_to_kernel(frame, packet, DropReason::not_for_vip);
}

/// The packet goes no further, and is counted.
void Pipeline::drop(Frame &frame, const Packet &packet, DropReason reason) noexcept {
    ++not_forwarded_;
    frame.verdict = Verdict::kDrop;
    frame.reason = reason;
    count_drop(reason);
    if (packet.service != ServiceTable::kNone) add(counters_.services[packet.service].drops[static_cast<u8>(reason)]);
}

void Pipeline::leave_to_kernel(Frame &frame, const Packet &packet, DropReason otherwise) noexcept {
    if (!has_kernel_) return drop(frame, packet, otherwise);
    ++not_forwarded_;
    frame.verdict = Verdict::kKernel;
    add(counters_.worker->kernel_packets);
}

/// Where four flows in five have their entry: in their first line. The rest becomes `pending_`, second lines on their way.
[[gnu::always_inline]] inline void Pipeline::follow_connection(const Burst &b, Packet &packet) noexcept {
    if (packet.source != Source::kConnection) [[unlikely]] return;
    if (u64 *value = connections_.find_in(packet.line, packet.key)) [[likely]] {
        const u64 entry = *value;
        // Most packets change nothing: the last one came in the same second. Whether the backend is still the entry's, its
        // own line will tell, which is on its way.
        if (entry >> 32 == b.unchanged && !(packet.tcp_flags & (kTcpFin | kTcpRst))) [[likely]] {
            packet.tenant = static_cast<u32>(entry);
            b.generation.prefetch_forwarding(packet.slot());
            __builtin_prefetch(&counters_.slots[packet.slot()], 1);
            return;
        }
        if (follow(b.generation, *value, packet, b.now_s)) return;
    }
    connections_.prefetch_second(packet.line, packet.key);
    postpone(b, packet);
}

[[gnu::noinline]] void Pipeline::follow_wide_connection(const Burst &b, Packet &packet) noexcept {
    const WideKey key = WideKey::of(packet.flow, packet.service);
    u64 *value = wide_connections_.find_in(packet.line, key);
    if (value && follow(b.generation, *value, packet, b.now_s)) return;
    wide_connections_.prefetch_second(packet.line, key);
    postpone(b, packet);
}

[[gnu::always_inline]] inline void Pipeline::postpone(const Burst &b, Packet &packet) noexcept {
    pending_[pending_count_++] = index(packet);
    packet.tenant = kNoSlot;
    packet.source = Source::kNone;
    const Service &service = b.generation.service(packet.service);
    __builtin_prefetch(&service.rows[reduce(packet.hash.row, service.row_count)]);
}

[[gnu::noinline]] void Pipeline::select_backend(const Burst &b, Packet &packet, Frame &frame) noexcept {
    if (b.generation.service(packet.service).any_port) select_in(b, packet, frame, wide_connections_, WideKey::of(packet.flow, packet.service));
    else select_in(b, packet, frame, connections_, packet.key);
    if (packet.source != Source::kNone) b.generation.prefetch_forwarding(packet.slot());
}

/// Second lines, then rows. Both lines are asked anew, since an earlier packet of the burst may have made the entry.
/// Afterwards the packet has a source, or its verdict stands.
template <class Key> void Pipeline::select_in(const Burst &b, Packet &packet, Frame &frame, ConnectionTable<Key> &table, const Key &key) noexcept {
    const Generation &generation = b.generation;
    const Service &service = generation.service(packet.service);
    // Without its beginning a connection's backend is not known for sure.
    bool is_unsure = service.alternates && !is_opening(packet);
    u64 *value = table.find(packet.line, key);
    if (!value && inherited_) [[unlikely]] value = inherit(generation, table, packet.hash, key, b.now_s);
    if (value) {
        if (follow(generation, *value, packet, b.now_s)) return;
        const Connection connection = Connection::unpack(*value);
        if (holds_unknown_ && !is_opening(packet) && is_unknown(generation.forwarding_of(connection.slot), connection)) [[unlikely]]
            return drop(frame, packet, DropReason::backend_unknown);
        const bool is_reset = is_to_be_reset(generation, connection, packet);
        // A SYN that begins elsewhere may be forged, and the connection before it be alive.
        is_unsure |= service.alternates && is_living(generation.forwarding_of(connection.slot), connection);
        table.erase(packet.hash, key);
        if (inherited_) inherited_->forget(packet.hash, key);
        add(counters_.worker->connections_stale);
        if (is_reset) return answer(b, packet, frame);
    }
    packet.tenant = is_unsure ? select_unsure(service, packet.hash) : select_by_row(service, packet.hash);
    if (packet.slot() == kNoSlot) return drop(frame, packet, DropReason::no_backend);
    packet.source = is_unsure ? Source::kHops : Source::kRow;
    if (const auto state = first_state(packet)) {
        const Connection connection{packet.slot(), generation.forwarding(packet.slot()).epoch, *state, b.now_s, is_unsure};
        if (table.insert(generation, packet.hash, key, connection, b.now_s)) {
            add(counters_.worker->connections_opened);
            add(counters_.services[packet.service].connections_opened);
            add(counters_.slots[packet.slot()].connections_opened);
        } else add(counters_.worker->connections_unrecorded);
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
void Pipeline::answer(const Burst &b, Packet &packet, Frame &frame) noexcept {
    if (packet.tcp_flags & kTcpRst) return drop(frame, packet, DropReason::backend_dead); // never a reset for a reset
    answer_with_reset(frame, packet, b.source_mac);
    frame.verdict = Verdict::kReply;
    ++not_forwarded_;
    add(counters_.worker->resets_sent);
}

/// Whether a packet can be sent to its backend as it is.
[[gnu::always_inline]] inline bool Pipeline::is_sendable(const Burst &b, const Packet &packet, const Frame &frame, const Forwarding &forwarding) noexcept {
    return u32{packet.ip_length} + forwarding.reach <= b.length_max && frame.headroom >= kHeadroomNeeded;
}

[[gnu::noinline]] u32 Pipeline::drop_unsendable(const Burst &b, const Packet &packet, Frame &frame, const Forwarding &forwarding) noexcept {
    drop(frame, packet,
         forwarding.reach == Forwarding::kUnresolved               ? DropReason::no_next_hop
         : u32{packet.ip_length} + forwarding.reach > b.length_max ? DropReason::too_big
                                                                   : DropReason::no_headroom);
    return 0;
}

/// Most packets go to the backend of their connection's entry, which is the one for sure.
/// @return the length of the frame that leaves; 0: none does.
[[gnu::always_inline]] inline u32 Pipeline::encapsulate_sure(const Burst &b, Packet &packet, Frame &frame) noexcept {
    if (packet.source != Source::kConnection) [[unlikely]] return packet.source == Source::kNone ? 0 : encapsulate_any(b, packet, frame);
    const Forwarding &forwarding = b.generation.forwarding_of(packet.tenant);
    if (forwarding.tenant != packet.tenant) [[unlikely]] return encapsulate_stale(b, packet, frame);
    if (!is_sendable(b, packet, frame, forwarding)) [[unlikely]] return drop_unsendable(b, packet, frame, forwarding);
    return count_forwarded(packet, frame, encapsulate(frame, forwarding, packet.ip_length, packet.hash.entropy, b.source));
}

/// The entry that was found means a backend that is gone, or dead.
[[gnu::noinline]] u32 Pipeline::encapsulate_stale(const Burst &b, Packet &packet, Frame &frame) noexcept {
    packet.tenant = kNoSlot;
    packet.source = Source::kNone;
    select_backend(b, packet, frame);
    return packet.source == Source::kNone ? 0 : encapsulate_any(b, packet, frame);
}

/// An unsure packet leaves with hops, where its row has any and the MTU has room for them; without: far likelier than not the
/// first choice is right.
[[gnu::noinline]] u32 Pipeline::encapsulate_any(const Burst &b, Packet &packet, Frame &frame) noexcept {
    const Forwarding &forwarding = b.generation.forwarding(packet.slot());
    if (!is_sendable(b, packet, frame, forwarding)) return drop_unsendable(b, packet, frame, forwarding);
    Be32 hops[kGueHopCountMax];
    unsigned hop_count = 0;
    if (packet.source == Source::kHops) hop_count = select_hops(b.generation, b.generation.service(packet.service), packet.hash, packet.slot(), hops);
    if (hop_count > 0 && u32{packet.ip_length} + forwarding.length + hops_length(hop_count) > b.length_max) {
        add(counters_.worker->hops_omitted);
        hop_count = 0;
    }
    const u32 length = hop_count == 0 ? encapsulate(frame, forwarding, packet.ip_length, packet.hash.entropy, b.source)
                                      : encapsulate_with_hops(frame, forwarding, packet.ip_length, packet.hash.entropy, b.source, {hops, hop_count});
    if (packet.source == Source::kRow) add(counters_.worker->by_row);
    else if (packet.source == Source::kHops) add(counters_.worker->by_hops);
    return count_forwarded(packet, frame, length);
}

/// @return the frame's length.
[[gnu::always_inline]] inline u32 Pipeline::count_forwarded(const Packet &packet, Frame &frame, u32 length) noexcept {
    frame.verdict = Verdict::kForward;
    SlotCounters &slot = counters_.slots[packet.slot()];
    add_at_once(slot.packets, 1);
    add_at_once(slot.bytes, length);
    return length;
}

/// What each service has received, of a burst that is not for one alone.
void Pipeline::count_by_service() noexcept {
    for (const Packet &packet : std::span(packets_).first(burst_size_)) {
        if (packet.service == ServiceTable::kNone) continue;
        ServiceCounters &service = counters_.services[packet.service];
        add_at_once(service.packets, 1);
        add_at_once(service.bytes, packet.frame_length);
    }
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

} // namespace fairlead::core
