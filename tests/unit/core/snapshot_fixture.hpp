// SPDX-License-Identifier: Apache-2.0
// Builds snapshots for tests of core/, by hand and from the format alone, so that the control plane's
// builder is tested against it and not with it.
#pragma once

#include "dataplane/core/generation.hpp"

#include <cstring>
#include <vector>

namespace fairlead::test {

using Bytes = std::vector<std::byte>;

template <class T> void append(Bytes &bytes, const T &value) {
    const auto *p = reinterpret_cast<const std::byte *>(&value);
    bytes.insert(bytes.end(), p, p + sizeof value);
}

/// Fills size and checksum, so that a test can break one thing at a time.
inline void seal(Bytes &bytes) {
    wire::SegmentHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.size = bytes.size();
    std::memcpy(bytes.data(), &header, sizeof header);
    header.checksum = core::segment_checksum(bytes);
    std::memcpy(bytes.data(), &header, sizeof header);
}

inline wire::SegmentHeader segment_header(wire::u32 kind, wire::u64 id, wire::u32 count) {
    wire::SegmentHeader header{};
    header.magic = FAIRLEAD_SNAPSHOT_MAGIC;
    header.abi = wire::kSnapshotAbi;
    header.kind = kind;
    header.id = id;
    header.count = count;
    return header;
}

inline wire::u8 *put(wire::u8 (&to)[16], wire::u32 address) {
    const auto be = wire::Be32::from_host(address);
    std::memcpy(to, &be, sizeof be);
    return to;
}

inline wire::ServiceEntry service_entry(wire::u32 vip, wire::u16 port, wire::u8 protocol, wire::u64 rows_id,
                                        wire::u8 forwarding = wire::kForwardingGue) {
    wire::ServiceEntry s{};
    put(s.vip, vip);
    s.port = wire::Be16::from_host(port);
    s.protocol = protocol;
    s.family = 4;
    s.forwarding = forwarding;
    s.rows_segment_id = rows_id;
    s.half_open_timeout_s = 30;
    s.established_timeout_s = 6 * 3600;
    s.closing_timeout_s = 60;
    s.udp_timeout_s = 60;
    return s;
}

inline wire::SlotEntry slot_entry(wire::u32 address, wire::u16 service, wire::u16 epoch = 7,
                                  wire::u8 state = wire::kSlotUp) {
    wire::SlotEntry s{};
    put(s.address, address);
    s.epoch = epoch;
    s.service = service;
    s.state = state;
    s.family = 4;
    return s;
}

/// A whole snapshot and the segments it names; bytes live here.
struct Snapshot {
    wire::u64 generation = 1;
    wire::u32 source = 0x0a14000b; // 10.20.0.11
    wire::u8 dscp = 0;
    std::vector<wire::ServiceEntry> services;
    std::vector<wire::SlotEntry> slots;
    std::vector<wire::HopEntry> hops;
    std::vector<std::vector<wire::u16>> rows; ///< segment id of rows[i] is 100 + i
    std::vector<std::vector<wire::u16>> alternates; ///< of rows[i], kAlternateCount for each row; where there are none: no second chance
    Bytes root_bytes, hops_bytes;
    std::vector<Bytes> rows_bytes;

    void render() {
        root_bytes.clear();
        hops_bytes.clear();
        rows_bytes.clear();
        wire::SnapshotRoot root{};
        root.header = segment_header(wire::kSegmentRoot, 0, 0);
        root.generation = generation;
        root.hops_segment_id = 99;
        for (int i = 0; i < 16; ++i) root.seed[i] = static_cast<wire::u8>(i * 0x11);
        root.source_ipv4 = wire::Be32::from_host(source);
        root.gue_port = wire::Be16::from_host(wire::kGueDefaultPort);
        root.dscp = dscp;
        root.service_count = static_cast<wire::u32>(services.size());
        root.slot_count = static_cast<wire::u32>(slots.size());
        append(root_bytes, root);
        for (auto &s : services) append(root_bytes, s);
        for (auto &s : slots) append(root_bytes, s);
        seal(root_bytes);
        append(hops_bytes, segment_header(wire::kSegmentHops, 99, static_cast<wire::u32>(hops.size())));
        for (auto &h : hops) append(hops_bytes, h);
        seal(hops_bytes);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            auto &bytes = rows_bytes.emplace_back();
            auto header = segment_header(wire::kSegmentRows, 100 + i, static_cast<wire::u32>(rows[i].size()));
            const bool has_alternates = i < alternates.size() && !alternates[i].empty();
            header.alternates = has_alternates ? wire::kAlternateCount : 0;
            append(bytes, header);
            for (auto row : rows[i]) append(bytes, row);
            if (has_alternates)
                for (auto slot : alternates[i]) append(bytes, slot);
            seal(bytes);
        }
    }

    /// Checks and builds what render() made; the refusal of a segment comes first.
    [[nodiscard]] core::Generation::Built build() const {
        std::vector<core::CheckedSegment> segments(1 + rows_bytes.size());
        if (auto refusal = core::check_segment(hops_bytes, segments[0]); !refusal.empty()) return {nullptr, refusal};
        for (std::size_t i = 0; i < rows_bytes.size(); ++i)
            if (auto refusal = core::check_segment(rows_bytes[i], segments[i + 1]); !refusal.empty()) return {nullptr, refusal};
        return core::Generation::build(root_bytes, segments);
    }

    /// `count` backends 10.20.0.31.. behind 198.51.100.10:`port`, rows dealt round.
    static Snapshot with_backends(unsigned count, wire::u16 port = 80, wire::u8 protocol = wire::kIpProtocolTcp) {
        Snapshot s;
        s.services = {service_entry(0xc633640a, port, protocol, 100)};
        auto &rows = s.rows.emplace_back(1021);
        for (unsigned i = 0; i < count; ++i) {
            s.slots.push_back(slot_entry(0x0a14001f + i, 0, static_cast<wire::u16>(7 + i)));
            s.hops.push_back({{2, 0, 0, 0, 0, static_cast<wire::u8>(0xa0 + i)}, 1, 0});
        }
        for (std::size_t i = 0; i < rows.size(); ++i)
            rows[i] = count ? static_cast<wire::u16>(i % count) : static_cast<wire::u16>(wire::kNoSlot);
        s.render();
        return s;
    }

    /// The same, with the next `alternate_count` backends in order as each row's alternates.
    static Snapshot with_alternates(unsigned count, unsigned alternate_count) {
        Snapshot s = with_backends(count);
        auto &alternates = s.alternates.emplace_back();
        for (const auto row : s.rows[0])
            for (unsigned i = 1; i <= wire::kAlternateCount; ++i)
                alternates.push_back(i <= alternate_count ? static_cast<wire::u16>((row + i) % count) : static_cast<wire::u16>(wire::kNoSlot));
        s.render();
        return s;
    }
};

} // namespace fairlead::test
