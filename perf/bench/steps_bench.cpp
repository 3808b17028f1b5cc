// SPDX-License-Identifier: Apache-2.0
// Each step of the packet path by itself, in bursts, with the prefetches that the path has a stage before it. What a step works on is
// drawn at random: in cache it fits L2; out of cache it is larger than L3. Drawn numbers are read one after another.
#include "dataplane/core/connection_table.hpp"
#include "dataplane/core/encapsulate.hpp"
#include "dataplane/core/parse.hpp"
#include "dataplane/core/select.hpp"
#include "dataplane/core/service_table.hpp"

#include "perf/bench/offer.hpp"
#include "tests/unit/core/snapshot_fixture.hpp"

#include <benchmark/benchmark.h>

#include <ctime>
#include <map>

using namespace fairlead;
using namespace fairlead::bench;
using namespace fairlead::core;
using namespace fairlead::wire;

namespace {

enum class Size { kInCache, kOutOfCache };
using enum Size;

constexpr u32 kDraws[] = {1 << 10, 1 << 20}; ///< by Size
constexpr u32 kNow_s = 1;

/// What a benchmark works on is made when it is first asked for: it runs several times.
template <class Data> Data &shared(Size size) {
    static std::map<Size, Data> all;
    return all.try_emplace(size, size).first->second;
}

/// Goes round a list, a burst at a time.
template <class T> class Rounds {
  public:
    explicit Rounds(std::span<const T> all) : all_(all) {}

    std::span<const T> next() {
        const auto burst = all_.subspan(place_, kBurst);
        place_ = (place_ + kBurst) % all_.size();
        return burst;
    }

  private:
    std::span<const T> all_;
    std::size_t place_ = 0;
};

/// @return as many numbers below `end` as there are draws of this size.
std::vector<u32> draw(Size size, u32 end) {
    std::mt19937 random(1);
    std::vector<u32> numbers(kDraws[static_cast<unsigned>(size)]);
    for (u32 &number : numbers) number = reduce(static_cast<u32>(random()), end);
    return numbers;
}

void report(benchmark::State &state, std::int64_t packets, u64 result) {
    state.SetItemsProcessed(packets);
    state.counters["ns_per_packet"] = benchmark::Counter(static_cast<double>(packets) * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    state.counters["result"] = static_cast<double>(result % 1000);
}

void report(benchmark::State &state, u64 result) { report(state, state.iterations() * kBurst, result); }

const FlowHashKey kKey(std::array<u8, 16>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});

// Frames.

struct Frames {
    explicit Frames(Size size) : count(size == kInCache ? 64 : 1 << 20), buffers(count), draws(draw(size, count)) {
        for (u32 i = 0; i < count; ++i) write_frame(buffers.data(i), i);
    }

    u32 count;
    Buffers buffers;
    std::vector<u32> draws;
};

void parse(benchmark::State &state, Size size) {
    auto &frames = shared<Frames>(size);
    Rounds<u32> rounds(frames.draws);
    std::array<Frame, kBurst> burst;
    std::array<Packet, kBurst> packets;
    u64 result = 0;
    for (auto _ : state) {
        const auto drawn = rounds.next();
        for (unsigned i = 0; i < kBurst; ++i) {
            burst[i] = frame_at(frames.buffers.data(drawn[i]));
            __builtin_prefetch(burst[i].data);
        }
        for (unsigned i = 0; i < kBurst; ++i) result += static_cast<u64>(Ipv4::parse(burst[i].data, burst[i].length, packets[i])) + packets[i].flow.source.raw;
        benchmark::DoNotOptimize(packets.data());
        benchmark::ClobberMemory();
    }
    report(state, result);
}

// Flow hash.

struct Flows {
    explicit Flows(Size size) : blocks(size == kInCache ? 1 << 10 : 1 << 23), draws(draw(size, static_cast<u32>(blocks.size()))) {
        for (u32 i = 0; i < blocks.size(); ++i) blocks[i] = flow_block(i);
    }

