// SPDX-License-Identifier: Apache-2.0
//
// Member lists for the table tests, and what a table gives each member.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "controlplane/tables/row_table.hpp"
#include "dataplane/wire/snapshot.h"

namespace fairlead::tables {

inline constexpr Seed kSeed = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                               0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

inline constexpr std::uint32_t kRows = 65537; // of a service, if nobody says otherwise

/// 10.20.0.1 and up; the slot is the number.
inline Member member(std::uint16_t number, std::uint32_t weight = 100) {
    return {.address = address_of(wire::Be32::from_host(0x0a140001u + number)), .weight = weight, .slot = number};
}

inline std::vector<Member> members(std::uint16_t count, std::uint32_t weight = 100) {
    std::vector<Member> result;
    for (std::uint16_t number = 0; number < count; ++number) result.push_back(member(number, weight));
    return result;
}

/// Rows by slot, up to the largest slot of the members.
inline std::vector<std::uint32_t> rows_by_slot(std::span<const std::uint16_t> rows) {
    std::vector<std::uint32_t> count(wire::kSlotCapacity, 0);
    for (const std::uint16_t slot : rows) ++count.at(slot);
    return count;
}

/// The most that any member is above its share of the rows by weight, as a part of that share.
inline double overload_max(std::span<const std::uint16_t> rows, std::span<const Member> members) {
    const std::vector<std::uint32_t> held = rows_by_slot(rows);
    double weight_sum = 0;
    for (const Member &one : members) weight_sum += one.weight;
    double result = -1;
    for (const Member &one : members) {
        const double share = static_cast<double>(rows.size()) * one.weight / weight_sum;
        if (one.weight > 0) result = std::max(result, held[one.slot] / share - 1);
    }
    return result;
}

inline std::size_t moved_rows(const Rows &before, const Rows &after) {
    std::size_t moved = before.size() == after.size() ? 0 : before.size();
    for (std::size_t row = 0; moved < before.size() && row < before.size(); ++row) moved += before[row] != after[row];
    return moved;
}

/// Members with random addresses and slots; weights from 1 to weight_max, now and then 0.
inline std::vector<Member> random_members(std::mt19937_64 &random, std::size_t count, std::uint32_t weight_max) {
    std::vector<std::uint16_t> slots(wire::kSlotCapacity);
    for (std::size_t i = 0; i < slots.size(); ++i) slots[i] = static_cast<std::uint16_t>(i);
    std::ranges::shuffle(slots, random);
    std::vector<Member> result(count);
    for (std::size_t i = 0; i < count; ++i) {
        for (auto &byte : result[i].address) byte = static_cast<std::uint8_t>(random());
        result[i].slot = slots[i];
        result[i].weight = random() % 16 == 0 ? 0 : static_cast<std::uint32_t>(random() % weight_max + 1);
    }
    return result;
}

} // namespace fairlead::tables
