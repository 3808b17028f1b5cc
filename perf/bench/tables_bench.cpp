// SPDX-License-Identifier: Apache-2.0
//
// Row tables: from scratch, and after one backend more or less. Counters: rows of the table; what
// it moved, as a multiple of the least that could move; the digest's last 32 bits, which also
// keeps the work from being optimised away. And the row history: one change, and a restart.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <span>
#include <vector>

#include "controlplane/tables/row_history.hpp"
#include "controlplane/tables/row_table.hpp"

namespace fairlead::tables {
namespace {

constexpr Seed kSeed = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                        0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

std::vector<Member> members(std::size_t count) {
    std::vector<Member> result;
    for (std::size_t i = 0; i < count; ++i) {
        const auto number = static_cast<std::uint16_t>(i);
        result.push_back({.address = address_of(wire::Be32::from_host(0x0a140001u + number)),
                          .weight = 100,
                          .slot = number});
    }
    return result;
}

void report(benchmark::State &state, const Rows &rows, std::span<const Member> set) {
    state.counters["rows"] = static_cast<double>(rows.size());
    state.counters["digest32"] = static_cast<double>(digest_rows(rows, set) & 0xffffffff);
}

void build_from_scratch(benchmark::State &state, Algorithm algorithm) {
    const std::vector<Member> set = members(static_cast<std::size_t>(state.range(0)));
    Rows rows;
    for (auto _ : state) {
        rows = build(algorithm, set, row_count(set.size()), kSeed);
        benchmark::DoNotOptimize(rows.data());
    }
    report(state, rows, set);
}

/// Each iteration is one change: the last backend goes, or comes back.
void build_after_one_change(benchmark::State &state, Algorithm algorithm) {
    const std::vector<Member> with = members(static_cast<std::size_t>(state.range(0)));
    const auto without = std::span(with).first(with.size() - 1);
    TableBuilder builder(algorithm, kSeed);
    const Rows rows_without = builder.build(without);
    const Rows rows_with = builder.build(with);
    bool present = true;
    Rows rows;
    for (auto _ : state) {
        present = !present;
        rows = builder.build(present ? std::span(with) : without);
        benchmark::DoNotOptimize(rows.data());
    }
    std::size_t moved = 0;
    for (std::size_t row = 0; row < rows_with.size(); ++row) moved += rows_with[row] != rows_without[row];
    state.counters["moved"] = static_cast<double>(moved * with.size()) / static_cast<double>(rows_with.size());
    report(state, rows_with, with);
}

/// A service whose list is full: each set lacks another backend.
SetHistory full_list(std::span<const Member> all) {
    SetHistory list;
    for (std::size_t i = 0; i < kSetCountMax; ++i) {
        std::vector<Member> set(all.begin(), all.end());
        set.erase(set.begin() + static_cast<std::ptrdiff_t>(i * set.size() / kSetCountMax));
        list = list.with(backend_set(Algorithm::kRendezvous, row_count(all.size()), set));
    }
    return list;
}

/// Each iteration is one change beyond its table: the history moves on, and all alternates are named.
void alternates_after_one_change(benchmark::State &state) {
    const std::vector<Member> all = members(static_cast<std::size_t>(state.range(0)));
    const std::uint32_t count = row_count(all.size());
    RowHistory history = RowHistory::rebuild(full_list(all), count, kSeed);
    const auto without = std::span(all).first(all.size() - 1);
    const Rows rows[] = {build(Algorithm::kRendezvous, all, count, kSeed), build(Algorithm::kRendezvous, without, count, kSeed)};
    bool present = true;
    Alternates alternates;
    for (auto _ : state) {
        present = !present;
        const auto set = present ? std::span(all) : without;
        history = history.after(history.list().with(backend_set(Algorithm::kRendezvous, count, set)), rows[!present], set);
        alternates = history.alternates(rows[!present], set);
        benchmark::DoNotOptimize(alternates.data());
    }
    state.counters["bytes_a_row"] = static_cast<double>(history.size_bytes()) / count;
    state.counters["digest32"] = static_cast<double>(digest_rows(alternates, all) & 0xffffffff);
}

/// What a restart costs a service.
void history_from_64_sets(benchmark::State &state) {
    const std::vector<Member> all = members(static_cast<std::size_t>(state.range(0)));
    const SetHistory list = full_list(all);
    const std::uint32_t count = row_count(all.size());
    const Rows rows = build(Algorithm::kRendezvous, all, count, kSeed);
    Alternates alternates;
    for (auto _ : state) alternates = RowHistory::rebuild(list, count, kSeed).alternates(rows, all);
    state.counters["digest32"] = static_cast<double>(digest_rows(alternates, all) & 0xffffffff);
}

constexpr std::int64_t kSizes[] = {10, 100, 1000, 10000};

void sizes(benchmark::internal::Benchmark *bench) {
    for (const std::int64_t size : kSizes) bench->Arg(size);
    bench->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(build_from_scratch, rendezvous, Algorithm::kRendezvous)->Apply(sizes);
BENCHMARK_CAPTURE(build_after_one_change, rendezvous, Algorithm::kRendezvous)->Apply(sizes);
BENCHMARK_CAPTURE(build_from_scratch, maglev, Algorithm::kMaglev)->Apply(sizes);
BENCHMARK_CAPTURE(build_after_one_change, maglev, Algorithm::kMaglev)->Apply(sizes);
BENCHMARK(alternates_after_one_change)->Apply(sizes);
BENCHMARK(history_from_64_sets)->Apply(sizes);

} // namespace
} // namespace fairlead::tables

BENCHMARK_MAIN();
