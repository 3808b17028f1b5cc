// SPDX-License-Identifier: Apache-2.0
/// A small snapshot for tests: one service, as segments, and memory files to send them in.
#pragma once

#include "controlplane/publish/snapshot_builder.hpp"
#include "dataplane/io/descriptor.hpp"
#include "dataplane/wire/packet.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace fairlead::io::test {

inline constexpr int kAllSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

/// A memory file of these bytes, sealed so. Read-write, as a careless sender would send it.
inline Descriptor memory_file(std::span<const std::byte> bytes, int seals = kAllSeals) {
    Descriptor file(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
        (seals != 0 && ::fcntl(file.get(), F_ADD_SEALS, seals) != 0))
        return {};
    return file;
}

struct SnapshotSample {
    wire::u64 generation = 1;
    wire::u64 rows_id = 100;
    wire::u64 hops_id = 200;
    wire::Be32 vip = wire::Be32::from_host(0xc6336401);         // 198.51.100.1
    wire::Be32 source = wire::Be32::from_host(0x0a000001);      // 10.0.0.1
    std::vector<wire::Be32> backends = {wire::Be32::from_host(0x0a000020)};
    std::array<wire::u8, 6> mac = {2, 0, 0, 0, 0, 0xfe};
    std::size_t row_count = 251;

    [[nodiscard]] publish::ForwardingState state() const {
        publish::ForwardingState state;
        state.generation = generation;
        state.hops_segment_id = hops_id;
        state.source_address = source;
        state.gue_port = wire::kGueDefaultPort;
        state.services.push_back({.index = 0, .vip = vip, .port = 80, .protocol = wire::kIpProtocolTcp,
                                  .forwarding = wire::kForwardingGue, .rows_segment_id = rows_id, .half_open_timeout_s = 10,
                                  .established_timeout_s = 3600, .closing_timeout_s = 10, .udp_timeout_s = 60});
        for (std::size_t slot = 0; slot < backends.size(); ++slot)
            state.slots.push_back({.slot = static_cast<std::uint16_t>(slot), .address = backends[slot], .epoch = 7, .service = 0,
                                   .state = wire::kSlotUp, .mac = mac, .resolved = true});
        return state;
    }
    [[nodiscard]] publish::SegmentBytes root() const { return publish::build_root_segment(state()); }
    [[nodiscard]] publish::SegmentBytes hops() const { return publish::build_hops_segment(state()); }
    [[nodiscard]] publish::SegmentBytes rows() const {
        std::vector<std::uint16_t> rows(row_count);
        for (std::size_t row = 0; row < rows.size(); ++row) rows[row] = static_cast<std::uint16_t>(row % backends.size());
        return publish::build_rows_segment(rows_id, rows);
    }
};

} // namespace fairlead::io::test
