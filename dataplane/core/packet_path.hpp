// SPDX-License-Identifier: Apache-2.0
// The packet path, from top to bottom: parse -> service -> connection -> select -> encapsulate -> verdict.
//
// A burst is classified as a whole, then looked up and encapsulated in parts, so that the cache misses of its packets overlap;
// and each loop is short enough for the processor to work on several packets at once. It is compiled once for each type that holds packets
// (FrameAccess): included by who instantiates Pipeline::process(), and by nobody else.
#pragma once

#include "dataplane/core/encapsulate.hpp"
#include "dataplane/core/pipeline.hpp"
#include "dataplane/core/reset.hpp"
#include "dataplane/core/select.hpp"

#include <type_traits>

namespace fairlead::core {

using namespace wire;

/// So many backends' lines and counters, 96 bytes each, stay in the second-level cache, if not the first, and are there in
/// time without a prefetch.
inline constexpr u32 kSlotsNearMax = 512;

/// Packets that are looked up and encapsulated together.
inline constexpr unsigned kTogether = 32;

/// What the steps of one burst share, and none of them changes.
struct Pipeline::Burst {
    const Generation &generation;
    u32 now_s;
    u32 length_max; ///< of an outgoing frame
    OuterSource source;
    FlowHashKey hash_key;
    const MacAddress &source_mac;
};

/// What encapsulating one packet after another needs again and again, in registers.
struct Pipeline::Encapsulation {
    const Forwarding *forwardings;
    TrafficCounters *traffic; ///< by slot
    u32 mask; ///< Generation::forwarding_mask()
    u32 length_max;
};

template <class F>
void Pipeline::process(const Generation *generation, std::span<F> frames, const MacAddress &source_mac, u64 now_ns) noexcept {
    burst_size_ = static_cast<unsigned>(frames.size());
    not_forwarded_ = 0;
    add(counters_.worker.bursts);
    add(counters_.worker.received_packets, burst_size_);
    if (!generation) [[unlikely]] return process_without_generation(frames);
    const u32 now_s = seconds(now_ns);
    const Burst b{.generation = *generation, .now_s = now_s, .length_max = mtu_ + u32{sizeof(EthernetHeader)},
                  .source = OuterSource(source_mac), .hash_key = generation->hash_key(),
                  .source_mac = source_mac};
    count_generation(generation->number());
    classify_burst<Ipv4>(b, frames);
    forward_burst(b, frames);
}

template <class F> void Pipeline::process_without_generation(std::span<F> frames) noexcept {
    for (unsigned i = 0; i < burst_size_; ++i) {
        add(counters_.worker.received_bytes, FrameAccess<F>::length(frames[i]));
        packets_[i].begin();
        if (FrameAccess<F>::is_whole(frames[i])) leave_to_kernel(packets_[i], DropReason::no_snapshot);
        else drop(packets_[i], DropReason::segmented);
    }
}

/// Classifies all packets; the lines of their connections are on their way then.
template <class Family, class F> void Pipeline::classify_burst(const Burst &b, std::span<F> frames) noexcept {
    pending_count_ = wide_count_ = 0;
    u64 bytes = 0;
    u32 services_or = 0, services_and = ~0U;
    const ServiceTable::Lookup services = b.generation.service_table().lookup();
    Packet *packet = packets_.data();
    for (F &frame : frames) {
        bytes += FrameAccess<F>::length(frame);
        const u16 service = classify<Family>(b, services, *packet++, frame);
        services_or |= service;
        services_and &= service;
    }
    add(counters_.worker.received_bytes, bytes);
    if (services_or != services_and || services_or == ServiceTable::kNone) [[unlikely]] return count_by_service(frames);
    add(counters_.service_traffic[services_or].packets, burst_size_);
    add(counters_.service_traffic[services_or].bytes, bytes);
}

/// Gives each packet its backend and, with it, its outer headers: a few packets at a time, so that the lines of later ones have
/// the more time to come. From the first packet on that its connection's first line does not decide, the rest together.
template <class F> void Pipeline::forward_burst(const Burst &b, std::span<F> frames) noexcept {
    WorkerCounters &worker = counters_.worker;
    const u64 others_before = worker.by_row + worker.by_hops;
    u64 bytes = 0;
    unsigned done = 0;
    for (unsigned begin = 0; begin < burst_size_; begin += kTogether) {
        const unsigned count = std::min(burst_size_ - begin, kTogether);
        follow(b, begin, count);
        if (pending_count_ + wide_count_ > 0) [[unlikely]] continue;
        bytes += encapsulate(b, frames.subspan(begin, count), begin);
        done = begin + count;
    }
    if (done < burst_size_) [[unlikely]] {
        select_backends(b);
        bytes += encapsulate(b, frames.subspan(done), done);
    }
    const unsigned forwarded = burst_size_ - not_forwarded_;
    add(worker.forwarded_packets, forwarded);
    add(worker.forwarded_bytes, bytes);
    add(worker.by_connection, forwarded - (worker.by_row + worker.by_hops - others_before));
}

/// Looks for the connections of `count` packets in their first lines.
inline void Pipeline::follow(const Burst &b, unsigned begin, unsigned count) noexcept {
    const u32 unchanged = Connection::established_at(b.now_s);
    const std::span packets = std::span(packets_).subspan(begin, count);
    for (Packet &packet : packets) follow_connection(b, packet, unchanged);
    if (b.generation.slot_count() <= kSlotsNearMax) return;
    for (const Packet &packet : packets) {
        b.generation.prefetch_forwarding(packet.slot());
        __builtin_prefetch(&counters_.slot_traffic[packet.slot()], 0, 2);
    }
}

/// @param begin of the frames' packets
/// @return bytes that leave.
template <class F> u64 Pipeline::encapsulate(const Burst &b, std::span<F> frames, unsigned begin) noexcept {
    const Encapsulation e{&b.generation.forwarding(0), counters_.slot_traffic, b.generation.forwarding_mask(), b.length_max};
    u64 bytes = 0;
    Packet *packet = &packets_[begin];
    for (F &frame : frames) bytes += encapsulate_sure(b, e, *packet++, frame);
    return bytes;
}

/// Parse and service lookup. After it a packet has the source kConnection and its line is on its way, or it is
/// decided, or among `wide_`.
/// @return its service, or kNone.
template <class Family, class F> [[gnu::always_inline]] inline u16 Pipeline::classify(const Burst &b, const ServiceTable::Lookup services, Packet &packet, F &frame) noexcept {
    using Access = FrameAccess<F>;
    if (Access::is_whole(frame) && Family::parse(Access::data(frame), Access::length(frame), packet)) [[likely]] {
        const FlowKeys keys = flow_keys(packet.flow);
        if (const u16 *service = services.find_at_once(keys.service)) [[likely]] {
            packet.service = *service;
            packet.source = Source::kConnection;
            packet.verdict = Verdict::kForward;
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
template <class Family, class F> [[gnu::noinline]] void Pipeline::classify_uncommon(const Burst &b, Packet &packet, F &frame) noexcept {
    using Access = FrameAccess<F>;
    packet.begin();
    if (!Access::is_whole(frame)) return drop(packet, DropReason::segmented);
    const ServiceTable &services = b.generation.service_table();
    const ParseResult result = Family::parse_uncommon(Access::data(frame), Access::length(frame), packet);
    if (result.parsed == Parsed::kFlow) {
        const FlowKeys keys = flow_keys(packet.flow);
        if (const auto found = services.find(keys.service); found.index != ServiceTable::kNone) {
            packet.service = found.index;
            packet.hash = flow_hash(b.hash_key, packet.flow);
            if (found.any_port) {
                wide_connections_.prefetch(wide_connections_.first(packet.hash));
                wide_[wide_count_++] = index(packet);
            } else {
                packet.source = Source::kConnection;
                packet.key = CompactKey::of(keys.client, found.index);
                packet.line = connections_.first(packet.hash);
                connections_.prefetch(packet.line);
            }
        } else if (services.is_vip(packet.flow.destination)) drop(packet, DropReason::no_service);
        else leave_to_kernel(packet, DropReason::not_for_vip);
    } else if (result.parsed == Parsed::kBadForAll) drop(packet, result.reason);
    else if (result.parsed == Parsed::kBad && services.is_vip(Family::destination(Access::data(frame)))) drop(packet, result.reason);
    else leave_to_kernel(packet, DropReason::not_for_vip);
}

/// Gives the packet the slot of its entry, and brings the entry up to date.
/// @return false if the entry does not hold for this packet: its slot has another tenant now, its backend is dead, or the
///         packet begins another connection.
inline bool follow_entry(const Generation &generation, u64 &value, Packet &packet, u32 now_s) noexcept {
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

/// Where four flows in five have their entry: in their first line. Most packets change nothing there: the last one came in the
/// same second. Whether the backend is still the entry's, its own line will tell.
[[gnu::always_inline]] inline void Pipeline::follow_connection(const Burst &b, Packet &packet, u32 unchanged) noexcept {
    if (packet.source != Source::kConnection) [[unlikely]] return;
    const u64 *value = connections_.find_in(packet.line, packet.key);
    if (!value || *value >> 32 != unchanged || packet.tcp_flags & (kTcpFin | kTcpRst)) [[unlikely]] return follow_closely(b, packet);
    packet.tenant = static_cast<u32>(*value);
}

/// The rest becomes `pending_`, second lines on their way.
[[gnu::noinline]] inline void Pipeline::follow_closely(const Burst &b, Packet &packet) noexcept {
    u64 *value = connections_.find_in(packet.line, packet.key);
    if (value && follow_entry(b.generation, *value, packet, b.now_s)) return;
    connections_.prefetch_second(packet.line, packet.key);
    postpone(b, packet);
}

[[gnu::always_inline]] inline void Pipeline::postpone(const Burst &b, Packet &packet) noexcept {
    pending_[pending_count_++] = index(packet);
    packet.tenant = kNoSlot;
    packet.source = Source::kNone;
    const Service &service = b.generation.service(packet.service);
    __builtin_prefetch(&service.rows[reduce(packet.hash.row, service.row_count)]);
}

/// Whether a packet can be sent to its backend as it is.
[[nodiscard, gnu::always_inline]] inline bool is_sendable(u32 ip_length, u32 headroom, u32 length_max, const Forwarding &forwarding) noexcept {
    return ip_length + forwarding.reach <= length_max && headroom >= kHeadroomNeeded;
}

/// Most packets go to the backend of their connection's entry, which is the one for sure.
/// @return the length of the frame that leaves; 0: none does.
template <class F>
[[gnu::always_inline]] inline u32 Pipeline::encapsulate_sure(const Burst &b, const Encapsulation e, Packet &packet, F &named) noexcept {
    using Access = FrameAccess<F>;
    std::conditional_t<std::is_pointer_v<F>, const F, F &> frame = named; // a pointer stays the same whatever is written
    if (packet.source != Source::kConnection) [[unlikely]] return encapsulate_any(b, packet, named);
    const u32 tenant = packet.tenant;
    const u32 slot = tenant & e.mask; // the tenant's, if that is the tenant of the line there
    const Forwarding &forwarding = e.forwardings[slot];
    if (forwarding.tenant != tenant) [[unlikely]] return encapsulate_stale(b, packet, named);
    const u16 ip_length = packet.ip_length;
    if (!is_sendable(ip_length, Access::headroom(frame), e.length_max, forwarding)) [[unlikely]] return drop_unsendable(b, packet, forwarding), 0;
    const auto leave = [&](u32 outer) {
        const u32 length = outer + ip_length;
        Access::extend(frame, outer - u32{sizeof(EthernetHeader)}, length);
        count_packet(e.traffic[slot], length);
        return length;
    };
    u8 *inner = Access::data(frame) + sizeof(EthernetHeader);
    if (forwarding.has_udp) [[likely]] return write_gue(inner, forwarding, ip_length, packet.hash.entropy, b.source), leave(kGueHeadersLength);
    return write_ipip(inner, forwarding, ip_length, b.source), leave(kIpipHeadersLength);
}

/// The entry that was found means a backend that is gone, or dead.
template <class F> [[gnu::noinline]] u32 Pipeline::encapsulate_stale(const Burst &b, Packet &packet, F &frame) noexcept {
    packet.tenant = kNoSlot;
    packet.source = Source::kNone;
    select_backend(b, packet);
    return encapsulate_any(b, packet, frame);
}

/// An unsure packet leaves with hops, where its row has any and the MTU has room for them; without: far likelier than not the
/// first choice is right. What has no backend leaves if it is answered.
template <class F> [[gnu::noinline]] u32 Pipeline::encapsulate_any(const Burst &b, Packet &packet, F &frame) noexcept {
    using Access = FrameAccess<F>;
    if (packet.source == Source::kNone) {
        if (packet.verdict == Verdict::kReply) Access::extend(frame, 0, answer_with_reset(Access::data(frame), packet, b.source_mac));
        return 0;
    }
    const Forwarding &forwarding = b.generation.forwarding(packet.slot());
    if (!is_sendable(packet.ip_length, Access::headroom(frame), b.length_max, forwarding)) return drop_unsendable(b, packet, forwarding), 0;
    Be32 hops[kGueHopCountMax];
    unsigned hop_count = 0;
    if (packet.source == Source::kHops) hop_count = select_hops(b.generation, b.generation.service(packet.service), packet.hash, packet.slot(), hops);
    if (hop_count > 0 && u32{packet.ip_length} + forwarding.length + hops_length(hop_count) > b.length_max) {
        add(counters_.worker.hops_omitted);
        hop_count = 0;
    }
    u8 *inner = Access::data(frame) + sizeof(EthernetHeader);
    const u32 outer = hop_count == 0 ? core::encapsulate(inner, forwarding, packet.ip_length, packet.hash.entropy, b.source)
                                     : encapsulate_with_hops(inner, forwarding, packet.ip_length, packet.hash.entropy, b.source, {hops, hop_count});
    if (packet.source == Source::kRow) add(counters_.worker.by_row);
    else if (packet.source == Source::kHops) add(counters_.worker.by_hops);
    const u32 length = outer + packet.ip_length;
    Access::extend(frame, outer - u32{sizeof(EthernetHeader)}, length);
    count_packet(counters_.slot_traffic[packet.slot()], length);
    return length;
}

[[gnu::always_inline]] inline void Pipeline::count_packet(TrafficCounters &traffic, u32 length) noexcept {
    add_at_once(traffic.packets, 1);
    add_at_once(traffic.bytes, length);
}

/// What each service has received, of a burst that is not for one alone.
template <class F> void Pipeline::count_by_service(std::span<F> frames) noexcept {
    for (unsigned i = 0; i < burst_size_; ++i) {
        if (packets_[i].service != ServiceTable::kNone)
            count_packet(counters_.service_traffic[packets_[i].service], FrameAccess<F>::length(frames[i]));
    }
}

} // namespace fairlead::core
