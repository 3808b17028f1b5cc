// SPDX-License-Identifier: Apache-2.0
#include "controlplane/state/history_json.hpp"

#include <algorithm>
#include <bit>
#include <vector>

namespace fairlead::state {

namespace {

using tables::BackendSet;
using tables::SharedBackendSet;
using Weights = std::map<std::uint32_t, std::uint32_t>; ///< by address, host order

Weights weights_of(const BackendSet &set) {
    Weights weights;
    for (const tables::WeightedAddress &member : set.members) {
        std::array<std::uint8_t, 4> ipv4{};
        std::copy_n(member.address.begin(), ipv4.size(), ipv4.begin());
        weights.emplace(std::bit_cast<wire::Be32>(ipv4).host(), member.weight);
    }
    return weights;
}

std::string name_of(std::uint32_t address) { return config::format_ipv4(wire::Be32::from_host(address)); }

Json difference(const BackendSet *before, const BackendSet &set) {
    Json json = Json::object();
    if (before == nullptr || before->algorithm != set.algorithm) json["algorithm"] = tables::to_string(set.algorithm);
    if (before == nullptr || before->row_count != set.row_count) json["row_count"] = set.row_count;
    const Weights old = before == nullptr ? Weights() : weights_of(*before);
    const Weights now = weights_of(set);
    Json with = Json::object();
    Json without = Json::array();
    for (const auto &[address, weight] : now) {
        const auto known = old.find(address);
        if (known == old.end() || known->second != weight) with[name_of(address)] = weight;
    }
    for (const auto &[address, weight] : old)
        if (!now.contains(address)) without.push_back(name_of(address));
    if (!with.empty()) json["with"] = std::move(with);
    if (!without.empty()) json["without"] = std::move(without);
    return json;
}

/// Reads a list, set after set.
class SetReader {
  public:
    [[nodiscard]] BackendSet read(const Json &json) {
        if (json.contains("algorithm")) algorithm_ = tables::algorithm_from_string(text(json, "algorithm"));
        if (json.contains("row_count")) row_count_ = number<std::uint32_t>(json, "row_count", 1, wire::kRowCountMax);
        if (!algorithm_) throw Damaged{"algorithm"};
        if (!tables::is_row_count(row_count_)) throw Damaged{"row_count"};
        if (json.contains("without"))
            for (const Json &name : part(json, "without")) leave_out(name);
        if (json.contains("with"))
            for (const auto &[name, weight] : part(json, "with").items()) put_in(name, weight);
        if (weights_.empty() || weights_.size() > wire::kSlotCapacity) throw Damaged{"with"};
        std::vector<tables::Member> members;
        for (const auto &[address, weight] : weights_)
            members.push_back({.address = tables::address_of(wire::Be32::from_host(address)), .weight = weight});
        return tables::backend_set(*algorithm_, row_count_, members);
    }

  private:
    void leave_out(const Json &name) {
        const auto address = name.is_string() ? config::parse_ipv4(name.get<std::string>()) : std::nullopt;
        if (!address || weights_.erase(address->host()) == 0) throw Damaged{"without"};
    }
    void put_in(const std::string &name, const Json &weight) {
        const auto address = config::parse_ipv4(name);
        if (!address || !weight.is_number_unsigned() || weight.get<std::uint64_t>() == 0 ||
            weight.get<std::uint64_t>() > tables::kWeightMax)
            throw Damaged{"with"};
        weights_[address->host()] = weight.get<std::uint32_t>();
    }

    std::optional<tables::Algorithm> algorithm_;
    std::uint32_t row_count_ = 0;
    Weights weights_;
};

} // namespace

Json histories_to_json(const Histories &histories) {
    Json list = Json::array();
    for (const auto &[key, history] : histories) {
        Json sets = Json::array();
        const BackendSet *before = nullptr;
        for (const SharedBackendSet &set : history.sets()) {
            sets.push_back(difference(before, *set));
            before = set.get();
        }
        Json entry = to_json(key);
        entry["sets"] = std::move(sets);
        list.push_back(std::move(entry));
    }
    return list;
}

Histories histories_from_json(const Json &list) {
    Histories histories;
    for (const Json &entry : list) {
        std::vector<BackendSet> sets;
        SetReader reader;
        for (const Json &set : part(entry, "sets")) sets.push_back(reader.read(set));
        tables::SetHistory history;
        const std::size_t count = sets.size();
        for (; !sets.empty(); sets.pop_back()) history = history.with(std::move(sets.back()));
        if (history.sets().size() != count) throw Damaged{"sets"}; // too many, or one twice
        if (!histories.emplace(service_key(entry), std::move(history)).second) throw Damaged{"histories"};
    }
    return histories;
}

} // namespace fairlead::state
