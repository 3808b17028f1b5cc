// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/generation.hpp"

#include "dataplane/core/checksum.hpp"
#include "dataplane/core/connection_table.hpp"
#include "dataplane/core/encapsulate.hpp"
#include "dataplane/core/parse.hpp"

#include <bit>
#include <algorithm>
#include <cstring>

namespace fairlead::core {

using namespace wire;

namespace {

constexpr u8 kOuterTtl = 64;

const CheckedSegment *find_segment(std::span<const CheckedSegment> segments, u64 id, u32 kind) {
    auto it = std::ranges::find_if(segments, [&](const auto &s) { return s.id == id && s.kind == kind; });
    return it == segments.end() ? nullptr : &*it;
}

template <std::size_t N> bool all_zero(const u8 (&bytes)[N], std::size_t from = 0) {
    return std::all_of(bytes + from, bytes + N, [](u8 b) { return b == 0; });
}

Refusal check_service(const ServiceEntry &service, std::size_t index) {
    const std::string name = "root: service " + std::to_string(index);
    if (service.protocol != kIpProtocolTcp && service.protocol != kIpProtocolUdp) return name + ": protocol " + std::to_string(service.protocol) + " is neither TCP nor UDP";
    if (service.family != Ipv4::kFamily) return name + ": address family " + std::to_string(service.family) + " is not supported";
    if (service.forwarding != kForwardingGue && service.forwarding != kForwardingIpip) return name + ": forwarding mode " + std::to_string(service.forwarding) + " is unknown";
    if (!all_zero(service.vip, 4) || !all_zero(service.reserved0) || service.reserved1[0] || service.reserved1[1]) return name + ": reserved bytes are set";
    for (u32 timeout_s : {service.half_open_timeout_s, service.established_timeout_s, service.closing_timeout_s, service.udp_timeout_s})
        if (timeout_s == 0 || timeout_s > kTimeoutMaxS) return name + ": a timeout of " + std::to_string(timeout_s) + " s is outside 1 to " + std::to_string(kTimeoutMaxS);
    return {};
}

Refusal check_slot(const SlotEntry &slot, std::size_t index, std::span<const ServiceEntry> services) {
    const std::string name = "root: slot " + std::to_string(index);
    if (slot.state > kSlotReset) return name + ": state " + std::to_string(slot.state) + " is unknown";
    if (slot.family != Ipv4::kFamily) return name + ": address family " + std::to_string(slot.family) + " is not supported";
    if (!all_zero(slot.address, 4) || slot.reserved || slot.reserved1) return name + ": reserved bytes are set";
    if (slot.service >= services.size() || services[slot.service].protocol == 0) return name + ": service " + std::to_string(slot.service) + " does not exist";
    return {};
}

/// A service's rows name slots of its own that take new flows, their alternates living slots of its own.
Refusal check_rows_of(const CheckedSegment &rows, std::size_t service, std::span<const SlotEntry> slots) {
    const auto is_own = [&](u16 slot, u8 state_max) {
        return slot < slots.size() && slots[slot].service == service && slots[slot].state >= kSlotUp && slots[slot].state <= state_max;
    };
    static_assert(kSlotUp + 1 == kSlotDraining);
    for (u16 slot : rows.owners)
        if (!is_own(slot, kSlotUp))
            return "root: the rows of service " + std::to_string(service) + " name slot " + std::to_string(slot) + ", which is not an up backend of it";
    for (u16 slot : rows.former_owners)
        if (!is_own(slot, kSlotDraining))
            return "root: the alternates of service " + std::to_string(service) + " name slot " + std::to_string(slot) + ", which is not a living backend of it";
    return {};
}

/// The outer headers for one backend, whatever does not depend on the packet or the port.
Forwarding build_forwarding(const SnapshotRoot &root, const SlotEntry &slot, u8 forwarding_mode, const HopEntry &hop) {
    Forwarding f{};
    f.epoch = slot.epoch;
    f.state = slot.state;
    f.has_udp = forwarding_mode == kForwardingGue;
    f.length = f.has_udp ? kGueHeadersLength : kIpipHeadersLength;
    f.reach = hop.resolved ? f.length : Forwarding::kUnresolved;

    EthernetHeader ethernet{};
    std::memcpy(ethernet.destination, hop.mac, sizeof hop.mac);
    ethernet.ether_type = Be16::from_host(kEtherTypeIpv4);

    Ipv4Header ip{};
    ip.version_ihl = 0x45;
    ip.dscp_ecn = static_cast<u8>(root.dscp << 2);
    ip.total_length = Be16::from_host(static_cast<u16>(f.length - sizeof ethernet)); // and the inner packet's
    ip.fragment = Be16::from_host(kIpv4DontFragment); // so identification may stay 0 (RFC 6864, 4.1)
    ip.ttl = kOuterTtl;
    ip.protocol = f.has_udp ? kIpProtocolUdp : kIpProtocolIpip;
    ip.source = root.source_ipv4;
    std::memcpy(&ip.destination, slot.address, sizeof ip.destination);
    f.checksum = fold(word_sum(ip));
    if (f.has_udp) { // to be added to and then put into network order, all at once
        ip.total_length.raw = static_cast<u16>(f.length - sizeof ethernet);
        ip.checksum.raw = f.checksum;
    }

    u8 *next = f.headers + sizeof f.headers - f.length;
    const auto put = [&](const auto &header) {
        std::memcpy(next, &header, sizeof header);
        next += sizeof header;
    };
    put(ethernet);
    put(ip);
    if (f.has_udp) {
        UdpHeader udp{};
        udp.source_port.raw = kSourcePortFirst;
        udp.length.raw = sizeof(UdpHeader) + sizeof(GueHeader);
        udp.destination_port = root.gue_port;
        GueHeader gue{};
        gue.protocol = kIpProtocolIpip;
        put(udp);
        put(gue);
    }
    return f;
}

} // namespace

Generation::Generation(const SnapshotRoot &root)
    : number_(root.generation), hash_key_(std::to_array(root.seed)), slot_count_(root.slot_count) {}

Refusal Generation::take_services(std::span<const ServiceEntry> services, std::span<const SlotEntry> slots,
                                  std::span<const CheckedSegment> segments) {
    services_.resize(services.size());
    for (std::size_t i = 0; i < services.size(); ++i) {
        const ServiceEntry &entry = services[i];
        if (entry.protocol == 0) continue;
        if (auto refusal = check_service(entry, i); !refusal.empty()) return refusal;
        const CheckedSegment *rows = find_segment(segments, entry.rows_segment_id, kSegmentRows);
        if (!rows) return "root: service " + std::to_string(i) + " names rows segment " + std::to_string(entry.rows_segment_id) + ", which was not sent";
        if (rows->alternates != 0 && (entry.protocol != kIpProtocolTcp || entry.forwarding != kForwardingGue))
            return "root: service " + std::to_string(i) + " has alternates, which are for TCP over GUE alone";
        if (auto refusal = check_rows_of(*rows, i, slots); !refusal.empty()) return refusal;

        Service &service = services_[i];
        service.rows = reinterpret_cast<const u16 *>(rows->bytes.data() + sizeof(SegmentHeader));
        service.row_count = rows->count;
        service.alternates = rows->alternates ? service.rows + rows->count : nullptr;
        service.any_port = entry.port.raw == kPortAny;
        using enum ConnectionState;
        service.timeout_s[static_cast<u8>(kHalfOpen)] = entry.half_open_timeout_s;
        service.timeout_s[static_cast<u8>(kEstablished)] = entry.established_timeout_s;
        service.timeout_s[static_cast<u8>(kClosing)] = entry.closing_timeout_s;
        service.timeout_s[static_cast<u8>(kUdp)] = entry.udp_timeout_s;

        segment_ids_.push_back(entry.rows_segment_id);
        Be32 vip{};
        std::memcpy(&vip, entry.vip, sizeof vip);
        if (std::ranges::find(vips_, vip) == vips_.end()) vips_.push_back(vip);
    }
    if (!service_table_.build(services)) return "root: two services have the same VIP, port and protocol";
    return {};
}

Refusal Generation::take_slots(const SnapshotRoot &root, std::span<const ServiceEntry> services,
                               std::span<const SlotEntry> slots, std::span<const CheckedSegment> segments) {
    const CheckedSegment *hops = find_segment(segments, root.hops_segment_id, kSegmentHops);
    if (!hops) return "root: names hops segment " + std::to_string(root.hops_segment_id) + ", which was not sent";
    if (hops->count < slots.size()) return "root: " + std::to_string(slots.size()) + " slots, but the hops segment has " + std::to_string(hops->count);
    const auto *hop = reinterpret_cast<const HopEntry *>(hops->bytes.data() + sizeof(SegmentHeader));
    segment_ids_.push_back(root.hops_segment_id);

    Forwarding free{};
    free.tenant = Forwarding::kNoTenant;
    forwarding_.resize(std::bit_ceil(slots.size() + 1), free); // the last stays free: where entries with unknown slots lead
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (slots[i].state == kSlotFree) continue;
        if (auto refusal = check_slot(slots[i], i, services); !refusal.empty()) return refusal;
        forwarding_[i] = build_forwarding(root, slots[i], services[slots[i].service].forwarding, hop[i]);
        forwarding_[i].tenant = forwarding_[i].is_living() ? static_cast<u32>(i | slots[i].epoch << 16) : Forwarding::kNoTenant;
    }
    return {};
}

