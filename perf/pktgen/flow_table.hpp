// SPDX-License-Identifier: Apache-2.0
/// The flows: which there are, who their clients are, and what became of their packets.
///
/// A flow is a number, counted up as flows open; the last `flow_count` of them are alive. When one more opens, the oldest
/// ends without a word, as a client does that goes away. Its record stays for a while, so that packets on their way are
/// still counted as its own; it is given to the flow that is `record_count` later.
#pragma once

#include "dataplane/io/result.hpp"
#include "perf/pktgen/frame_template.hpp"
#include "perf/pktgen/stamp.hpp"

#include <cstddef>
#include <vector>

namespace fairlead::pktgen {

/// The clients' addresses: all hosts of an IPv4 network.
struct SourceNetwork {
    wire::u32 address; ///< of the network
    unsigned prefix_length;

    [[nodiscard]] wire::u32 host_count() const noexcept;
    [[nodiscard]] wire::u32 first_host() const noexcept { return address + (prefix_length < 31 ? 1 : 0); }
};

inline constexpr wire::u32 kClientPortMin = 1024;
inline constexpr wire::u32 kClientPortCount = 65536 - kClientPortMin;

/// One cache line: a packet touches one, there and back.
struct alignas(64) FlowRecord {
    wire::u32 id = 0;
    wire::u32 next_sequence = 0; ///< of its next packet; 0: it has not opened
    wire::u32 sent = 0;          ///< within the trial, as the other counts
    wire::u32 returned = 0;      ///< without duplicates
    wire::u32 duplicates = 0;
    wire::u32 reordered = 0;     ///< came after a later one
    wire::u32 highest = 0;       ///< sequence that has returned
    bool has_returned = false;
    bool has_moved = false;
    wire::u64 seen = 0;          ///< bit i: highest - i has returned
    wire::u64 backend = 0;       ///< where its last packet went; 0: unknown
};
static_assert(sizeof(FlowRecord) == 64);

/// A backend as a number: its IPv4 address, or its MAC address and kIsMac.
inline constexpr wire::u64 kIsMac = wire::u64{1} << 63;

enum class Return : wire::u8 {
    kFirst,
    kAgain,   ///< a duplicate
    kUnknown, ///< no flow of ours, or one that has ended long since
};

struct FlowCounts {
    wire::u64 flows = 0; ///< that sent something
    wire::u64 with_loss = 0;
    wire::u64 moved = 0;
    wire::u64 returned = 0;
    wire::u64 duplicates = 0;
    wire::u64 reordered = 0;
};

class FlowTable {
  public:
    /// @param flow_count that are alive at once.
    /// @param ended_count whose packets may still be on their way.
    FlowTable(unsigned flow_count, std::size_t ended_count, SourceNetwork network, wire::u32 vip);

    /// The same where memory may be short: the error says what the records need and what there is.
    /// @param bytes_available that this machine has to give.
    [[nodiscard]] static io::Result<FlowTable> make(unsigned flow_count, std::size_t ended_count, SourceNetwork network, wire::u32 vip,
                                                    std::size_t bytes_available);

    /// Flows that may open before one has to end.
    [[nodiscard]] wire::u32 room() const noexcept { return flow_count_ - alive_; }

    /// Opens one more flow; the oldest ends if there are enough.
    wire::u32 open() noexcept;

    /// One of those that are alive. @param random 32 random bits.
    [[nodiscard]] wire::u32 pick(wire::u32 random) const noexcept {
        return next_id_ - alive_ + static_cast<wire::u32>((wire::u64{random} * alive_) >> 32);
    }

    [[nodiscard]] Client client(wire::u32 id) const noexcept {
        return {.address = network_.first_host() + id % host_count_,
                .port = static_cast<wire::u16>(kClientPortMin + id / host_count_ % kClientPortCount)};
    }

    [[nodiscard]] FlowRecord &record(wire::u32 id) noexcept { return records_[id & mask_]; }

    /// Counts what came back.
    Return take_back(const Returned &returned) noexcept;

    /// All counts from zero; sequences and backends stay.
    void start_trial() noexcept;
    [[nodiscard]] FlowCounts counts() const noexcept;

    [[nodiscard]] const std::vector<FlowRecord> &records() const noexcept { return records_; }

  private:
    static void add(FlowCounts &counts, const FlowRecord &record) noexcept;
    void note_backend(FlowRecord &record, const Destination &destination) const noexcept;

    wire::u32 flow_count_;
    SourceNetwork network_;
    wire::u32 host_count_;
    wire::u32 vip_;
    std::vector<FlowRecord> records_; ///< of a power of two
    wire::u32 mask_;
    wire::u32 next_id_ = 0;
    wire::u32 alive_ = 0;
    FlowCounts ended_; ///< of this trial, whose records have been given away
};

} // namespace fairlead::pktgen
