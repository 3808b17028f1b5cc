// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/service_table.hpp"

#include <cstring>

namespace fairlead::core {

using namespace wire;

bool ServiceTable::insert(u64 k, Found found) {
    std::size_t i = place(k);
    while (cells_[i].key != 0) {
        if (cells_[i].key == k) return false;
        i = (i + 1) & mask_;
    }
    cells_[i] = {k, found, 0};
    return true;
}

bool ServiceTable::build(std::span<const ServiceEntry> services) {
    std::size_t used = 0;
    for (const auto &service : services) used += service.protocol != 0;
    // Each service may bring two keys: its own and its VIP's.
    std::size_t size = std::bit_ceil(std::max<std::size_t>(4, used * 8));
    cells_.assign(size, Cell{});
    mask_ = size - 1;
    shift_ = 64 - static_cast<unsigned>(std::countr_zero(size));
    has_any_port_ = false;

    for (std::size_t i = 0; i < services.size(); ++i) {
        const auto &service = services[i];
        if (service.protocol == 0) continue;
        Be32 vip{};
        std::memcpy(&vip, service.vip, sizeof vip);
        has_any_port_ |= service.port.raw == kPortAny;
        const Found found{static_cast<u16>(i), service.port.raw == kPortAny};
        if (!insert(key(vip, service.port, service.protocol), found)) return false;
        insert(key(vip, {kPortAny}, kVipMark), found); // several services may share a VIP
    }
    return true;
}

} // namespace fairlead::core
