// SPDX-License-Identifier: Apache-2.0
/// Which index a service has and which slot a backend has, for as long as a connection may remember it.
///
/// Connections in the dataplane name services by index and backends by slot and epoch. So a lease
/// lasts as long as its holder stands in the configuration, survives restarts with the state file, and
/// is not given to another before its quarantine, the longest timeout of its service, is over.
///
/// A service is identified by VIP, port and protocol, not by its name: renaming a service keeps its
/// connections, and exchanging the VIPs of two services does not mix theirs up. A backend is
/// identified by its service and its address.
///
/// Time is injected: seconds of a clock that never steps and counts through suspension
/// (CLOCK_BOOTTIME). Everything here is a pure function.
#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "controlplane/config/config.hpp"
#include "controlplane/error.hpp"

namespace fairlead::state {

struct ServiceKey {
    std::uint32_t vip; ///< host order, so that listings are sorted as people read them
    std::uint16_t port;
    std::uint8_t protocol;

    [[nodiscard]] auto operator<=>(const ServiceKey &) const = default;
};

[[nodiscard]] ServiceKey key_of(const config::Service &service);

struct SlotLease {
    std::uint16_t slot = 0;
    std::uint16_t epoch = 0;       ///< epoch_of(address, creation_id)
    std::uint64_t creation_id = 0; ///< of this state; a backend that is removed and added again gets another

    [[nodiscard]] bool operator==(const SlotLease &) const = default;
};

struct ServiceLease {
    std::uint16_t index = 0;
    std::uint32_t longest_timeout_s = 0;        ///< the longest that it ever had
    std::map<std::uint32_t, SlotLease> slots;   ///< by address, host order

    [[nodiscard]] bool operator==(const ServiceLease &) const = default;
};

/// A removed backend that its slot still stands for, because its service is `on_dead: reset` or `keep`.
struct Departed {
    std::uint32_t address = 0;     ///< host order
    std::uint64_t creation_id = 0; ///< with the address: the slot's epoch
    std::uint16_t service = 0;     ///< index; the service is still there
    std::uint8_t state = 0;        ///< wire::kSlotReset or kSlotDraining

    [[nodiscard]] bool operator==(const Departed &) const = default;
};

struct Quarantine {
    std::uint64_t until_s = 0;
    std::uint32_t period_s = 0; ///< to begin anew when the clock did (another boot)
    std::optional<Departed> departed = {}; ///< of a slot; nothing: it is published as free

    [[nodiscard]] bool operator==(const Quarantine &) const = default;
};

struct Allocation {
    std::map<ServiceKey, ServiceLease> services;
    std::map<std::uint16_t, Quarantine> resting_services; ///< by index
    std::map<std::uint16_t, Quarantine> resting_slots;    ///< by slot
    std::uint64_t next_creation_id = 1;

    [[nodiscard]] bool operator==(const Allocation &) const = default;
};

/// The leases for `config`: those of `before` that it still needs, the rest put into quarantine, new ones
/// at the lowest free places, in the order of the configuration. The slot of a backend that its service
/// has lost stays its own in quarantine where the service is `on_dead: reset` or `keep`. Errors: every place is taken or rests.
[[nodiscard]] std::expected<Allocation, Error> allocate(const Allocation &before, const config::Config &config,
                                                        std::uint64_t now_s);

/// 16 bits that tell the tenants of a slot apart. From what identifies the backend rather than from a
/// counter alone, so that a control plane with lost or older state does not repeat an epoch for
/// another address but by chance of 1 in 65,536.
[[nodiscard]] std::uint16_t epoch_of(wire::Be32 address, std::uint64_t creation_id);

/// The slots that still stand for a removed backend, ascending.
[[nodiscard]] std::vector<std::pair<std::uint16_t, Departed>> departed_of(const Allocation &allocation);

/// When the first slot that still stands for a removed backend is to be freed; nothing: there is none.
[[nodiscard]] std::optional<std::uint64_t> first_departure_end_s(const Allocation &allocation);

[[nodiscard]] std::uint32_t longest_timeout_s(const config::Timeouts &timeouts);

} // namespace fairlead::state