    std::vector<FlowBlock> blocks;
    std::vector<u32> draws;
};

void hash(benchmark::State &state, Size size) {
    auto &flows = shared<Flows>(size);
    Rounds<u32> rounds(flows.draws);
    std::array<FlowHash, kBurst> hashes;
    u64 result = 0;
    for (auto _ : state) {
        const auto drawn = rounds.next();
        for (unsigned i = 0; i < kBurst; ++i) hashes[i] = flow_hash(kKey, flows.blocks[drawn[i]]);
        benchmark::DoNotOptimize(hashes.data());
        benchmark::ClobberMemory();
        result += hashes[0].row;
    }
    report(state, result);
}

// Service lookup. The largest table is 512 KB: more than L3 takes many generations' tables.

struct Services {
    explicit Services(Size size) : count(size == kInCache ? 1 : kServiceCapacity), tables(size == kInCache ? 1 : 128), draws(draw(size, count * static_cast<u32>(tables.size()))) {
        std::vector<ServiceEntry> entries;
        for (u32 i = 0; i < count; ++i) entries.push_back(test::service_entry(kVip + i, kPort, kIpProtocolTcp, 100));
        for (auto &table : tables)
            if (!table.build(entries)) std::abort();
    }

    u32 count;
    std::vector<ServiceTable> tables;
    std::vector<u32> draws;
};

void service_lookup(benchmark::State &state, Size size) {
    auto &services = shared<Services>(size);
    Rounds<u32> rounds(services.draws);
    u64 result = 0;
    for (auto _ : state)
        for (const u32 drawn : rounds.next())
            result += services.tables[drawn / services.count].find(ServiceTable::key(Be32::from_host(kVip + drawn % services.count), Be16::from_host(kPort), kIpProtocolTcp)).index;
    report(state, result);
}

// Connections: six places of ten are taken.

struct Query {
    FlowHash hash;
    CompactKey key;

    static Query of(u32 flow) {
        const FlowBlock block = flow_block(flow);
        return {flow_hash(kKey, block), CompactKey::of(block, 0)};
    }
};

struct Connections {
    explicit Connections(Size size)
        : entries(size == kInCache ? 1 << 12 : 1 << 24), flows(size == kInCache ? 2440 : 10'000'000), memory(connection_memory_bytes<CompactKey>(entries)),
          table(memory.span(), slots.data(), services.data()) {
        for (u32 flow = 0; flow < flows; ++flow)
            if (!insert(Query::of(flow))) std::abort();
        for (const u32 flow : draw(size, flows)) {
            known.push_back(Query::of(flow));
            unknown.push_back(Query::of(flows + static_cast<u32>(unknown.size())));
        }
    }

    bool insert(const Query &query) {
        const Connection connection{static_cast<u16>(query.hash.spare % 100), 7, ConnectionState::kEstablished, kNow_s};
        return table.insert(*built.generation, query.hash, query.key, connection, kNow_s);
    }

