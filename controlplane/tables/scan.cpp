// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/scan.hpp"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace fairlead::tables {
namespace scalar {

std::size_t scan_members(std::uint32_t row_key, const MemberLanes &members, std::size_t first, Hit *hits) noexcept {
    std::size_t count = 0;
    for (std::size_t i = first; i < members.limits.size(); ++i) {
        const std::uint32_t drawn = draw(row_key, {members.key_low[i], members.key_high[i]});
        hits[count] = {static_cast<std::uint32_t>(i), drawn};
        count += drawn <= members.limits[i];
    }
    return count;
}

std::size_t scan_rows(std::uint32_t first, std::uint32_t last, BackendKey key, std::uint32_t limit,
                      Hit *hits) noexcept {
    std::size_t count = 0;
    for (std::uint32_t row = first; row < last; ++row) {
        const std::uint32_t drawn = draw(row_key(row), key);
        if (drawn <= limit) hits[count++] = {row, drawn};
    }
    return count;
}

} // namespace scalar

#ifdef __AVX2__
namespace {

using Lanes = __m256i;

Lanes load(const std::uint32_t *values) noexcept {
    return _mm256_loadu_si256(reinterpret_cast<const Lanes *>(values));
}

Lanes broadcast(std::uint32_t value) noexcept { return _mm256_set1_epi32(static_cast<int>(value)); }

template <int Shift>
Lanes fold(Lanes x) noexcept {
    return _mm256_xor_si256(x, _mm256_srli_epi32(x, Shift));
}

/// Twin of row_key().
Lanes row_keys(Lanes rows) noexcept {
    const Lanes half = fold<15>(_mm256_mullo_epi32(fold<16>(rows), broadcast(kMixA)));
    return fold<16>(_mm256_mullo_epi32(half, broadcast(kMixB)));
}

/// Twin of draw().
Lanes draws(Lanes row_keys, Lanes key_low, Lanes key_high) noexcept {
    const Lanes half = fold<15>(_mm256_mullo_epi32(_mm256_xor_si256(row_keys, key_low), broadcast(kMixA)));
    return fold<16>(_mm256_mullo_epi32(_mm256_add_epi32(half, key_high), broadcast(kMixB)));
}

/// One bit a lane whose draw is at most its limit.
unsigned lanes_within(Lanes drawn, Lanes limits) noexcept {
    const Lanes within = _mm256_cmpeq_epi32(_mm256_min_epu32(drawn, limits), drawn);
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(within)));
}

std::size_t take(unsigned lanes, Lanes drawn, std::uint32_t first, Hit *hits) noexcept {
    alignas(32) std::uint32_t values[8];
    _mm256_store_si256(reinterpret_cast<Lanes *>(values), drawn);
    std::size_t count = 0;
    for (; lanes != 0; lanes &= lanes - 1) {
        const unsigned lane = static_cast<unsigned>(__builtin_ctz(lanes));
        hits[count++] = {first + lane, values[lane]};
    }
    return count;
}

} // namespace

std::size_t scan_members(std::uint32_t row_key, const MemberLanes &members, Hit *hits) noexcept {
    const Lanes row = broadcast(row_key);
    std::size_t count = 0;
    std::size_t i = 0;
    for (; i + 8 <= members.limits.size(); i += 8) {
        const Lanes drawn = draws(row, load(&members.key_low[i]), load(&members.key_high[i]));
        const unsigned lanes = lanes_within(drawn, load(&members.limits[i]));
        if (lanes != 0) count += take(lanes, drawn, static_cast<std::uint32_t>(i), hits + count);
    }
    return count + scalar::scan_members(row_key, members, i, hits + count);
}

std::size_t scan_rows(std::uint32_t first, std::uint32_t last, BackendKey key, std::uint32_t limit,
                      Hit *hits) noexcept {
    const Lanes key_low = broadcast(key.low);
    const Lanes key_high = broadcast(key.high);
    const Lanes limits = broadcast(limit);
    const Lanes steps = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    std::size_t count = 0;
    std::uint32_t row = first;
    for (; row + 8 <= last; row += 8) {
        const Lanes drawn = draws(row_keys(_mm256_add_epi32(broadcast(row), steps)), key_low, key_high);
        const unsigned lanes = lanes_within(drawn, limits);
        if (lanes != 0) count += take(lanes, drawn, row, hits + count);
    }
    return count + scalar::scan_rows(row, last, key, limit, hits + count);
}

#else

std::size_t scan_members(std::uint32_t row_key, const MemberLanes &members, Hit *hits) noexcept {
    return scalar::scan_members(row_key, members, 0, hits);
}

std::size_t scan_rows(std::uint32_t first, std::uint32_t last, BackendKey key, std::uint32_t limit,
                      Hit *hits) noexcept {
    return scalar::scan_rows(first, last, key, limit, hits);
}

#endif

} // namespace fairlead::tables
