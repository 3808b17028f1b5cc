// SPDX-License-Identifier: Apache-2.0
#include "dataplane/io/inheritance.hpp"

#include "dataplane/core/key_digest.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace fairlead::io {

namespace {

constexpr wire::u64 kPeriod_ns = 2'000'000'000;
constexpr wire::u64 kShareMax = 50; // of the main thread's time: one part in

wire::u64 steady_ns() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return static_cast<wire::u64>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

} // namespace

Inheritance::Inheritance(GenerationStore &store, std::vector<TableMemory> tables) : store_(store), live_(wire::kSlotCapacity + 1) {
    for (auto &table : tables) tables_.push_back(std::make_shared<TableMemory>(std::move(table)));
    if (!tables_.empty()) publish();
}

void Inheritance::look(wire::u64 now_ns) {
    const core::Generation *generation = store_.current();
    if (tables_.empty() || generation == nullptr || now_ns < next_ns_ || store_.is_full()) return;
    const auto begin_ns = steady_ns();
    std::ranges::fill(live_, 0);
    wire::u64 connections = 0;
    std::erase_if(tables_, [&](const std::shared_ptr<TableMemory> &table) {
        const bool is_same_key = table->header().key_digest == core::key_digest(generation->hash_key());
        if (!is_same_key) spdlog::warn("{}: its connections were placed under another seed; dropped", table->path().string());
        const auto count = is_same_key ? this->count(*table, *generation, now_ns) : 0;
        connections += count;
        if (count == 0) table->remove(); // its name; workers may still read it
        return count == 0;
    });
    publish();
    if (tables_.empty()) spdlog::info("all inherited connections have been taken over or have expired: their tables are gone");
    spdlog::debug("inherited: {} connections in {} tables", connections, tables_.size());
    next_ns_ = now_ns + std::max(kPeriod_ns, (steady_ns() - begin_ns) * kShareMax);
}

wire::u64 Inheritance::count(const TableMemory &table, const core::Generation &generation, wire::u64 now_ns) {
    const auto now_s = static_cast<wire::u32>(now_ns / 1'000'000'000) & 0xffffff;
    if (table.header().kind == TableKind::kWide)
        return core::InheritedTable<core::WideKey>(table.bytes()).count_live(generation, now_s, live_);
    return core::InheritedTable<core::CompactKey>(table.bytes()).count_live(generation, now_s, live_);
}

void Inheritance::publish() {
    if (tables_.empty()) return store_.publish(std::unique_ptr<const InheritedSet>());
    auto set = std::make_unique<InheritedSet>();
    set->tables.serial = ++serial_;
    for (const auto &table : tables_) {
        set->memory.push_back(table);
        if (table->header().kind == TableKind::kWide) set->tables.wide.emplace_back(table->bytes());
        else set->tables.compact.emplace_back(table->bytes());
    }
    for (wire::u32 slot = 0; slot < live_.size(); ++slot)
        if (live_[slot] != 0) set->tables.live.push_back({static_cast<wire::u16>(slot), live_[slot]});
    store_.publish(std::unique_ptr<const InheritedSet>(std::move(set)));
}

} // namespace fairlead::io