    u32 entries, flows;
    test::Snapshot snapshot = test::Snapshot::with_backends(100);
    Generation::Built built = snapshot.build();
    std::vector<SlotCounters> slots = std::vector<SlotCounters>(kSlotCapacity + 1);
    std::vector<ServiceCounters> services = std::vector<ServiceCounters>(kServiceCapacity);
    HugeMemory memory;
    ConnectionTable<CompactKey> table;
    std::vector<Query> known, unknown; ///< in the order of draws; the unknown ones are all different
};

/// As the path does it: first lines, and a stage later second lines where they are needed.
void look_up(benchmark::State &state, ConnectionTable<CompactKey> &table, std::span<const Query> queries) {
    Rounds<Query> rounds(queries);
    std::array<const Query *, kBurst> pending;
    u64 result = 0;
    for (auto _ : state) {
        const auto burst = rounds.next();
        for (const Query &query : burst) table.prefetch(table.first(query.hash));
        unsigned pending_count = 0;
        for (const Query &query : burst) {
            if (const u64 *value = table.find_in(table.first(query.hash), query.key)) {
                result += *value;
                continue;
            }
            pending[pending_count++] = &query;
            table.prefetch_second(table.first(query.hash), query.key);
        }
        for (unsigned p = 0; p < pending_count; ++p) {
            const u64 *value = table.find(pending[p]->hash, pending[p]->key);
            result += value ? *value : 1;
        }
    }
    report(state, result);
}

void connection_hit(benchmark::State &state, Size size) {
    auto &connections = shared<Connections>(size);
    look_up(state, connections.table, connections.known);
}

void connection_miss(benchmark::State &state, Size size) {
    auto &connections = shared<Connections>(size);
    look_up(state, connections.table, connections.unknown);
}

/// As Google Benchmark's own: what others do on this CPU does not count.
double cpu_time_s() {
    timespec time;
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// An iteration is all unknown flows once; afterwards they go, unmeasured. From 60 % to 85 % of the table, or a little above 60.
void connection_insert(benchmark::State &state, Size size) {
    auto &connections = shared<Connections>(size);
    auto &table = connections.table;
    Rounds<Query> rounds(connections.unknown);
    u64 result = 0;
    for (auto _ : state) {
        const double start_s = cpu_time_s();
        for (std::size_t i = 0; i < connections.unknown.size(); i += kBurst) {
            const auto burst = rounds.next();
            for (const Query &query : burst) table.prefetch(table.first(query.hash));
            for (const Query &query : burst) table.prefetch_second(table.first(query.hash), query.key);
            for (const Query &query : burst) result += connections.insert(query);
        }
        state.SetIterationTime(cpu_time_s() - start_s);
        for (const Query &query : connections.unknown) table.erase(query.hash, query.key);
    }
    state.counters["displaced"] = static_cast<double>(table.take_events().displaced) / static_cast<double>(result);
    report(state, state.iterations() * static_cast<std::int64_t>(connections.unknown.size()), result);
}

// Rows: of one service, or of a thousand with 65,537 rows each.

struct RowQuery {
    u16 service;
    FlowHash hash;
};

struct ServiceRows {
    explicit ServiceRows(Size size) {
        if (size == kOutOfCache) make_thousand();
        snapshot.render();
        built = snapshot.build();
        if (!built.generation) std::abort();
        snapshot.rows.clear();
        u32 flow = 0;
        for (const u32 drawn : draw(size, static_cast<u32>(snapshot.services.size())))
            queries.push_back({static_cast<u16>(drawn), flow_hash(kKey, flow_block(flow++))});
    }

    void make_thousand() {
        snapshot = {};
        for (u16 service = 0; service < 1000; ++service) {
            snapshot.services.push_back(test::service_entry(kVip + service, kPort, kIpProtocolTcp, 100u + service));
            auto &rows = snapshot.rows.emplace_back(65'537);
            for (u16 i = 0; i < 10; ++i) {
                snapshot.slots.push_back(test::slot_entry(0x0a140001 + service * 10u + i, service));
                snapshot.hops.push_back({{2, 0, 0, 0, 0, 1}, 1, 0});
            }
            for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<u16>(service * 10 + i % 10);
        }
    }

    test::Snapshot snapshot = test::Snapshot::with_backends(100);
    Generation::Built built;
    std::vector<RowQuery> queries;
};

void row_lookup(benchmark::State &state, Size size) {
    auto &rows = shared<ServiceRows>(size);
    const Generation &generation = *rows.built.generation;
    Rounds<RowQuery> rounds(rows.queries);
    u64 result = 0;
    for (auto _ : state) {
        const auto burst = rounds.next();
        for (const auto &[index, hash] : burst) {
            const Service &service = generation.service(index);
            __builtin_prefetch(&service.rows[reduce(hash.row, service.row_count)]);
        }
        for (const auto &[index, hash] : burst) result += select_by_row(generation.service(index), hash);
    }
    report(state, result);
}

// Encapsulation: 100 backends, or 60,000. The path has read a frame's headers by then, but not what stands before them.

template <u8 forwarding> struct Backends {
    explicit Backends(Size size) : snapshot(test::Snapshot::with_backends(size == kInCache ? 100 : 60'000)) {
        snapshot.services[0].forwarding = forwarding;
        snapshot.render();
        built = snapshot.build();
        slots = draw(size, static_cast<u32>(snapshot.slots.size()));
        std::ranges::reverse(slots); // else a frame would always have the same backend
    }

    test::Snapshot snapshot;
    Generation::Built built;
    std::vector<u32> slots;
};

template <u8 forwarding> void encapsulate_all(benchmark::State &state, Size size, const auto &encapsulate_one) {
    auto &frames = shared<Frames>(size);
    auto &backends = shared<Backends<forwarding>>(size);
    const Generation &generation = *backends.built.generation;
    Rounds<u32> frame_rounds(frames.draws), slot_rounds(backends.slots);
    std::array<Frame, kBurst> burst;
    u64 result = 0;
    for (auto _ : state) {
        const auto drawn = frame_rounds.next(), slots = slot_rounds.next();
        for (unsigned i = 0; i < kBurst; ++i) {
            burst[i] = frame_at(frames.buffers.data(drawn[i]));
            __builtin_prefetch(burst[i].data);
            __builtin_prefetch(&generation.forwarding(slots[i]));
        }
        for (unsigned i = 0; i < kBurst; ++i) encapsulate_one(burst[i].data + sizeof(EthernetHeader), generation.forwarding(slots[i]), drawn[i]);
        benchmark::ClobberMemory();
        const u8 *inner = burst[0].data + sizeof(EthernetHeader);
        result += inner[-12] + inner[-1]; // of the source port with GUE; of the backend with IPIP
    }
    report(state, result);
}

constexpr u16 kIpLength = 46;
const OuterSource kSource(MacAddress{2, 0, 0, 0, 0, 3});

void encapsulate_gue(benchmark::State &state, Size size) {
    encapsulate_all<kForwardingGue>(state, size, [](u8 *inner, const Forwarding &to, u32 entropy) { encapsulate(inner, to, kIpLength, entropy, kSource); });
}

void encapsulate_gue_hops(benchmark::State &state, Size size) {
    const Be32 hops[] = {Be32::from_host(0x0a140001), Be32::from_host(0x0a140002), Be32::from_host(0x0a140003)};
    encapsulate_all<kForwardingGue>(state, size, [&](u8 *inner, const Forwarding &to, u32 entropy) { encapsulate_with_hops(inner, to, kIpLength, entropy, kSource, hops); });
}

void encapsulate_ipip(benchmark::State &state, Size size) {
    encapsulate_all<kForwardingIpip>(state, size, [](u8 *inner, const Forwarding &to, u32 entropy) { encapsulate(inner, to, kIpLength, entropy, kSource); });
}

#define STEP(name)                                                                                                                         \
    BENCHMARK_CAPTURE(name, in_cache, kInCache);                                                                                           \
    BENCHMARK_CAPTURE(name, out_of_cache, kOutOfCache)

STEP(parse);
STEP(hash);
STEP(service_lookup);
STEP(connection_hit);
STEP(connection_miss);
BENCHMARK_CAPTURE(connection_insert, in_cache, kInCache)->UseManualTime();
BENCHMARK_CAPTURE(connection_insert, out_of_cache, kOutOfCache)->UseManualTime()->Unit(benchmark::kMillisecond);
STEP(row_lookup);
STEP(encapsulate_gue);
STEP(encapsulate_gue_hops);
STEP(encapsulate_ipip);

} // namespace

BENCHMARK_MAIN();
