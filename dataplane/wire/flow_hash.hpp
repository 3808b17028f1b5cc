// SPDX-License-Identifier: Apache-2.0
// The flow hash: 128 bits of a flow's 5-tuple, keyed by the fleet's seed.
//
// Four AES rounds over the 16-byte flow block, keyed by the first five round keys of the seed's
// AES-128 key schedule (FIPS 197). Keyed and nonlinear, so that nobody without the seed can choose
// flows that collide (four rounds bound any differential by 2^-113: Keliher and Sui, "Exact maximum
// expected differential and linear probability for two-round AES", 2007, applied twice); and it costs
// four instructions. A CRC with a seed would not do: it is linear, its collisions hold for every seed.
//
// Part of the fleet's contract: every node must pick the same row for a flow. The known answers in
// tests/unit/core/flow_hash_test.cpp hold it, and the scalar twin below, to that.
#pragma once

#include "dataplane/wire/wire.h"

#include <array>
#include <cstring>
#include <immintrin.h>

namespace fairlead::wire {

/// An IPv4 flow as it is hashed: packet byte order throughout, so it is copied, never converted.
struct FlowBlock {
    Be32 source;
    Be32 destination;
    Be16 source_port;
    Be16 destination_port;
    u8 protocol;
    u8 zero[3];
};
static_assert(sizeof(FlowBlock) == 16);

struct FlowHash {
    u32 row;    ///< reduced to a row
    u32 line;   ///< reduced to a line of the connection table
    u32 spare;
    u32 entropy; ///< outer source port
};
static_assert(sizeof(FlowHash) == 16);

namespace detail {

inline constexpr std::array<u8, 256> make_sbox() {
    // FIPS 197, 5.1.1: the inverse in GF(2^8), then the affine map. p runs over all powers of 3, q over their inverses.
    std::array<u8, 256> sbox{};
    u8 p = 1, q = 1;
    do {
        p = static_cast<u8>(p ^ (p << 1) ^ ((p & 0x80) ? 0x1b : 0));
        q = static_cast<u8>(q ^ (q << 1));
        q = static_cast<u8>(q ^ (q << 2));
        q = static_cast<u8>(q ^ (q << 4));
        if (q & 0x80) q = static_cast<u8>(q ^ 0x09);
        auto rotl8 = [](u8 x, int s) { return static_cast<u8>((x << s) | (x >> (8 - s))); };
        sbox[p] = static_cast<u8>(q ^ rotl8(q, 1) ^ rotl8(q, 2) ^ rotl8(q, 3) ^ rotl8(q, 4) ^ 0x63);
    } while (p != 1);
    sbox[0] = 0x63;
    return sbox;
}

inline constexpr std::array<u8, 256> kSbox = make_sbox();

using AesBlock = std::array<u8, 16>;

/// One AES encryption round (SubBytes, ShiftRows, MixColumns, AddRoundKey), byte by byte.
inline constexpr AesBlock aes_round(const AesBlock &in, const AesBlock &key) {
    AesBlock out{};
    auto twice = [](u8 x) { return static_cast<u8>((x << 1) ^ ((x & 0x80) ? 0x1b : 0)); };
    for (int column = 0; column < 4; ++column) {
        u8 s[4]{};
        for (int row = 0; row < 4; ++row) s[row] = kSbox[in[((column + row) % 4) * 4 + row]];
        for (int row = 0; row < 4; ++row) {
            u8 a = s[row], b = s[(row + 1) % 4], c = s[(row + 2) % 4], d = s[(row + 3) % 4];
            out[column * 4 + row] =
                static_cast<u8>(twice(a) ^ twice(b) ^ b ^ c ^ d ^ key[column * 4 + row]);
        }
    }
    return out;
}

} // namespace detail

/// The seed, expanded. 80 bytes, read-only on the packet path.
class FlowHashKey {
  public:
    static constexpr int kRounds = 4;

    constexpr explicit FlowHashKey(const std::array<u8, 16> &seed) : round_keys_{} {
        // FIPS 197, 5.2: the AES-128 key schedule, as far as it is used.
        round_keys_[0] = seed;
        u8 rcon = 1;
        for (int round = 1; round <= kRounds; ++round) {
            const auto &previous = round_keys_[round - 1];
            auto &next = round_keys_[round];
            for (int i = 0; i < 4; ++i) {
                u8 rotated = detail::kSbox[previous[12 + (i + 1) % 4]];
                next[i] = static_cast<u8>(previous[i] ^ rotated ^ (i == 0 ? rcon : 0));
            }
            for (int i = 4; i < 16; ++i) next[i] = static_cast<u8>(previous[i] ^ next[i - 4]);
            rcon = static_cast<u8>(rcon << 1);
        }
    }

    /// @return the round key of `round`, 0..kRounds.
    [[nodiscard]] constexpr const detail::AesBlock &round_key(int round) const {
        return round_keys_[round];
    }

  private:
    alignas(16) std::array<detail::AesBlock, kRounds + 1> round_keys_;
};

/// The flow hash in AES instructions.
[[nodiscard]] inline FlowHash flow_hash(const FlowHashKey &key, const FlowBlock &flow) noexcept {
    auto load = [](const void *p) { return _mm_load_si128(static_cast<const __m128i *>(p)); };
    __m128i x = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i *>(&flow)),
                              load(&key.round_key(0)));
    for (int round = 1; round <= FlowHashKey::kRounds; ++round)
        x = _mm_aesenc_si128(x, load(&key.round_key(round)));
    return std::bit_cast<FlowHash>(x);
}

/// The same in plain C++: the definition that the tests compare the other with.
[[nodiscard]] constexpr FlowHash flow_hash_scalar(const FlowHashKey &key, const FlowBlock &flow) {
    auto x = std::bit_cast<detail::AesBlock>(flow);
    for (int i = 0; i < 16; ++i) x[i] = static_cast<u8>(x[i] ^ key.round_key(0)[i]);
    for (int round = 1; round <= FlowHashKey::kRounds; ++round)
        x = detail::aes_round(x, key.round_key(round));
    return std::bit_cast<FlowHash>(x);
}

/// Maps a uniform 32-bit hash to [0, count) without a division (Lemire, "Fast random integer
/// generation in an interval", 2019).
[[nodiscard]] constexpr u32 reduce(u32 hash, u32 count) noexcept {
    return static_cast<u32>((static_cast<u64>(hash) * count) >> 32);
}

} // namespace fairlead::wire
