// SPDX-License-Identifier: Apache-2.0
// A generation: one validated snapshot, and what the packet path derives from it. Immutable.
//
// Owner: whoever adopted it (io/ keeps it until no worker reads it any more); it borrows the rows
// segments, which must stay mapped as long as it lives. Everything a worker indexes through it was
// proved in range by build(), so the packet path has no bounds check.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/core/segment.hpp"
#include "dataplane/core/service_table.hpp"
#include "dataplane/wire/flow_hash.hpp"
#include "dataplane/wire/packet.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

namespace fairlead::core {

// Bytes of outer headers, the link layer's included.
inline constexpr wire::u32 kIpipHeadersLength = sizeof(wire::EthernetHeader) + sizeof(wire::Ipv4Header);
inline constexpr wire::u32 kGueHeadersLength = kIpipHeadersLength + sizeof(wire::UdpHeader) + sizeof(wire::GueHeader);

/// What a packet for one backend needs, in one cache line: the prebuilt outer headers, and what tells whether
/// a connection entry still means this backend.
struct alignas(64) Forwarding {
    wire::u8 headers[48];      ///< their last `length` bytes: Ethernet, IPv4, and for GUE: UDP, GUE. What the packet decides is to be written
                               ///< by encapsulate(); with GUE that is there in host order, for a packet of no length and flow 0
    wire::u32 tenant;          ///< what the low half of an entry's value is while it holds; kNoTenant: no entry does
    wire::u16 checksum;        ///< of the outer IPv4 header with the inner packet's length as 0: its 16-bit words summed, not yet inverted
    wire::u16 reach;           ///< `length`; kUnresolved: the next hop's link-layer address is not known
    wire::u16 epoch;
    wire::u8 state;            ///< wire::kSlot...
    wire::u8 length;           ///< bytes of the outer headers
    wire::u8 has_udp;          ///< they hold UDP
    wire::u8 reserved[3];

    static constexpr wire::u16 kUnresolved = 0xffff; ///< longer than any link's packets

    /// Of no entry: its slot would be kNoSlot.
    static constexpr wire::u32 kNoTenant = 0xffffffff;

    /// Forwarded to: its own flows at least. kSlotUp and kSlotDraining.
    [[nodiscard]] bool is_living() const noexcept { return static_cast<wire::u8>(state - wire::kSlotUp) <= wire::kSlotDraining - wire::kSlotUp; }
    /// The outer headers.
    [[nodiscard]] const wire::u8 *outer() const noexcept { return headers + sizeof headers - length; }
    /// The backend's address, from them.
    [[nodiscard]] wire::Be32 address() const noexcept {
        wire::Be32 address;
        std::memcpy(&address, outer() + sizeof(wire::EthernetHeader) + offsetof(wire::Ipv4Header, destination), sizeof address);
        return address;
    }
};
static_assert(sizeof(Forwarding) == 64);

/// What the packet path needs of a service.
struct Service {
    const wire::u16 *rows;     ///< [row_count] slots or kNoSlot
    const wire::u16 *alternates; ///< [row_count][wire::kAlternateCount] slots or kNoSlot; null: no second chance
    wire::u32 row_count;       ///< at least 1; 0: this index is not in use
    bool any_port;
    wire::u32 timeout_s[5];    ///< by ConnectionState
};

class Generation {
  public:
    struct Built {
        std::unique_ptr<const Generation> generation; ///< null when refused
        Refusal refusal;
    };

    /// Validates a root against the segments it names and derives the rest.
    /// @param root the root segment's bytes; not needed after the call.
    /// @param segments every segment the root may name (others are ignored); their bytes must outlive the result.
    [[nodiscard]] static Built build(std::span<const std::byte> root,
                                     std::span<const CheckedSegment> segments);

    [[nodiscard]] wire::u64 number() const noexcept { return number_; }
    [[nodiscard]] const wire::FlowHashKey &hash_key() const noexcept { return hash_key_; }
    [[nodiscard]] const ServiceTable &service_table() const noexcept { return service_table_; }
    [[nodiscard]] const Service &service(wire::u16 index) const noexcept { return services_[index]; }
    [[nodiscard]] wire::u32 service_count() const noexcept { return static_cast<wire::u32>(services_.size()); }
    [[nodiscard]] wire::u32 slot_count() const noexcept { return slot_count_; }
    /// @param slot below slot_count(), or kNoSlot's stand-in: slot_count() itself, which is free.
    [[nodiscard]] const Forwarding &forwarding(wire::u32 slot) const noexcept { return forwarding_[slot]; }
    /// Into the second-level cache, as connections.
    /// @param slot any number.
    [[gnu::always_inline]] void prefetch_forwarding(wire::u16 slot) const noexcept { __builtin_prefetch(&forwarding_of(slot), 0, 2); }
    /// The slot of a connection entry's value, whatever it says.
    [[nodiscard]] const Forwarding &forwarding_of(wire::u64 value) const noexcept {
        return forwarding_[std::min<wire::u32>(static_cast<wire::u16>(value), slot_count_)];
    }
    /// What makes an index of any tenant by `&`: that of its slot, if it has a slot of this generation.
    [[nodiscard]] wire::u32 forwarding_mask() const noexcept { return static_cast<wire::u32>(forwarding_.size() - 1); }
    /// The ids of the segments in use, hops included, ascending.
    [[nodiscard]] std::span<const wire::u64> segment_ids() const noexcept { return segment_ids_; }
    /// The distinct virtual addresses, for the steering program.
    [[nodiscard]] std::span<const wire::Be32> vips() const noexcept { return vips_; }

  private:
    explicit Generation(const wire::SnapshotRoot &root);
    Refusal take_services(std::span<const wire::ServiceEntry>, std::span<const wire::SlotEntry>,
                          std::span<const CheckedSegment>);
    Refusal take_slots(const wire::SnapshotRoot &, std::span<const wire::ServiceEntry>,
                       std::span<const wire::SlotEntry>, std::span<const CheckedSegment>);

    wire::u64 number_;
    wire::FlowHashKey hash_key_;
    ServiceTable service_table_;
    std::vector<Service> services_;
    std::vector<Forwarding> forwarding_; ///< [slot_count + 1], and more, to a power of two; from slot_count on all are free
    wire::u32 slot_count_;
    std::vector<wire::u64> segment_ids_;
    std::vector<wire::Be32> vips_;
};

} // namespace fairlead::core
