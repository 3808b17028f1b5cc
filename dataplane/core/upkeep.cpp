// SPDX-License-Identifier: Apache-2.0
// What a worker's pipeline does with its connection tables between bursts.
#include "dataplane/core/pipeline.hpp"

namespace fairlead::core {

using namespace wire;

namespace {

constexpr u64 kSweepPeriodNs = 4'000'000'000; ///< in which the whole of a table is looked through, if kSweepLinesMax allows
constexpr u64 kSweepLinesMax = 512;         ///< per housekeeping call and table: some 5 us
constexpr std::size_t kClearLinesMax = 1024; ///< per call and table: some 20 us

} // namespace

void Pipeline::housekeep(const Generation *generation, u64 now_ns) noexcept {
    if (generation) {
        const u64 elapsed_ns = std::min(now_ns - housekept_ns_, kSweepPeriodNs);
        const auto sweep = [&](auto &table) noexcept {
            table.sweep(*generation, std::min(1 + table.line_count() * elapsed_ns / kSweepPeriodNs, kSweepLinesMax), seconds(now_ns));
        };
        sweep(connections_);
        sweep(wide_connections_);
        housekept_ns_ = now_ns;
    }
    WorkerCounters &worker = counters_.worker;
    for (TableEvents events : {connections_.take_events(), wide_connections_.take_events()}) {
        add(worker.connections_expired, events.expired);
        add(worker.connections_evicted, events.evicted);
        add(worker.connections_displaced, events.displaced);
    }
    const u64 inherited = inherited_gauge_ ? inherited_gauge_->total() : 0;
    set(worker.connections, connections_.size() + wide_connections_.size() + inherited);
    if (generation) set(worker.generation, generation->number());
}

void Pipeline::expire_all(const Generation &generation, u64 now_ns) noexcept {
    connections_.sweep(generation, connections_.line_count(), seconds(now_ns));
    wide_connections_.sweep(generation, wide_connections_.line_count(), seconds(now_ns));
}

void Pipeline::forget() noexcept {
    connections_.clear();
    wide_connections_.clear();
}

TableAdoption Pipeline::adopt() noexcept {
    TableAdoption sum;
    for (const TableAdoption &part : {connections_.adopt(), wide_connections_.adopt()}) {
        sum.entries += part.entries;
        sum.duplicates += part.duplicates;
        sum.unsound += part.unsound;
    }
    set(counters_.worker.connections_adopted, sum.entries);
    return sum;
}

void Pipeline::start_forgetting() noexcept {
    connections_.start_clearing();
    wide_connections_.start_clearing();
}

bool Pipeline::forget_next() noexcept {
    const bool more = connections_.clear_next(kClearLinesMax);
    return wide_connections_.clear_next(kClearLinesMax) || more;
}

} // namespace fairlead::core
