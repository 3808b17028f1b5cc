// SPDX-License-Identifier: Apache-2.0
#include "perf/pktgen/flow_table.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <bit>
#include <new>

namespace fairlead::pktgen {

using namespace wire;

namespace {

constexpr u32 kSeenWindow = 64; // of FlowRecord::seen

/// Counts one packet of a flow by its sequence: RFC 4303, section 3.4.3, has such a window against replays.
Return count_sequence(FlowRecord &record, u32 sequence) noexcept {
    if (!record.has_returned) {
        record.has_returned = true;
        record.highest = sequence;
        record.seen = 1;
        ++record.returned;
        return Return::kFirst;
    }
    if (sequence > record.highest) {
        const u32 step = sequence - record.highest;
        record.seen = step < kSeenWindow ? record.seen << step | 1 : 1;
        record.highest = sequence;
        ++record.returned;
        return Return::kFirst;
    }
    const u32 back = record.highest - sequence;
    const u64 bit = back < kSeenWindow ? u64{1} << back : 0; // further back nobody knows: it counts as late, not as twice
    if ((record.seen & bit) != 0) {
        ++record.duplicates;
        return Return::kAgain;
    }
    record.seen |= bit;
    ++record.returned;
    ++record.reordered;
    return Return::kFirst;
}

/// Two flows that are `record_count` apart share a record: a power of two, for a mask.
std::size_t record_count(unsigned flow_count, std::size_t ended_count) { return std::bit_ceil(flow_count + ended_count); }

constexpr std::size_t kMegabyte = 1U << 20;

/// Why the kernel gave no memory though the machine has it.
std::string name_memory_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        return fmt::format("this process may have {} MB in all (ulimit -v)", limit.rlim_cur / kMegabyte);
    return "the kernel commits itself to no more (vm.overcommit_memory)";
}

} // namespace

u32 SourceNetwork::host_count() const noexcept {
    const u64 addresses = u64{1} << (32 - prefix_length);
    return static_cast<u32>(prefix_length < 31 ? addresses - 2 : addresses);
}

FlowTable::FlowTable(unsigned flow_count, std::size_t ended_count, SourceNetwork network, u32 vip)
    : flow_count_(flow_count), network_(network), host_count_(network.host_count()), vip_(vip),
      records_(record_count(flow_count, ended_count)), mask_(static_cast<u32>(records_.size() - 1)) {}

io::Result<FlowTable> FlowTable::make(unsigned flow_count, std::size_t ended_count, SourceNetwork network, u32 vip, std::size_t bytes_available) {
    const std::size_t needed = record_count(flow_count, ended_count) * sizeof(FlowRecord);
    const auto refuse = [&](const std::string &have) {
        return std::unexpected(fmt::format("--flows {} needs {} MB of memory, {}; fewer --flows", flow_count,
                                           (needed + kMegabyte - 1) / kMegabyte, have));
    };
    if (needed > bytes_available) return refuse(fmt::format("{} MB are available", bytes_available / kMegabyte));
    try {
        return FlowTable(flow_count, ended_count, network, vip);
    } catch (const std::bad_alloc &) {
        return refuse(name_memory_limit());
    }
}

u32 FlowTable::open() noexcept {
    FlowRecord &record = this->record(next_id_);
    add(ended_, record);
    record = {.id = next_id_};
    if (alive_ < flow_count_) ++alive_;
    return next_id_++;
}

Return FlowTable::take_back(const Returned &returned) noexcept {
    FlowRecord &record = this->record(returned.stamp.flow);
    if (record.id != returned.stamp.flow || returned.stamp.sequence >= record.next_sequence) return Return::kUnknown;
    note_backend(record, returned.destination);
    return count_sequence(record, returned.stamp.sequence);
}

void FlowTable::note_backend(FlowRecord &record, const Destination &destination) const noexcept {
    // A balancer that rewrites MAC addresses leaves the VIP as it is.
    const u64 backend = destination.address == vip_ ? kIsMac | destination.mac : destination.address;
    if (backend == record.backend) return;
    if (destination.address == client(record.id).address) return; // a reply: it does not say who sent it
    if (record.backend != 0) record.has_moved = true;
    record.backend = backend;
}

void FlowTable::start_trial() noexcept {
    ended_ = {};
    for (auto &record : records_) {
        record.sent = record.returned = record.duplicates = record.reordered = 0;
        record.has_moved = false;
    }
}

void FlowTable::add(FlowCounts &counts, const FlowRecord &record) noexcept {
    if (record.sent == 0) return;
    ++counts.flows;
    counts.with_loss += record.returned < record.sent;
    counts.moved += record.has_moved;
    counts.returned += record.returned;
    counts.duplicates += record.duplicates;
    counts.reordered += record.reordered;
}

FlowCounts FlowTable::counts() const noexcept {
    FlowCounts sum = ended_;
    for (const auto &record : records_) add(sum, record);
    return sum;
}

} // namespace fairlead::pktgen
