// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/frame_ring.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

namespace fairlead::io {
namespace {

std::vector<std::byte> frame(unsigned number, std::size_t size) {
    std::vector<std::byte> bytes(size);
    std::minstd_rand random(number + 1);
    for (auto &byte : bytes) byte = static_cast<std::byte>(random());
    return bytes;
}

TEST(FrameRing, KeepsFramesInOrderUntilItIsFull) {
    FrameRing ring(3, 100); // four slots
    EXPECT_TRUE(ring.is_empty());
    for (unsigned i = 0; i < 4; ++i) ASSERT_TRUE(ring.push_copy(frame(i, 60 + i)));
    EXPECT_FALSE(ring.push_copy(frame(4, 60)));
    for (unsigned i = 0; i < 4; ++i) {
        ASSERT_TRUE(std::ranges::equal(ring.front(), frame(i, 60 + i)));
        ring.pop();
    }
    EXPECT_TRUE(ring.front().empty());
    EXPECT_TRUE(ring.push_copy(frame(4, 60)));
}

TEST(FrameRing, AFrameLongerThanASlotIsNotTaken) {
    FrameRing ring(4, 1514);
    EXPECT_TRUE(ring.push_copy(frame(1, 1514)));
    EXPECT_FALSE(ring.push_copy(frame(1, 1700)));
}

TEST(FrameRing, PassesEveryFrameWholeFromOneThreadToAnother) {
    constexpr unsigned kCount = 200'000;
    FrameRing ring(64, 256);
    std::thread writer([&] {
        for (unsigned i = 0; i < kCount;) {
            if (ring.push_copy(frame(i, 1 + i % 256))) ++i;
            else std::this_thread::yield();
        }
    });
    unsigned wrong = 0;
    for (unsigned i = 0; i < kCount;) {
        const auto front = ring.front();
        if (front.empty()) {
            std::this_thread::yield();
            continue;
        }
        wrong += !std::ranges::equal(front, frame(i, 1 + i % 256));
        ring.pop();
        ++i;
    }
    writer.join();
    EXPECT_EQ(wrong, 0U);
}

} // namespace
} // namespace fairlead::io
