// SPDX-License-Identifier: Apache-2.0
// Service lookup: (VIP, port, protocol) -> service index. Open addressing at a quarter load, 16-byte cells, built
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

    /// The service of a packet to `vip`:`port`: one for that very port, else one for any port; kNone when neither.
    [[nodiscard]] wire::u16 find(wire::Be32 vip, wire::Be16 port, wire::u8 protocol) const noexcept {
        wire::u16 index = probe(key(vip, port, protocol));
        if (index == kNone && has_any_port_) index = probe(key(vip, {wire::kPortAny}, protocol));
        return index;
    }

    /// Whether `address` is the VIP of any service.
    [[nodiscard]] bool is_vip(wire::Be32 address) const noexcept {
        return probe(key(address, {wire::kPortAny}, kVipMark)) != kNone;
    }

  private:
    struct Cell {
        wire::u64 key; ///< 0: empty (no real key is 0, since the protocol never is)
        wire::u64 index;
    };
    static constexpr wire::u8 kVipMark = 255; ///< a reserved protocol number (IANA), so no packet's service

    static constexpr wire::u64 key(wire::Be32 vip, wire::Be16 port, wire::u8 protocol) noexcept {
        return wire::u64{vip.raw} << 32 | wire::u64{port.raw} << 8 | protocol;
    }
    [[nodiscard]] std::size_t place(wire::u64 k) const noexcept {
        return static_cast<std::size_t>((k * 0x9e3779b97f4a7c15ull) >> shift_); // Fibonacci hashing (Knuth, 6.4)
    }
    [[nodiscard]] wire::u16 probe(wire::u64 k) const noexcept {
        for (std::size_t i = place(k);; i = (i + 1) & mask_) {
            if (cells_[i].key == k) return static_cast<wire::u16>(cells_[i].index);
            if (cells_[i].key == 0) return kNone;
        }
    }
    bool insert(wire::u64 k, wire::u16 index);

    std::vector<Cell> cells_ = std::vector<Cell>(4);
    std::size_t mask_ = 3;
    unsigned shift_ = 62;
    bool has_any_port_ = false;
};

} // namespace fairlead::core
