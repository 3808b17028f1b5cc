// SPDX-License-Identifier: Apache-2.0
//
// The rendezvous score of a (row, backend) pair: -ln(u) / weight, lower is better, where u is drawn
// uniformly by a keyed hash of the pair (weighted rendezvous hashing: Schindelhauer and Schomaker,
// "Weighted distributed hash tables", SPAA 2005). With it each backend comes first in a share of
// the rows that is its share of the weight.
//
// Integers only: floating point rounds differently under FMA and at other -march levels.
//
// A pair's order never depends on anything but the pair, so all pairs have one strict order:
//   score, then address, then draw.
// Within one row draws of different addresses tie by address; within one backend draws never tie,
// since draw() is a bijection of the row for a fixed backend. From that one order follows that the
// stable matching is unique (matching.hpp).
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "controlplane/tables/row_table.hpp"

namespace fairlead::tables {

/// What a backend's draws are keyed by: the 64 bits of its address_hash().
struct BackendKey {
    std::uint32_t low;
    std::uint32_t high;
};

[[nodiscard]] BackendKey backend_key(const Seed &seed, const Address &address) noexcept;

/// Multipliers and shifts of "lowbias32" (C. Wellons, hash prospector, 2018; public domain): both
/// halves are bijections of 32 bits. The row goes through all of it, since rows are consecutive
/// numbers; each backend then adds a keyed round of its own.
inline constexpr std::uint32_t kMixA = 0x7feb352d;
inline constexpr std::uint32_t kMixB = 0x846ca68b;

[[nodiscard]] constexpr std::uint32_t row_key(std::uint32_t row) noexcept {
    std::uint32_t x = row ^ row >> 16;
    x *= kMixA;
    x ^= x >> 15;
    x *= kMixB;
    return x ^ x >> 16;
}

/// 32 uniform bits; a low draw is a good score. scan.cpp has its 8-lane twin.
[[nodiscard]] constexpr std::uint32_t draw(std::uint32_t row_key, BackendKey backend) noexcept {
    std::uint32_t x = row_key ^ backend.low;
    x *= kMixA;
    x ^= x >> 15;
    x += backend.high;
    x *= kMixB;
    return x ^ x >> 16;
}

namespace detail {

/// -ln(1 - x) / x = 1 + x/2 + x^2/3 + ... at x = i/512, scaled by 2^31: Horner's rule on 2^54. The
/// quotient is smooth where the logarithm is not, so straight lines between 257 points are within
/// 1e-6 of it, for the smallest x as well. (One point more spares the last one a branch.)
consteval std::array<std::uint32_t, 258> log_quotients() {
    std::array<std::uint32_t, 258> table{};
    for (std::uint64_t i = 0; i < table.size(); ++i) {
        std::uint64_t sum = 0;
        for (std::uint64_t k = 64; k >= 1; --k) sum = (std::uint64_t{1} << 54) / k + (sum * i >> 9);
        table[i] = static_cast<std::uint32_t>(sum >> 23);
    }
    return table;
}
inline constexpr std::array<std::uint32_t, 258> kLogQuotients = log_quotients();

/// -ln(1 - x) for x = x33 / 2^33 in (0, 1/2], scaled by 2^58.
[[nodiscard]] constexpr std::uint64_t small_log(std::uint64_t x33) noexcept {
    const std::uint64_t i = x33 >> 24;
    const std::uint64_t rest = x33 & 0xffffff;
    const std::uint64_t low = kLogQuotients[i];
    const std::uint64_t quotient = low + ((kLogQuotients[i + 1] - low) * rest >> 24);
    return x33 * quotient >> 6;
}
inline constexpr std::uint64_t kLn2 = small_log(std::uint64_t{1} << 32);

} // namespace detail

/// -ln(1 - (draw + 1/2) / 2^32), scaled by 2^58: between 2^25 and 2^63, strictly rising with the draw.
[[nodiscard]] constexpr std::uint64_t negative_log(std::uint32_t draw) noexcept {
    const std::uint64_t complement = (std::uint64_t{1} << 33) - (std::uint64_t{2} * draw + 1);
    const int halvings = std::countl_zero(complement) - 31; // complement << halvings is in [2^32, 2^33)
    return static_cast<std::uint64_t>(halvings) * detail::kLn2 +
           detail::small_log((std::uint64_t{1} << 33) - (complement << halvings));
}

/// Weight between 1 and kWeightMax.
[[nodiscard]] constexpr std::uint64_t score(std::uint32_t draw, std::uint32_t weight) noexcept {
    return negative_log(draw) / weight;
}

/// No score is above this.
inline constexpr std::uint64_t kScoreMax = score(0xffffffff, 1);

/// The largest draw that scores at most `score_max` with this weight, so that comparing draws is
/// comparing scores. 0 also where no draw does: who scans with it checks the score of what it finds.
[[nodiscard]] std::uint32_t draw_limit(std::uint64_t score_max, std::uint32_t weight) noexcept;

} // namespace fairlead::tables
