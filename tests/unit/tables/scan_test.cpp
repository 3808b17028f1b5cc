// SPDX-License-Identifier: Apache-2.0
#include "controlplane/tables/scan.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace fairlead::tables {
namespace {

bool same(std::span<const Hit> a, std::span<const Hit> b) {
    return std::ranges::equal(a, b, [](Hit x, Hit y) { return x.index == y.index && x.draw == y.draw; });
}

/// From "none" to "all", and every magnitude between.
std::uint32_t random_limit(std::mt19937_64 &random) {
    return static_cast<std::uint32_t>(random()) >> random() % 33 % 32 | (random() % 8 == 0 ? 0xffffffffu : 0u);
}

TEST(Scan, MembersAreThoseThatAPlainLoopFinds) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 3000; ++round) {
        const std::size_t count = random() % 70;
        std::vector<std::uint32_t> low(count), high(count), limits(count);
        for (std::size_t i = 0; i < count; ++i) {
            low[i] = static_cast<std::uint32_t>(random());
            high[i] = static_cast<std::uint32_t>(random());
            limits[i] = random_limit(random);
        }
        const auto row = static_cast<std::uint32_t>(random());
        if (count > 0) limits[count / 2] = draw(row, {low[count / 2], high[count / 2]}) - round % 2; // just in, just out
        std::vector<Hit> expected(count), lanes(count), twin(count);
        std::size_t found = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint32_t drawn = draw(row, {low[i], high[i]});
            if (drawn <= limits[i]) expected[found++] = {static_cast<std::uint32_t>(i), drawn};
        }
        expected.resize(found);
        lanes.resize(scan_members(row, {low, high, limits}, lanes.data()));
        twin.resize(scalar::scan_members(row, {low, high, limits}, 0, twin.data()));
        ASSERT_TRUE(same(lanes, expected)) << "round " << round;
        ASSERT_TRUE(same(twin, expected)) << "round " << round;
    }
}

TEST(Scan, RowsAreThoseThatAPlainLoopFinds) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 3000; ++round) {
        const auto first = static_cast<std::uint32_t>(random() % 10'000'000);
        const auto last = static_cast<std::uint32_t>(first + random() % 70);
        const BackendKey key{static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random())};
        std::uint32_t limit = random_limit(random);
        if (first < last) limit = round % 3 == 0 ? draw(row_key(first), key) - round % 2 : limit;
        std::vector<Hit> expected, lanes(last - first), twin(last - first);
        for (std::uint32_t row = first; row < last; ++row) {
            const std::uint32_t drawn = draw(row_key(row), key);
            if (drawn <= limit) expected.push_back({row, drawn});
        }
        lanes.resize(scan_rows(first, last, key, limit, lanes.data()));
        twin.resize(scalar::scan_rows(first, last, key, limit, twin.data()));
        ASSERT_TRUE(same(lanes, expected)) << "round " << round;
        ASSERT_TRUE(same(twin, expected)) << "round " << round;
    }
}

} // namespace
} // namespace fairlead::tables
