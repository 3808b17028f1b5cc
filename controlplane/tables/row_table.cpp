// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/row_table.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

#include "controlplane/tables/maglev.hpp"
#include "controlplane/tables/member_set.hpp"
#include "controlplane/tables/rendezvous.hpp"
#include "controlplane/tables/siphash.hpp"
#include "dataplane/wire/snapshot.h"

namespace fairlead::tables {
namespace {

/// The primes next above the decade's five preferred numbers (ISO 3, R5), a factor of 1.6 apart.
/// The last one serves more backends than there are slots.
constexpr std::array<std::uint32_t, 12> kRowCounts = {65537,   100003,  160001,  250007,  400009,  630017,
                                                      1000003, 1600033, 2500009, 4000037, 6300011, 10000019};
constexpr std::size_t kRowsPerBackend = 100;
static_assert(std::ranges::is_sorted(kRowCounts));
static_assert(kRowCounts.back() <= wire::kRowCountMax);
static_assert(kRowCounts.back() >= kRowsPerBackend * wire::kSlotCapacity);

} // namespace

Address address_of(wire::Be32 ipv4) noexcept {
    Address address{};
    const auto bytes = std::bit_cast<std::array<std::uint8_t, 4>>(ipv4);
    std::ranges::copy(bytes, address.begin());
    return address;
}

std::uint32_t row_count(std::size_t backends) noexcept {
    const std::size_t wanted = std::min(backends, std::size_t{wire::kSlotCapacity}) * kRowsPerBackend;
    return *std::ranges::lower_bound(kRowCounts, wanted);
}

bool is_row_count(std::uint32_t rows) noexcept { return std::ranges::find(kRowCounts, rows) != kRowCounts.end(); }

Rows build(Algorithm algorithm, std::span<const Member> members, std::uint32_t row_count, const Seed &seed) {
    assert(row_count >= 2 && row_count <= wire::kRowCountMax);
    switch (algorithm) {
    case Algorithm::kRendezvous: return RendezvousTable(row_count, seed).build(members);
    case Algorithm::kMaglev: return build_maglev(member_set(members), row_count, seed);
    }
    return Rows(row_count, wire::kNoSlot);
}

std::uint64_t digest_rows(std::span<const std::uint16_t> rows, std::span<const Member> members) {
    constexpr Seed kPublic{}; // a name for a table, not a secret
    std::vector<std::uint64_t> names(std::size_t{wire::kNoSlot} + 1, 0);
    for (const Member &member : members) {
        SipHash hash(kPublic);
        hash.absorb(member.address);
        names[member.slot] = hash.digest();
    }
    SipHash hash(kPublic);
    for (const std::uint16_t slot : rows) hash.absorb_word(names[slot]);
    return hash.digest();
}

TableBuilder::TableBuilder(Algorithm algorithm, const Seed &seed) : algorithm_(algorithm), seed_(seed) {}
TableBuilder::~TableBuilder() = default;
TableBuilder::TableBuilder(TableBuilder &&) noexcept = default;
TableBuilder &TableBuilder::operator=(TableBuilder &&) noexcept = default;

Rows TableBuilder::build(std::span<const Member> members) {
    const std::uint32_t rows = row_count(members.size());
    if (algorithm_ != Algorithm::kRendezvous) return tables::build(algorithm_, members, rows, seed_);
    if (!rendezvous_ || rendezvous_->row_count() != rows) {
        rendezvous_ = std::make_unique<RendezvousTable>(rows, seed_);
    }
    return rendezvous_->build(members);
}

} // namespace fairlead::tables
