// SPDX-License-Identifier: Apache-2.0
// Packets for benchmarks: IPv4 TCP frames of flows 0, 1, 2, ... to one service, and bursts of flows drawn at random.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/wire/packet.h"

#include "tests/unit/core/worker_fixture.hpp"

#include <array>
#include <cstring>
#include <random>
#include <span>

namespace fairlead::bench {

inline constexpr unsigned kBurst = 32;
inline constexpr std::size_t kFrameSpace = 256; ///< bytes from one frame's buffer to the next
inline constexpr wire::u16 kHeadroom = 128;
inline constexpr wire::u32 kFrameLength = 60;   ///< the shortest Ethernet frame, without its checksum
inline constexpr wire::u32 kVip = 0xc633640a;   ///< 198.51.100.10, the service of test::Snapshot::with_backends()
inline constexpr wire::u16 kPort = 80;

/// Writes the headers of a packet of `flow`, 54 bytes.
inline void write_frame(wire::u8 *data, wire::u32 flow, wire::u8 flags = wire::kTcpAck) {
    using namespace wire;
    const EthernetHeader ethernet{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, Be16::from_host(kEtherTypeIpv4)};
    const Ipv4Header ip{0x45, 0, Be16::from_host(46), {}, {}, 64, kIpProtocolTcp, {}, Be32::from_host(0x0a000000 + (flow >> 10)), Be32::from_host(kVip)};
    const TcpHeader tcp{Be16::from_host(static_cast<u16>(1024 + (flow & 1023))), Be16::from_host(kPort), {}, {}, 0x50, flags, {}, {}, {}};
    std::memcpy(data, &ethernet, sizeof ethernet);
    std::memcpy(data + sizeof ethernet, &ip, sizeof ip);
    std::memcpy(data + sizeof ethernet + sizeof ip, &tcp, sizeof tcp);
}

/// A frame as it comes from a port.
inline core::Frame frame_at(wire::u8 *data) { return {data, kFrameLength, kHeadroom, {}, {}}; }

/// Buffers of frames, one after another.
class Buffers {
  public:
    explicit Buffers(std::size_t count) : memory_(count * kFrameSpace) {}

    [[nodiscard]] wire::u8 *data(std::size_t i) const { return reinterpret_cast<wire::u8 *>(memory_.span().data()) + i * kFrameSpace + kHeadroom; }

  private:
    test::TableMemory memory_;
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
