// SPDX-License-Identifier: Apache-2.0
//
// SipHash-2-4: Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012. Keys the
// tables: without the seed nobody can tell which rows an address gets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fairlead::tables {

/// One running hash. Absorbs bytes in pieces of any size; digest() ends it.
class SipHash {
  public:
    explicit SipHash(const std::array<std::uint8_t, 16> &key) noexcept;

    void absorb(std::span<const std::uint8_t> bytes) noexcept;
    /// Eight bytes, little-endian; only where the bytes so far are a multiple of eight.
    void absorb_word(std::uint64_t word) noexcept;
    [[nodiscard]] std::uint64_t digest() noexcept;

  private:
    void round() noexcept;
    void compress(std::uint64_t word) noexcept;

    std::uint64_t v0_, v1_, v2_, v3_;
    std::uint64_t tail_ = 0;  ///< bytes that do not fill a word yet, little-endian
    std::uint64_t length_ = 0;
};

} // namespace fairlead::tables
