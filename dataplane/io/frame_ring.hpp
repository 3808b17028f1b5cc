// SPDX-License-Identifier: Apache-2.0
/// Frames on their way from one thread to another: slots of one size, each with a frame's length and its bytes.
///
/// Owner of the slots between tail and head: the reader; of the others: the writer. Neither ever waits for the other, so a
/// worker is not held up by a thread that has lost its CPU, as it could be by a shared pool of packet buffers. The price is a
/// copy of each frame.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace fairlead::io {

class FrameRing {
  public:
    /// @param slot_count rounded up to a power of two.
    FrameRing(unsigned slot_count, unsigned frame_size_max)
        : slot_count_(std::bit_ceil(slot_count)), stride_((frame_size_max + sizeof(std::uint32_t) + 63U) & ~63U),
          slots_(std::make_unique<std::byte[]>(std::size_t{slot_count_} * stride_)) {}

    // The writer's.

    /// How many frames back() has room for, at least: the reader makes more.
    [[nodiscard]] std::uint32_t room() const noexcept { return slot_count_ - (head_.load(std::memory_order_relaxed) - tail_.load(std::memory_order_relaxed)); }
    /// Room for the next frame; empty: there is none.
    [[nodiscard]] std::span<std::byte> back() noexcept {
        const auto head = head_.load(std::memory_order_relaxed);
        if (head - tail_.load(std::memory_order_acquire) == slot_count_) return {}; // acquire: the reader has done with the slot
        return {slot(head) + sizeof(std::uint32_t), stride_ - sizeof(std::uint32_t)};
    }
    /// The frame in back() is complete.
    void push(std::uint32_t size) noexcept {
        const auto head = head_.load(std::memory_order_relaxed);
        std::memcpy(slot(head), &size, sizeof(size));
        head_.store(head + 1, std::memory_order_release); // who sees the new head sees the frame
    }
    /// False: there is no room for it.
    [[nodiscard]] bool push_copy(std::span<const std::byte> frame) noexcept {
        const auto room = back();
        if (room.size() < frame.size()) return false;
        std::ranges::copy(frame, room.begin());
        push(static_cast<std::uint32_t>(frame.size()));
        return true;
    }

    // The reader's.

    /// The next frame; empty: there is none. No frame is empty.
    [[nodiscard]] std::span<const std::byte> front() const noexcept {
        const auto tail = tail_.load(std::memory_order_relaxed);
        if (tail == head_.load(std::memory_order_acquire)) return {};
        std::uint32_t size = 0;
        std::memcpy(&size, slot(tail), sizeof(size));
        return {slot(tail) + sizeof(size), size};
    }
    void pop() noexcept { tail_.store(tail_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
    [[nodiscard]] bool is_empty() const noexcept {
        return tail_.load(std::memory_order_relaxed) == head_.load(std::memory_order_acquire);
    }

  private:
    [[nodiscard]] std::byte *slot(std::uint32_t index) const noexcept { return &slots_[std::size_t{index & (slot_count_ - 1)} * stride_]; }

    std::uint32_t slot_count_;
    std::uint32_t stride_; ///< whole cache lines
    std::unique_ptr<std::byte[]> slots_;
    alignas(64) std::atomic<std::uint32_t> head_{0}; ///< of the frame written next; both count on, and around
    alignas(64) std::atomic<std::uint32_t> tail_{0}; ///< of the frame read next
};

} // namespace fairlead::io
