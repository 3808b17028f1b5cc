// SPDX-License-Identifier: Apache-2.0
#include "controlplane/publish/snapshot_builder.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "dataplane/core/segment.hpp"

namespace fairlead::publish {

using namespace wire;

namespace {

constexpr std::uint8_t kFamilyIpv4 = 4;

SegmentHeader header_of(u32 kind, u64 id, std::size_t count, std::size_t size) {
    SegmentHeader header{};
    header.magic = FAIRLEAD_SNAPSHOT_MAGIC;
    header.abi = kSnapshotAbi;
    header.kind = kind;
    header.size = size;
    header.id = id;
    header.count = static_cast<u32>(count);
    return header;
}

/// Writes the checksum, last.
SegmentBytes finish(SegmentBytes bytes) {
    const u32 checksum = core::segment_checksum(bytes);
    std::memcpy(bytes.data() + offsetof(SegmentHeader, checksum), &checksum, sizeof checksum);
    return bytes;
}

template <class Element>
SegmentBytes array_segment(u32 kind, u64 id, std::span<const Element> elements) {
    SegmentBytes bytes(sizeof(SegmentHeader) + elements.size_bytes());
    const SegmentHeader header = header_of(kind, id, elements.size(), bytes.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    if (!elements.empty()) std::memcpy(bytes.data() + sizeof header, elements.data(), elements.size_bytes());
    return finish(std::move(bytes));
}

std::size_t slot_count(const ForwardingState &state) {
    std::size_t count = 0;
    for (const auto &slot : state.slots) count = std::max<std::size_t>(count, slot.slot + 1u);
    return count;
}

std::vector<ServiceEntry> service_entries(const ForwardingState &state) {
    std::vector<ServiceEntry> entries;
    for (const auto &service : state.services) {
        if (service.index >= entries.size()) entries.resize(service.index + 1u);
        ServiceEntry &entry = entries[service.index];
        std::memcpy(entry.vip, &service.vip, sizeof service.vip);
        entry.port = Be16::from_host(service.port);
        entry.protocol = service.protocol;
        entry.family = kFamilyIpv4;
        entry.forwarding = service.forwarding;
        entry.rows_segment_id = service.rows_segment_id;
        entry.half_open_timeout_s = service.half_open_timeout_s;
        entry.established_timeout_s = service.established_timeout_s;
        entry.closing_timeout_s = service.closing_timeout_s;
        entry.udp_timeout_s = service.udp_timeout_s;
    }
    return entries;
}

std::vector<SlotEntry> slot_entries(const ForwardingState &state) {
    std::vector<SlotEntry> entries(slot_count(state));
    for (const auto &slot : state.slots) {
        SlotEntry &entry = entries[slot.slot];
        std::memcpy(entry.address, &slot.address, sizeof slot.address);
        entry.epoch = slot.epoch;
        entry.service = slot.service;
        entry.state = slot.state;
        entry.family = kFamilyIpv4;
    }
    return entries;
}

} // namespace

SegmentBytes build_rows_segment(std::uint64_t id, std::span<const std::uint16_t> rows,
                                std::span<const std::uint16_t> alternates) {
    assert(alternates.empty() || alternates.size() == rows.size() * kAlternateCount);
    SegmentBytes bytes(sizeof(SegmentHeader) + rows.size_bytes() + alternates.size_bytes());
    SegmentHeader header = header_of(kSegmentRows, id, rows.size(), bytes.size());
    header.alternates = alternates.empty() ? 0 : kAlternateCount;
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, rows.data(), rows.size_bytes());
    if (!alternates.empty()) std::memcpy(bytes.data() + sizeof header + rows.size_bytes(), alternates.data(), alternates.size_bytes());
    return finish(std::move(bytes));
}

SegmentBytes build_hops_segment(const ForwardingState &state) {
    std::vector<HopEntry> hops(slot_count(state));
    for (const auto &slot : state.slots) {
        std::ranges::copy(slot.mac, hops[slot.slot].mac);
        hops[slot.slot].resolved = slot.resolved;
    }
    return array_segment(kSegmentHops, state.hops_segment_id, std::span<const HopEntry>(hops));
}

SegmentBytes build_root_segment(const ForwardingState &state) {
    const std::vector<ServiceEntry> services = service_entries(state);
    const std::vector<SlotEntry> slots = slot_entries(state);
    const std::size_t services_size = services.size() * sizeof(ServiceEntry), slots_size = slots.size() * sizeof(SlotEntry);
    SegmentBytes bytes(sizeof(SnapshotRoot) + services_size + slots_size);

    SnapshotRoot root{};
    root.header = header_of(kSegmentRoot, 0, 0, bytes.size());
    root.generation = state.generation;
    root.hops_segment_id = state.hops_segment_id;
    std::ranges::copy(state.seed, root.seed);
    root.source_ipv4 = state.source_address;
    root.gue_port = Be16::from_host(state.gue_port);
    root.dscp = state.dscp;
    root.service_count = static_cast<u32>(services.size());
    root.slot_count = static_cast<u32>(slots.size());
    std::memcpy(bytes.data(), &root, sizeof root);
    if (services_size) std::memcpy(bytes.data() + sizeof root, services.data(), services_size);
    if (slots_size) std::memcpy(bytes.data() + sizeof root + services_size, slots.data(), slots_size);
    return finish(std::move(bytes));
}

} // namespace fairlead::publish
