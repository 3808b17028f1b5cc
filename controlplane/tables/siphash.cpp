// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/siphash.hpp"

#include <bit>
#include <cassert>

namespace fairlead::tables {
namespace {

std::uint64_t load_little_endian(const std::uint8_t *bytes) noexcept {
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 8; ++i) word |= std::uint64_t{bytes[i]} << (8 * i);
    return word;
}

} // namespace

// The constants are the paper's: "somepseudorandomlygeneratedbytes" in ASCII.
SipHash::SipHash(const std::array<std::uint8_t, 16> &key) noexcept {
    const std::uint64_t k0 = load_little_endian(key.data());
    const std::uint64_t k1 = load_little_endian(key.data() + 8);
    v0_ = k0 ^ 0x736f6d6570736575u;
    v1_ = k1 ^ 0x646f72616e646f6du;
    v2_ = k0 ^ 0x6c7967656e657261u;
    v3_ = k1 ^ 0x7465646279746573u;
}

void SipHash::round() noexcept {
    v0_ += v1_, v1_ = std::rotl(v1_, 13) ^ v0_, v0_ = std::rotl(v0_, 32);
    v2_ += v3_, v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_, v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_, v1_ = std::rotl(v1_, 17) ^ v2_, v2_ = std::rotl(v2_, 32);
}

void SipHash::compress(std::uint64_t word) noexcept {
    v3_ ^= word;
    round();
    round();
    v0_ ^= word;
}

void SipHash::absorb(std::span<const std::uint8_t> bytes) noexcept {
    for (const std::uint8_t byte : bytes) {
        tail_ |= std::uint64_t{byte} << (8 * (length_ % 8));
        if (++length_ % 8 == 0) {
            compress(tail_);
            tail_ = 0;
        }
    }
}

void SipHash::absorb_word(std::uint64_t word) noexcept {
    assert(length_ % 8 == 0);
    compress(word);
    length_ += 8;
}

std::uint64_t SipHash::digest() noexcept {
    compress(tail_ | length_ << 56);
    v2_ ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
}

} // namespace fairlead::tables
