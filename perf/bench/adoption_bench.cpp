// SPDX-License-Identifier: Apache-2.0
// What the dataplane does with a snapshot before its packets follow it: check the segments, build the generation. Arguments: services,
// and backends of all of them together. A service has the rows that the control plane would give it: 65,537, or 1,000,003 from 10,000 backends on.
#include "perf/bench/offer.hpp"
#include "tests/unit/core/snapshot_fixture.hpp"

#include <benchmark/benchmark.h>

using namespace fairlead;
using namespace fairlead::bench;
using namespace fairlead::core;
using namespace fairlead::wire;

namespace {

test::Snapshot snapshot_of(u32 services, u32 backends) {
    test::Snapshot snapshot;
    const u32 each = backends / services;
    for (u32 service = 0; service < services; ++service) {
        snapshot.services.push_back(test::service_entry(kVip + service, kPort, kIpProtocolTcp, 100 + service));
        for (u32 i = 0; i < each; ++i) {
            snapshot.slots.push_back(test::slot_entry(0x0a140001 + service * each + i, static_cast<u16>(service)));
            snapshot.hops.push_back({{2, 0, 0, 0, 0, 1}, 1, 0});
        }
        auto &rows = snapshot.rows.emplace_back(each < 10'000 ? 65'537 : 1'000'003);
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<u16>(service * each + i % each);
    }
    snapshot.render();
    snapshot.rows.clear();
    return snapshot;
}

CheckedSegment checked(std::span<const std::byte> bytes) {
    CheckedSegment segment;
    if (!check_segment(bytes, segment).empty()) std::abort();
    return segment;
}

/// The hops segment, then the rows of each service.
std::vector<CheckedSegment> check_all(const test::Snapshot &snapshot) {
    std::vector<CheckedSegment> segments{checked(snapshot.hops_bytes)};
    for (const auto &rows : snapshot.rows_bytes) segments.push_back(checked(rows));
    return segments;
}

/// @return of the generation, so that it must be built.
u64 build(const test::Snapshot &snapshot, std::span<const CheckedSegment> segments) {
    const auto built = Generation::build(snapshot.root_bytes, segments);
    if (!built.generation) std::abort();
    return built.generation->forwarding(built.generation->slot_count() - 1).checksum + built.generation->service(0).row_count;
}

void report(benchmark::State &state, const test::Snapshot &snapshot, u64 result) {
    std::size_t bytes = snapshot.root_bytes.size() + snapshot.hops_bytes.size();
    for (const auto &rows : snapshot.rows_bytes) bytes += rows.size();
    state.counters["snapshot_bytes"] = static_cast<double>(bytes);
    state.counters["result"] = static_cast<double>(result % 1000);
}

/// The first snapshot, or one in which everything is new.
void adopt_all(benchmark::State &state) {
    const auto snapshot = snapshot_of(static_cast<u32>(state.range(0)), static_cast<u32>(state.range(1)));
    u64 result = 0;
    for (auto _ : state) result += build(snapshot, check_all(snapshot));
    report(state, snapshot, result);
}

/// One service's rows are new; the other segments have been checked before.
void adopt_change(benchmark::State &state) {
    const auto snapshot = snapshot_of(static_cast<u32>(state.range(0)), static_cast<u32>(state.range(1)));
    auto segments = check_all(snapshot);
    u64 result = 0;
    for (auto _ : state) {
        segments.back() = checked(snapshot.rows_bytes.back());
        result += build(snapshot, segments);
    }
    report(state, snapshot, result);
}

void sizes(benchmark::internal::Benchmark *bench) {
    for (const auto &[services, backends] : {std::pair{1, 100}, {1, 10'000}, {1000, 1000}, {1000, 10'000}}) bench->Args({services, backends});
    bench->ArgNames({"services", "backends"})->Unit(benchmark::kMicrosecond);
}

BENCHMARK(adopt_all)->Apply(sizes);
BENCHMARK(adopt_change)->Apply(sizes);

} // namespace

BENCHMARK_MAIN();
