// SPDX-License-Identifier: Apache-2.0
// Packets for benchmarks: IPv4 TCP frames of flows 0, 1, 2, ... to one service, and bursts of flows drawn at random.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/wire/flow_hash.hpp"
#include "dataplane/wire/packet.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <span>

#include <sys/mman.h>

namespace fairlead::bench {

inline constexpr unsigned kBurst = 32;
inline constexpr std::size_t kFrameSpace = 256; ///< bytes from one frame's buffer to the next
inline constexpr wire::u16 kHeadroom = 128;
inline constexpr wire::u32 kFrameLength = 60;   ///< the shortest Ethernet frame, without its checksum
inline constexpr wire::u32 kVip = 0xc633640a;   ///< 198.51.100.10, the service of test::Snapshot::with_backends()
inline constexpr wire::u16 kPort = 80;

inline wire::FlowBlock flow_block(wire::u32 flow) {
    using namespace wire;
    return {Be32::from_host(0x0a000000 + (flow >> 10)), Be32::from_host(kVip), Be16::from_host(static_cast<u16>(1024 + (flow & 1023))), Be16::from_host(kPort), kIpProtocolTcp, {}};
}

/// Writes the headers of a packet of `flow`, 54 bytes.
inline void write_frame(wire::u8 *data, wire::u32 flow, wire::u8 flags = wire::kTcpAck) {
    using namespace wire;
    const FlowBlock block = flow_block(flow);
    const EthernetHeader ethernet{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, Be16::from_host(kEtherTypeIpv4)};
    const Ipv4Header ip{0x45, 0, Be16::from_host(46), {}, {}, 64, kIpProtocolTcp, {}, block.source, block.destination};
    const TcpHeader tcp{block.source_port, block.destination_port, {}, {}, 0x50, flags, {}, {}, {}};
    std::memcpy(data, &ethernet, sizeof ethernet);
    std::memcpy(data + sizeof ethernet, &ip, sizeof ip);
    std::memcpy(data + sizeof ethernet + sizeof ip, &tcp, sizeof tcp);
}

/// A frame as it comes from a port.
inline core::Frame frame_at(wire::u8 *data) { return {data, kFrameLength, kHeadroom}; }

/// Zeroed memory in huge pages, as the dataplane has it, where the system gives them on request.
class HugeMemory {
  public:
    explicit HugeMemory(std::size_t bytes) : bytes_(bytes), memory_(std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage), &std::free) {
        ::madvise(memory_.get(), bytes, MADV_HUGEPAGE);
        std::memset(memory_.get(), 0, bytes);
    }
    [[nodiscard]] std::span<std::byte> span() const { return {static_cast<std::byte *>(memory_.get()), bytes_}; }

  private:
    static constexpr std::size_t kPage = 2 << 20;

    std::size_t bytes_;
    std::unique_ptr<void, decltype(&std::free)> memory_;
};

/// Buffers of frames, one after another.
class Buffers {
  public:
    explicit Buffers(std::size_t count) : memory_(count * kFrameSpace) {}

    [[nodiscard]] wire::u8 *data(std::size_t i) const { return reinterpret_cast<wire::u8 *>(memory_.span().data()) + i * kFrameSpace + kHeadroom; }

  private:
    HugeMemory memory_;
};

/// Bursts of flows drawn at random, headers written anew for each, in more buffers than L1 holds.
class Offer {
  public:
    explicit Offer(wire::u32 flows) : flows_(flows) {}

    std::span<core::Frame> next() {
        for (unsigned i = 0; i < kBurst; ++i) {
            wire::u8 *data = buffers_.data(next_ * kBurst + i);
            write_frame(data, static_cast<wire::u32>((wire::u64{static_cast<wire::u32>(random_())} * flows_) >> 32));
            frames_[i] = frame_at(data);
        }
        next_ = (next_ + 1) % kBursts;
        return {frames_.data(), kBurst};
    }

  private:
    static constexpr unsigned kBursts = 64;

    wire::u32 flows_;
    Buffers buffers_{kBursts * kBurst};
    std::array<core::Frame, kBurst> frames_;
    std::mt19937 random_{1};
    unsigned next_ = 0;
};

} // namespace fairlead::bench
