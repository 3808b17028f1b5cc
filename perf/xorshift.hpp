// SPDX-License-Identifier: Apache-2.0
/// A random generator for packet loops: three shifts and a multiplication.
#pragma once

#include <cstdint>

namespace fairlead::perf {

/// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016): its high bits are
/// good enough to pick flows by.
class Xorshift {
  public:
    /// @param seed not 0.
    explicit constexpr Xorshift(std::uint64_t seed) noexcept : state_(seed) {}

    [[gnu::always_inline]] constexpr std::uint64_t next() noexcept {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1dull;
    }

  private:
    std::uint64_t state_;
};

} // namespace fairlead::perf
