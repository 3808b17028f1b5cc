// SPDX-License-Identifier: Apache-2.0
// What core/ knows of a packet: bytes, a length, room in front; and what it decides about it.
//
// A Frame borrows its bytes from whoever received them (an mbuf in io/, a capture in `fairlead
// replay`) for the length of one call of Pipeline::process(). core/ may rewrite `headroom` bytes
// before `data`; it never reads or writes outside [data - headroom, data + length).
#pragma once

#include "dataplane/wire/drop_reasons.h"
#include "dataplane/wire/wire.h"

#include <array>

namespace fairlead::core {

using MacAddress = std::array<wire::u8, 6>;

/// What is to happen to a packet.
enum class Verdict : wire::u8 {
    kForward, ///< send it as it stands now, encapsulated
    kReply,   ///< send it as it stands now: our own answer, back to where it came from
    kDrop,    ///< free it; it is counted under its reason
    kKernel,  ///< not ours: the balancer's own kernel may have it, untouched
};

/// What chose the backend of a forwarded packet.
enum class Source : wire::u8 {
    kNone,
    kConnection, ///< an entry of the connection table
    kRow,        ///< the service's row table
    kHops,       ///< the same or an entry, but not for sure: the row's alternates go along as hops
};

struct Frame {
    wire::u8 *data;          ///< in: the Ethernet header; out: where the frame to send starts
    wire::u32 length;        ///< bytes from data; in and out
    wire::u16 headroom;      ///< in: bytes before data that may be written; left as it was
    Verdict verdict;         ///< out
    wire::DropReason reason; ///< out, with kDrop
};
static_assert(sizeof(Frame) == 16, "four frames a cache line");

/// How a packet was decided, for who wants to know (replay, tests); parallel to the burst's frames.
struct Decision {
    wire::u16 service; ///< index, or kServiceCapacity: none
    wire::u16 slot;    ///< backend, or kNoSlot
    Source source;
};

inline constexpr unsigned kBurstSizeMax = 64;

/// Headroom that always suffices, in bytes: the outer headers less the Ethernet header that moves.
inline constexpr unsigned kHeadroomNeeded = 64;

} // namespace fairlead::core
