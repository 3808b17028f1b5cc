// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/allocation.hpp"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "controlplane/state/health_record.hpp"

namespace fairlead::state {

namespace {

/// Hands out the lowest free numbers of a range, in ascending order.
class FreeNumbers {
  public:
    FreeNumbers(std::uint32_t capacity, std::set<std::uint16_t> taken) : capacity_(capacity), taken_(std::move(taken)) {}

    std::optional<std::uint16_t> take() {
        auto next_taken = taken_.lower_bound(static_cast<std::uint16_t>(next_));
        while (next_taken != taken_.end() && *next_taken == next_) {
            ++next_;
            ++next_taken;
        }
        if (next_ >= capacity_) return std::nullopt;
        return static_cast<std::uint16_t>(next_++);
    }

  private:
    std::uint32_t capacity_;
    std::uint32_t next_ = 0;
    std::set<std::uint16_t> taken_;
};

void end_quarantines(std::map<std::uint16_t, Quarantine> &resting, std::uint64_t now_s) {
    std::erase_if(resting, [now_s](const auto &entry) { return entry.second.until_s <= now_s; });
}

struct Wanted {
    std::set<std::uint32_t> addresses;
    std::uint8_t state_on_removal; ///< of the slots of backends that are no longer there
};

/// The slots of a service that is gone say nothing any more: no packet finds the service.
void forget_departed_of(Allocation &allocation, std::uint16_t service) {
    for (auto &[slot, quarantine] : allocation.resting_slots)
        if (quarantine.departed && quarantine.departed->service == service) quarantine.departed.reset();
}

/// Puts what `config` no longer names into quarantine.
void release_unused(Allocation &allocation, const config::Config &config, std::uint64_t now_s) {
    std::map<ServiceKey, Wanted> wanted;
    for (const config::Service &service : config.services) {
        Wanted &entry = wanted[key_of(service)];
        entry.state_on_removal = state_on_dead(service, wire::kSlotFree);
        for (const config::Backend &backend : service.backends) entry.addresses.insert(backend.address.host());
    }
    for (auto entry = allocation.services.begin(); entry != allocation.services.end();) {
        auto &[key, lease] = *entry;
        const Quarantine quarantine{now_s + lease.longest_timeout_s, lease.longest_timeout_s};
        const auto service = wanted.find(key);
        std::erase_if(lease.slots, [&](const auto &slot) {
            if (service != wanted.end() && service->second.addresses.contains(slot.first)) return false;
            Quarantine &resting = allocation.resting_slots[slot.second.slot] = quarantine;
            if (service != wanted.end() && service->second.state_on_removal != wire::kSlotFree)
                resting.departed = {slot.first, slot.second.creation_id, lease.index, service->second.state_on_removal};
            return true;
        });
        if (service == wanted.end()) {
            forget_departed_of(allocation, lease.index);
            allocation.resting_services[lease.index] = quarantine;
            entry = allocation.services.erase(entry);
        } else {
            ++entry;
        }
    }
}

std::unexpected<Error> exhausted(std::string field, std::string_view what, std::uint32_t capacity,
                                 const std::map<std::uint16_t, Quarantine> &resting, std::uint64_t now_s) {
    std::uint64_t first_s = UINT64_MAX;
    for (const auto &[number, quarantine] : resting) first_s = std::min(first_s, quarantine.until_s);
    std::string mend = resting.empty() ? "remove what is not needed"
                                       : fmt::format("{} of them rest after a removal, until connections that may name them "
                                                     "have expired; the first is free in {} s",
                                                     resting.size(), first_s - now_s);
    return std::unexpected(error_in(std::move(field), fmt::format("no free {}: all {} are taken", what, capacity),
                                    std::move(mend)));
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t value) {
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ value >> 27) * 0x94d049bb133111ebull;
    return value ^ value >> 31;
}

} // namespace

ServiceKey key_of(const config::Service &service) {
    return {service.vip.host(), service.port, service.protocol};
}

std::uint16_t epoch_of(wire::Be32 address, std::uint64_t creation_id) {
    return static_cast<std::uint16_t>(mix(mix(creation_id + 0x9e3779b97f4a7c15ull) ^ address.host()));
}

std::uint32_t longest_timeout_s(const config::Timeouts &timeouts) {
    return std::max({timeouts.half_open_s, timeouts.established_s, timeouts.closing_s, timeouts.udp_s});
}

std::vector<std::pair<std::uint16_t, Departed>> departed_of(const Allocation &allocation) {
    std::vector<std::pair<std::uint16_t, Departed>> list;
    for (const auto &[slot, quarantine] : allocation.resting_slots)
        if (quarantine.departed) list.emplace_back(slot, *quarantine.departed);
    return list;
}

std::optional<std::uint64_t> first_departure_end_s(const Allocation &allocation) {
    std::optional<std::uint64_t> first_s;
    for (const auto &[slot, quarantine] : allocation.resting_slots)
        if (quarantine.departed) first_s = std::min(first_s.value_or(UINT64_MAX), quarantine.until_s);
    return first_s;
}

std::expected<Allocation, Error> allocate(const Allocation &before, const config::Config &config, std::uint64_t now_s) {
    Allocation after = before;
    release_unused(after, config, now_s);
    end_quarantines(after.resting_services, now_s);
    end_quarantines(after.resting_slots, now_s);

    std::set<std::uint16_t> taken_indices;
    std::set<std::uint16_t> taken_slots;
    for (const auto &[key, lease] : after.services) {
        taken_indices.insert(lease.index);
        for (const auto &[address, slot] : lease.slots) taken_slots.insert(slot.slot);
    }
    for (const auto &[index, quarantine] : after.resting_services) taken_indices.insert(index);
    for (const auto &[slot, quarantine] : after.resting_slots) taken_slots.insert(slot);
    FreeNumbers free_indices(wire::kServiceCapacity, std::move(taken_indices));
    FreeNumbers free_slots(wire::kSlotCapacity, std::move(taken_slots));

    for (std::size_t i = 0; i < config.services.size(); ++i) {
        const config::Service &service = config.services[i];
        auto [entry, is_new] = after.services.try_emplace(key_of(service));
        ServiceLease &lease = entry->second;
        if (is_new) {
            const auto index = free_indices.take();
            if (!index)
                return exhausted(fmt::format("services[{}]", i), "service index", wire::kServiceCapacity,
                                 after.resting_services, now_s);
            lease.index = *index;
        }
        lease.longest_timeout_s = std::max(lease.longest_timeout_s, longest_timeout_s(service.timeouts));
        for (std::size_t j = 0; j < service.backends.size(); ++j) {
            const wire::Be32 address = service.backends[j].address;
            auto [slot, slot_is_new] = lease.slots.try_emplace(address.host());
            if (!slot_is_new) continue;
            const auto number = free_slots.take();
            if (!number)
                return exhausted(fmt::format("services[{}].backends[{}]", i, j), "backend slot", wire::kSlotCapacity,
                                 after.resting_slots, now_s);
            const std::uint64_t creation_id = after.next_creation_id++;
            slot->second = {*number, epoch_of(address, creation_id), creation_id};
        }
    }
    return after;
}

} // namespace fairlead::state
