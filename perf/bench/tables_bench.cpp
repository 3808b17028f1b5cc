// SPDX-License-Identifier: Apache-2.0
//
// Row tables: from scratch, and after one backend more or less. Counters: rows of the table; what
// it moved, as a multiple of the least that could move; the digest's last 32 bits, which also
// keeps the work from being optimised away.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <span>
#include <vector>

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

constexpr std::int64_t kSizes[] = {10, 100, 1000, 10000};

void sizes(benchmark::internal::Benchmark *bench) {
    for (const std::int64_t size : kSizes) bench->Arg(size);
    bench->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(build_from_scratch, rendezvous, Algorithm::kRendezvous)->Apply(sizes);
BENCHMARK_CAPTURE(build_after_one_change, rendezvous, Algorithm::kRendezvous)->Apply(sizes);
BENCHMARK_CAPTURE(build_from_scratch, maglev, Algorithm::kMaglev)->Apply(sizes);
BENCHMARK_CAPTURE(build_after_one_change, maglev, Algorithm::kMaglev)->Apply(sizes);

} // namespace
} // namespace fairlead::tables

BENCHMARK_MAIN();