Generation::Built Generation::build(std::span<const std::byte> bytes, std::span<const CheckedSegment> segments) {
    CheckedSegment checked;
    if (auto refusal = check_segment(bytes, checked); !refusal.empty()) return {nullptr, refusal};
    if (checked.kind != kSegmentRoot) return {nullptr, "root: a segment of another kind was published as root"};
    if (bytes.size() < sizeof(SnapshotRoot)) return {nullptr, "root: " + std::to_string(bytes.size()) + " bytes are less than a root"};
    SnapshotRoot root;
    std::memcpy(&root, bytes.data(), sizeof root);
    if (root.generation == 0) return {nullptr, "root: generation 0 does not exist"};
    if (root.service_count > kServiceCapacity || root.slot_count > kSlotCapacity)
        return {nullptr, "root: " + std::to_string(root.service_count) + " services and " + std::to_string(root.slot_count) + " slots exceed the capacity"};
    const std::size_t size = sizeof root + root.service_count * sizeof(ServiceEntry) + root.slot_count * sizeof(SlotEntry);
    if (bytes.size() != size) return {nullptr, "root: its counts take " + std::to_string(size) + " bytes, it has " + std::to_string(bytes.size())};
    if (root.dscp > 63 || root.reserved0 || root.reserved1[0] || root.reserved1[1] || root.header.count) return {nullptr, "root: DSCP or reserved bytes out of range"};

    const std::span services{reinterpret_cast<const ServiceEntry *>(bytes.data() + sizeof root), root.service_count};
    const std::span slots{reinterpret_cast<const SlotEntry *>(services.data() + services.size()), root.slot_count};
    std::unique_ptr<Generation> generation(new Generation(root));
    if (auto refusal = generation->take_services(services, slots, segments); !refusal.empty()) return {nullptr, refusal};
    if (auto refusal = generation->take_slots(root, services, slots, segments); !refusal.empty()) return {nullptr, refusal};
    std::ranges::sort(generation->segment_ids_);
    return {std::move(generation), {}};
}

} // namespace fairlead::core
