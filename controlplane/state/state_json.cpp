// SPDX-License-Identifier: Apache-2.0
/// The state file's text: JSON, with the configuration in its own YAML form, so that one parser and one
/// set of rules reads it; and a digest over all of it, so that damage does not pass for a configuration.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "controlplane/state/history_json.hpp"
#include "controlplane/state/json_values.hpp"
#include "controlplane/state/state_file.hpp"
#include "controlplane/tables/siphash.hpp"

namespace fairlead::state {

namespace {

constexpr const char *kFormat = "fairlead-state";
constexpr int kVersion = 1;

Json quarantines_to_json(const std::map<std::uint16_t, Quarantine> &resting) {
    Json list = Json::array();
    for (const auto &[number, quarantine] : resting) {
        Json &entry = list.emplace_back(
            Json{{"number", number}, {"until_s", quarantine.until_s}, {"period_s", quarantine.period_s}});
        if (const auto &departed = quarantine.departed)
            entry["departed"] = {{"address", config::format_ipv4(wire::Be32::from_host(departed->address))},
                                 {"creation_id", departed->creation_id},
                                 {"service", departed->service},
                                 {"state", departed->state == wire::kSlotReset ? "reset" : "keep"}};
    }
    return list;
}

Json health_to_json(const HealthRecord &record) {
    Json list = Json::array();
    for (const auto &[key, found] : record)
        list.push_back({{"vip", config::format_ipv4(wire::Be32::from_host(key.vip))},
                        {"port", key.port},
                        {"protocol", config::protocol_name(key.protocol)},
                        {"address", config::format_ipv4(wire::Be32::from_host(key.address))},
                        {"grade", health::name_of(found.grade)},
                        {"reason", found.reason},
                        {"since_unix_s", found.since_unix_s}});
    return list;
}

Json allocation_to_json(const Allocation &allocation) {
    Json services = Json::array();
    for (const auto &[key, lease] : allocation.services) {
        Json slots = Json::array();
        for (const auto &[address, slot] : lease.slots)
            slots.push_back({{"address", config::format_ipv4(wire::Be32::from_host(address))},
                             {"slot", slot.slot},
                             {"creation_id", slot.creation_id}});
        Json entry = to_json(key);
        entry.update({{"index", lease.index}, {"longest_timeout_s", lease.longest_timeout_s}, {"slots", std::move(slots)}});
        services.push_back(std::move(entry));
    }
    return {{"next_creation_id", allocation.next_creation_id},
            {"services", std::move(services)},
            {"resting_services", quarantines_to_json(allocation.resting_services)},
            {"resting_slots", quarantines_to_json(allocation.resting_slots)}};
}

Departed departed_from_json(const Json &json) {
    const std::string state = text(json, "state");
    if (state != "reset" && state != "keep") throw Damaged{"state"};
    return {.address = address(json, "address").host(),
            .creation_id = number<std::uint64_t>(json, "creation_id", 1, UINT64_MAX),
            .service = number<std::uint16_t>(json, "service", 0, wire::kServiceCapacity - 1),
            .state = state == "reset" ? std::uint8_t{wire::kSlotReset} : std::uint8_t{wire::kSlotDraining}};
}

HealthRecord health_from_json(const Json &list) {
    HealthRecord record;
    for (const Json &entry : list) {
        const auto grade = health::parse_grade(text(entry, "grade"));
        if (!grade) throw Damaged{"grade"};
        const health::BackendKey key{address(entry, "vip").host(), number<std::uint16_t>(entry, "port", 0, 65535), protocol(entry),
                                     address(entry, "address").host()};
        const FoundHealth found{*grade, text(entry, "reason"), number<std::uint64_t>(entry, "since_unix_s", 0, UINT64_MAX)};
        if (!record.emplace(key, found).second) throw Damaged{"health"};
    }
    return record;
}

std::map<std::uint16_t, Quarantine> quarantines_from_json(const Json &list, std::uint32_t capacity, bool is_same_boot,
                                                          std::uint64_t now_s) {
    std::map<std::uint16_t, Quarantine> resting;
    for (const Json &entry : list) {
        Quarantine quarantine{number<std::uint64_t>(entry, "until_s", 0, UINT64_MAX / 2),
                              number<std::uint32_t>(entry, "period_s", 0, config::kTimeoutMaxS)};
        if (!is_same_boot) quarantine.until_s = now_s + quarantine.period_s;
        if (entry.contains("departed")) quarantine.departed = departed_from_json(part(entry, "departed"));
        if (!resting.emplace(number<std::uint16_t>(entry, "number", 0, capacity - 1), quarantine).second)
            throw Damaged{"number"};
    }
    return resting;
}

ServiceLease lease_from_json(const Json &entry) {
    ServiceLease lease;
    lease.index = number<std::uint16_t>(entry, "index", 0, wire::kServiceCapacity - 1);
    lease.longest_timeout_s = number<std::uint32_t>(entry, "longest_timeout_s", 0, config::kTimeoutMaxS);
    for (const Json &slot : part(entry, "slots")) {
        const wire::Be32 backend = address(slot, "address");
        const auto creation_id = number<std::uint64_t>(slot, "creation_id", 1, UINT64_MAX);
        const SlotLease value{number<std::uint16_t>(slot, "slot", 0, wire::kSlotCapacity - 1),
                              epoch_of(backend, creation_id), creation_id};
        if (!lease.slots.emplace(backend.host(), value).second) throw Damaged{"address"};
    }
    return lease;
}

Allocation allocation_from_json(const Json &json, bool is_same_boot, std::uint64_t now_s) {
    Allocation allocation;
    allocation.next_creation_id = number<std::uint64_t>(json, "next_creation_id", 1, UINT64_MAX);
    allocation.resting_services =
        quarantines_from_json(part(json, "resting_services"), wire::kServiceCapacity, is_same_boot, now_s);
    allocation.resting_slots = quarantines_from_json(part(json, "resting_slots"), wire::kSlotCapacity, is_same_boot, now_s);
    for (const Json &entry : part(json, "services")) {
        if (!allocation.services.emplace(service_key(entry), lease_from_json(entry)).second) throw Damaged{"vip"};
    }
    return allocation;
}

/// Each number has one tenant: held once, or resting. A removed backend's service is there.
void check_tenancy(const Allocation &allocation) {
    std::set<std::uint16_t> indices;
    std::set<std::uint16_t> slots;
    for (const auto &[index, quarantine] : allocation.resting_services) indices.insert(index);
    for (const auto &[slot, quarantine] : allocation.resting_slots) slots.insert(slot);
    for (const auto &[key, lease] : allocation.services) {
        if (!indices.insert(lease.index).second) throw Damaged{"index"};
        for (const auto &[backend, slot] : lease.slots)
            if (!slots.insert(slot.slot).second || slot.creation_id >= allocation.next_creation_id) throw Damaged{"slot"};
    }
    const auto is_held = [&](std::uint16_t index) {
        return std::ranges::any_of(allocation.services, [index](const auto &entry) { return entry.second.index == index; });
    };
    for (const auto &[slot, quarantine] : allocation.resting_slots)
        if (quarantine.departed && !is_held(quarantine.departed->service)) throw Damaged{"departed"};
}

std::string content_digest(Json json) {
    json.erase("digest");
    return digest_of(json.dump());
}

std::unexpected<Error> damaged(const std::string &file_name, std::string field, std::string what) {
    return std::unexpected(Error{.what = std::move(what), .file = file_name, .line = 0, .field = std::move(field),
                                 .mend = "put back a good copy, or move the file away to begin from --config; "
                                         "open connections then keep their backends only by their rows"});
}

} // namespace

std::string digest_of(std::string_view text_to_digest) {
    tables::SipHash hash({});
    hash.absorb({reinterpret_cast<const std::uint8_t *>(text_to_digest.data()), text_to_digest.size()});
    return fmt::format("{:016x}", hash.digest());
}

std::string format_state(const DesiredState &state, const BootClock &clock) {
    Json json = {{"format", kFormat},
                 {"version", kVersion},
                 {"written_by", FAIRLEAD_VERSION},
                 {"generation", state.generation},
                 {"seed", config::format_hex(state.seed.data(), state.seed.size())},
                 {"config_digest", state.config_digest},
                 {"boot_id", clock.boot_id},
                 {"allocation", allocation_to_json(state.allocation)},
                 {"histories", histories_to_json(state.histories)},
                 {"health", health_to_json(state.health)},
                 {"config", config::format_yaml(state.config)}};
    json["digest"] = content_digest(json);
    return json.dump(1) + "\n";
}

std::expected<DesiredState, Error> parse_state(std::string_view state_text, const std::string &file_name,
                                               const BootClock &clock) {
    const Json json = Json::parse(state_text, nullptr, false);
    if (!json.is_object() || json.value("format", Json()) != kFormat)
        return damaged(file_name, {}, "the saved state is damaged: it is not a state file of Fairlead");
    if (json.value("version", Json()) != kVersion)
        return damaged(file_name, "version", fmt::format("a state of version {}, but this fairleadd reads version {}",
                                                         json.value("version", Json()).dump(), kVersion));
    if (json.value("digest", Json()) != content_digest(json))
        return damaged(file_name, "digest", "the saved state is damaged: its digest does not match its content");
    try {
        DesiredState state;
        state.generation = number<std::uint64_t>(json, "generation", 0, UINT64_MAX / 2);
        state.config_digest = text(json, "config_digest");
        if (!config::parse_hex(text(json, "seed"), state.seed.data(), state.seed.size())) throw Damaged{"seed"};
        auto parsed = config::parse(text(json, "config"), file_name);
        if (!parsed) return damaged(file_name, "config", "the saved configuration is invalid: " + parsed.error().what);
        state.config = std::move(*parsed);
        state.allocation = allocation_from_json(part(json, "allocation"), text(json, "boot_id") == clock.boot_id, clock.now_s);
        check_tenancy(state.allocation);
        if (json.contains("histories")) state.histories = histories_from_json(part(json, "histories")); // older files have none
        // A state saved before there were health checks has none.
        if (json.contains("health")) state.health = keep_checked(health_from_json(part(json, "health")), state.config);
        return state;
    } catch (const Damaged &damage) {
        return damaged(file_name, damage.field, "the saved state is damaged: this value is missing or impossible");
    }
}

} // namespace fairlead::state
