// SPDX-License-Identifier: Apache-2.0
// Service lookup: (VIP, port, protocol) -> service index. Open addressing at an eighth load, 16-byte cells, built
// once per generation; one service or a thousand, a lookup is one cache line, nearly always in L1.
#pragma once

#include "dataplane/wire/snapshot.h"

#include <bit>
#include <span>
#include <vector>

namespace fairlead::core {

class ServiceTable {
  public:
    static constexpr wire::u16 kNone = wire::kServiceCapacity;

    /// @param services valid entries; no two unused ones share VIP, port and protocol.
    /// @return false if two services claim the same (VIP, port, protocol).
    [[nodiscard]] bool build(std::span<const wire::ServiceEntry> services);

    struct Found {
        wire::u16 index; ///< kNone: no service
        bool any_port;   ///< the service's connections have wide keys
        wire::u8 reserved = 0;
    };

    static constexpr wire::u64 key(wire::Be32 vip, wire::Be16 port, wire::u8 protocol) noexcept {
        return wire::u64{vip.raw} << 32 | wire::u32{protocol} << 16 | port.raw;
    }

    /// The table as one lookup after another needs it, in registers.
    class Lookup;
    [[nodiscard]] Lookup lookup() const noexcept;

    /// The service of a packet: one for its very port, else one for any port.
    [[nodiscard]] Found find(wire::u64 k) const noexcept {
        const Found found = probe(k);
        if (found.index != kNone || !has_any_port_) return found;
        return probe((k & ~wire::u64{0xffff}) | kAnyPort);
    }

    /// Whether `address` is the VIP of any service.
    [[nodiscard]] bool is_vip(wire::Be32 address) const noexcept {
        return probe(key(address, {}, kVipMark)).index != kNone;
    }

  private:
    struct Cell {
        wire::u64 key; ///< 0: empty (no real key is 0, since the protocol never is)
        Found found;
        wire::u32 reserved;
    };
    static_assert(sizeof(Found) == 4);
    /// Of 2^(64 - shift) cells. Fibonacci hashing (Knuth, 6.4).
    [[nodiscard]] static std::size_t place(wire::u64 k, unsigned shift) noexcept {
        return static_cast<std::size_t>((k * 0x9e3779b97f4a7c15ull) >> shift);
    }
    static constexpr wire::u8 kVipMark = 255; ///< a reserved protocol number (IANA), so no packet's service
    static constexpr wire::u64 kAnyPort = 1 << 24; ///< in the keys of services for any port, and in no packet's

    [[nodiscard]] Found probe(wire::u64 k) const noexcept {
        for (std::size_t i = place(k, shift_);; i = (i + 1) & mask_) {
            const Cell &cell = cells_[i];
            if (cell.key == k) [[likely]] return cell.found;
            if (cell.key == 0) return {kNone, false};
        }
    }
    bool insert(wire::u64 k, Found found);

    std::vector<Cell> cells_ = std::vector<Cell>(4);
    std::size_t mask_ = 3;
    unsigned shift_ = 62;
    bool has_any_port_ = false;
};

class ServiceTable::Lookup {
  public:
    /// The service for a packet's very port, if it stands where it is looked for first or behind it, as nearly all do; else null.
    /// @param k key(), FlowKeys::service
    [[nodiscard]] const wire::u16 *find_at_once(wire::u64 k) const noexcept {
        const std::size_t i = place(k, shift_);
        if (cells_[i].key == k) [[likely]] return &cells_[i].found.index;
        const Cell &next = cells_[(i + 1) & ~std::size_t{0} >> shift_];
        return next.key == k ? &next.found.index : nullptr;
    }

  private:
    friend ServiceTable;
    Lookup(const Cell *cells, unsigned shift) noexcept : cells_(cells), shift_(shift) {}
    const Cell *cells_;
    unsigned shift_;
};

inline ServiceTable::Lookup ServiceTable::lookup() const noexcept { return {cells_.data(), shift_}; }

} // namespace fairlead::core
