// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/service_table.hpp"

#include <cstring>

namespace fairlead::core {

using namespace wire;

bool ServiceTable::insert(u64 k, Found found) {
    std::size_t i = place(k, shift_);
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
    // Each service may bring two keys: its own and its VIP's. Room for 16 each has three of a hundred stand where another's place is.
    std::size_t size = std::bit_ceil(std::max<std::size_t>(4, used * 16));
    cells_.assign(size, Cell{});
    mask_ = size - 1;
    shift_ = 64 - static_cast<unsigned>(std::countr_zero(size));
    has_any_port_ = false;

    // What packets ask for comes first, so that it stands where it is looked for; VIPs are asked for once in a while.
    const auto each = [&](const auto &take) {
        for (std::size_t i = 0; i < services.size(); ++i) {
            if (services[i].protocol == 0) continue;
            Be32 vip{};
            std::memcpy(&vip, services[i].vip, sizeof vip);
            if (!take(services[i], vip, Found{static_cast<u16>(i), services[i].port.raw == kPortAny})) return false;
        }
        return true;
    };
    if (!each([&](const auto &service, Be32 vip, Found found) {
            has_any_port_ |= found.any_port;
            return insert(key(vip, service.port, service.protocol) | (found.any_port ? kAnyPort : 0), found);
        }))
        return false;
    each([&](const auto &, Be32 vip, Found found) { insert(key(vip, {}, kVipMark), found); return true; }); // several services may share one
    return true;
}

} // namespace fairlead::core
