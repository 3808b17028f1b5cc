// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/siphash.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace fairlead::tables {
namespace {

std::array<std::uint8_t, 16> reference_key() {
    std::array<std::uint8_t, 16> key{};
    for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
    return key;
}

std::vector<std::uint8_t> reference_input(std::size_t length) {
    std::vector<std::uint8_t> input(length);
    for (std::size_t i = 0; i < length; ++i) input[i] = static_cast<std::uint8_t>(i);
    return input;
}

// vectors_sip64 of the authors' reference implementation (github.com/veorq/SipHash, vectors.h);
// length 15 is the worked example in the paper's appendix A.
TEST(SipHash, GivesTheReferenceVectors) {
    const std::vector<std::pair<std::size_t, std::uint64_t>> vectors = {
        {0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd}, {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5}};
    for (const auto &[length, digest] : vectors) {
        SipHash hash(reference_key());
        hash.absorb(reference_input(length));
        EXPECT_EQ(hash.digest(), digest) << "length " << length;
    }
}

TEST(SipHash, DependsOnTheBytesAndNotOnTheirPieces) {
    const std::vector<std::uint8_t> input = reference_input(40);
    SipHash whole(reference_key());
    whole.absorb(input);
    const std::uint64_t expected = whole.digest();
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
        SipHash pieces(reference_key());
        pieces.absorb(std::span(input).first(cut));
        pieces.absorb(std::span(input).subspan(cut));
        EXPECT_EQ(pieces.digest(), expected) << "cut at " << cut;
    }
}

TEST(SipHash, AWordIsEightLittleEndianBytes) {
    SipHash words(reference_key());
    words.absorb_word(0x0706050403020100);
    SipHash bytes(reference_key());
    bytes.absorb(reference_input(8));
    EXPECT_EQ(words.digest(), bytes.digest());
}

} // namespace
} // namespace fairlead::tables
