// SPDX-License-Identifier: Apache-2.0
/// The stamp: what a packet that returns is recognised by, whatever was put in front of it on the way.
///
/// It stands at the end of the packet's payload. GUE, IPIP, GRE and VXLAN add in front alone, so what counts from the end
/// holds for all of them; the end is where the outermost IP header says it is, since Ethernet may pad behind it.
///
///   StampTail, 18 bytes: exactly what a UDP frame of 64 bytes has room for, and what TCP frames of 76 bytes and more have.
///   ShortStampTail, 6 bytes: what a TCP frame of 64 bytes leaves. Its flow stands in the sequence number and its sequence
///   in the acknowledgement number, which packet-level balancers leave alone (a proxy, or a SYN proxy, does not); of its
///   time there are the low 32 bits, which tell ages below 4.29 s apart. TCP frames of 65 to 75 bytes carry no stamp.
///
/// The last two bytes say which it is. They are no proof: whoever reads a stamp asks whether that flow exists and whether
/// it was sent within this trial.
#pragma once

#include "dataplane/wire/packet.h"

#include <optional>
#include <span>

namespace fairlead::pktgen {

struct StampTail {
    wire::Be64 time_ns; ///< CLOCK_MONOTONIC when the burst was made
    wire::Be32 flow;
    wire::Be32 sequence; ///< of the flow; its first packet is 0
    wire::Be16 magic;
} FAIRLEAD_PACKED;

struct ShortStampTail {
    wire::Be32 time_low_ns;
    wire::Be16 magic;
} FAIRLEAD_PACKED;

static_assert(sizeof(StampTail) == 18 && offsetof(StampTail, magic) == 16);
static_assert(sizeof(ShortStampTail) == 6 && offsetof(ShortStampTail, magic) == 4);

inline constexpr wire::u16 kStampMagic = 0xfa1d;
inline constexpr wire::u16 kShortStampMagic = 0x51a7;

struct Stamp {
    wire::u64 time_ns;
    wire::u32 flow;
    wire::u32 sequence;
    bool operator==(const Stamp &) const = default;
};

/// Where a packet was sent to by whoever sent it last: that tells backends apart.
struct Destination {
    wire::u32 address; ///< of the outermost IPv4 header
    wire::u64 mac;     ///< of the frame, in its low 48 bits
};

struct Returned {
    Stamp stamp;
    Destination destination;
};

/// Reads the stamp of a frame that came back.
/// @param frame from the Ethernet header on, up to two VLAN tags included; padding and trailers are passed over.
/// @param now_ns the time of the reading: completes a short stamp.
/// @return nothing: no IPv4, a fragment, cut short, or no stamp of ours.
[[nodiscard]] std::optional<Returned> read_stamp(std::span<const wire::u8> frame, wire::u64 now_ns) noexcept;

} // namespace fairlead::pktgen
