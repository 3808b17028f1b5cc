// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/segment.hpp"

#include <algorithm>
#include <bitset>
#include <cstring>
#include <immintrin.h>

namespace fairlead::core {

using namespace wire;

namespace {

u32 crc32c(u32 crc, std::span<const std::byte> bytes) noexcept {
    u64 state = crc;
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        u64 word;
        std::memcpy(&word, bytes.data() + i, sizeof word);
        state = _mm_crc32_u64(state, word);
    }
    for (; i < bytes.size(); ++i)
        state = _mm_crc32_u8(static_cast<u32>(state), std::to_integer<u8>(bytes[i]));
    return static_cast<u32>(state);
}

std::string kind_name(u32 kind) {
    switch (kind) {
    case kSegmentRoot: return "root";
    case kSegmentHops: return "hops";
    case kSegmentRows: return "rows";
    default: return "segment of kind " + std::to_string(kind);
    }
}

Refusal check_header(std::span<const std::byte> bytes, const SegmentHeader &header) {
    if (header.magic != FAIRLEAD_SNAPSHOT_MAGIC) return "segment: not a Fairlead segment (magic)";
    if (header.abi != kSnapshotAbi)
        return "segment: snapshot ABI " + std::to_string(header.abi) + ", this dataplane reads " +
               std::to_string(kSnapshotAbi) + "; run a fairleadd of the same version";
    const std::string name = kind_name(header.kind);
    if (header.kind < kSegmentRoot || header.kind > kSegmentRows) return name + " is unknown";
    if (header.size != bytes.size())
        return name + " segment: says " + std::to_string(header.size) + " bytes, has " + std::to_string(bytes.size());
    if (header.checksum != segment_checksum(bytes)) return name + " segment: checksum does not match its content";
    if (header.reserved0 || header.reserved[0] || header.reserved[1]) return name + " segment: reserved bytes are set";
    if (header.alternates != 0 && (header.kind != kSegmentRows || header.alternates != kAlternateCount))
        return name + " segment: " + std::to_string(header.alternates) + " alternates a row, allowed are 0 and, for rows, " + std::to_string(kAlternateCount);
    if ((header.kind == kSegmentRoot) != (header.id == 0)) return name + " segment: id " + std::to_string(header.id) + " does not fit its kind";
    return {};
}

Refusal expect_size(std::span<const std::byte> bytes, std::size_t element_size, u32 count, const char *name) {
    const std::size_t wanted = sizeof(SegmentHeader) + element_size * count;
    if (bytes.size() == wanted) return {};
    return std::string(name) + " segment: " + std::to_string(count) + " elements take " + std::to_string(wanted) +
           " bytes, it has " + std::to_string(bytes.size());
}

std::vector<u16> distinct_slots(std::span<const u16> elements) {
    std::bitset<65536> named;
    for (const u16 slot : elements) named.set(slot);
    std::vector<u16> slots;
    for (u32 slot = 0; slot < kNoSlot; ++slot)
        if (named.test(slot)) slots.push_back(static_cast<u16>(slot));
    return slots;
}

Refusal check_rows(std::span<const std::byte> bytes, CheckedSegment &out) {
    if (out.count == 0 || out.count > kRowCountMax) return "rows segment: " + std::to_string(out.count) + " rows, allowed are 1 to " + std::to_string(kRowCountMax);
    if (auto refusal = expect_size(bytes, sizeof(u16) * (1 + out.alternates), out.count, "rows"); !refusal.empty()) return refusal;
    const std::span elements{reinterpret_cast<const u16 *>(bytes.data() + sizeof(SegmentHeader)), std::size_t{out.count} * (1 + out.alternates)};
    out.owners = distinct_slots(elements.first(out.count));
    out.former_owners = distinct_slots(elements.subspan(out.count));
    return {};
}

Refusal check_hops(std::span<const std::byte> bytes, const CheckedSegment &out) {
    if (out.count > kSlotCapacity) return "hops segment: " + std::to_string(out.count) + " hops, at most " + std::to_string(kSlotCapacity) + " are allowed";
    if (auto refusal = expect_size(bytes, sizeof(HopEntry), out.count, "hops"); !refusal.empty()) return refusal;
    const auto *hops = reinterpret_cast<const HopEntry *>(bytes.data() + sizeof(SegmentHeader));
    for (u32 i = 0; i < out.count; ++i)
        if (hops[i].resolved > 1 || hops[i].reserved != 0) return "hops segment: hop " + std::to_string(i) + " is malformed";
    return {};
}

} // namespace

u32 segment_checksum(std::span<const std::byte> bytes) noexcept {
    constexpr std::size_t place = offsetof(SegmentHeader, checksum);
    static_assert(place % 8 == 4, "the words before and after stay whole");
    std::byte zero[4]{};
    u32 crc = crc32c(0xffffffffu, bytes.first(place));
    crc = crc32c(crc, zero);
    return ~crc32c(crc, bytes.subspan(place + sizeof(u32)));
}

Refusal check_segment(std::span<const std::byte> bytes, CheckedSegment &out) {
    if (bytes.size() < sizeof(SegmentHeader))
        return "segment: " + std::to_string(bytes.size()) + " bytes are less than a header";
    SegmentHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (auto refusal = check_header(bytes, header); !refusal.empty()) return refusal;
    out = {bytes, header.id, header.kind, header.count, header.alternates, {}, {}};
    switch (header.kind) {
    case kSegmentRows: return check_rows(bytes, out);
    case kSegmentHops: return check_hops(bytes, out);
    default: return {};
    }
}

} // namespace fairlead::core
