// SPDX-License-Identifier: Apache-2.0
// Fuzzes the snapshot validator: what it lets through must be safe to forward by.
//
// Input: segments, each a length (u32, little-endian) and so many bytes; the first is the root. The mutator seals most of what
// it makes anew (size, checksum), since no blind change would get past the checksum.
#include "tests/fuzz/byte_reader.hpp"
#include "tests/fuzz/exact_worker.hpp"
#include "tests/unit/core/snapshot_fixture.hpp"

#include <random>

extern "C" std::size_t LLVMFuzzerMutate(fairlead::wire::u8 *data, std::size_t size, std::size_t size_max);

namespace {

using namespace fairlead;
using namespace fairlead::wire;
using test::Bytes;

constexpr std::size_t kSegmentsMax = 16;

std::vector<Bytes> read_segments(const u8 *data, std::size_t size) {
    fuzz::ByteReader reader(data, size);
    std::vector<Bytes> segments;
    while (!reader.empty() && segments.size() < kSegmentsMax) {
        const u32 length = reader.take<u32>();
        const auto bytes = std::as_bytes(reader.take_bytes(length));
        segments.emplace_back(bytes.begin(), bytes.end());
    }
    return segments;
}

/// @return bytes written: whole segments only.
std::size_t write_segments(const std::vector<Bytes> &segments, u8 *data, std::size_t size_max) {
    std::size_t size = 0;
    for (const Bytes &segment : segments) {
        const u32 length = static_cast<u32>(segment.size());
        if (size + sizeof length + length > size_max) break;
        std::memcpy(data + size, &length, sizeof length);
        if (length) std::memcpy(data + size + sizeof length, segment.data(), length);
        size += sizeof length + length;
    }
    return size;
}

/// A snapshot that is accepted, to start from: two services, one with a second chance; backends up, draining and dead.
std::vector<Bytes> sound_segments() {
    auto snapshot = test::Snapshot::with_backends(3);
    snapshot.services.push_back(test::service_entry(0xc633640b, kPortAny, kIpProtocolUdp, 101, kForwardingIpip));
    snapshot.slots[2] = test::slot_entry(0x0a140021, 1);
    snapshot.slots.push_back(test::slot_entry(0x0a140022, 0, 9, kSlotDraining));
    snapshot.hops.push_back({{2, 0, 0, 0, 0, 9}, 0, 0});
    snapshot.slots.push_back(test::slot_entry(0x0a140023, 0, 10, kSlotReset));
    snapshot.hops.push_back({{2, 0, 0, 0, 0, 9}, 1, 0});
    snapshot.rows = {{0, 1, 1, 0, kNoSlot}, {2}};
    snapshot.alternates = {{1, 3, kNoSlot, 0, kNoSlot, kNoSlot, 3, 0, kNoSlot, kNoSlot, kNoSlot, kNoSlot, 0, 1, 3}};
    snapshot.render();
    return {snapshot.root_bytes, snapshot.hops_bytes, snapshot.rows_bytes[0], snapshot.rows_bytes[1]};
}

/// A UDP datagram or a TCP segment for a service: a SYN, or one of a connection that has begun elsewhere.
std::vector<u8> packet_for(Be32 vip, Be16 port, u8 protocol, u16 client_port) {
    struct Packet {
        EthernetHeader ethernet;
        Ipv4Header ip;
        TcpHeader tcp; // for UDP its first eight bytes are the UDP header
    } packet{};
    packet.ethernet.ether_type = Be16::from_host(kEtherTypeIpv4);
    packet.ip.version_ihl = 0x45;
    packet.ip.total_length = Be16::from_host(sizeof packet.ip + sizeof packet.tcp);
    packet.ip.protocol = protocol;
    packet.ip.source = Be32::from_host(0xcb007107);
    packet.ip.destination = vip;
    packet.tcp.source_port = Be16::from_host(client_port);
    packet.tcp.destination_port = port;
    if (protocol == kIpProtocolUdp) packet.tcp.sequence = Be32::from_host(sizeof(TcpHeader) << 16);
    packet.tcp.data_offset = 0x50;
    packet.tcp.flags = client_port % 2 ? kTcpSyn : kTcpAck;
    const auto *bytes = reinterpret_cast<const u8 *>(&packet);
    return {bytes, bytes + sizeof packet};
}

void forward_by(const core::Generation &generation) {
    fuzz::ExactWorker worker(generation.service_count(), generation.slot_count(), 16);
    for (u64 second : {1, 2}) // by the rows, then by the connections
        for (Be32 vip : generation.vips()) {
            std::vector<fuzz::HeapFrame> burst;
            for (u16 port : {80, 1})
                for (u8 protocol : {kIpProtocolTcp, kIpProtocolUdp})
                    for (u16 client_port = 1; client_port <= 8; ++client_port)
                        burst.emplace_back(packet_for(vip, Be16::from_host(port), protocol, client_port), core::kHeadroomNeeded);
            worker.process(&generation, burst, second * 1'000'000'000);
        }
    worker.pipeline().expire_all(generation, u64{1} << 62);
    worker.pipeline().housekeep(&generation, u64{1} << 62);
    worker.check_gauges();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8 *data, std::size_t size) {
    const auto segments = read_segments(data, size);
    if (segments.empty()) return 0;
    // Exactly as long as it says: the first byte read beyond is seen.
    std::vector<std::unique_ptr<std::byte[]>> memory;
    std::vector<core::CheckedSegment> checked;
    const auto place = [&](const Bytes &bytes) -> std::span<const std::byte> {
        memory.emplace_back(new std::byte[bytes.size()]);
        std::copy(bytes.begin(), bytes.end(), memory.back().get());
        return {memory.back().get(), bytes.size()};
    };
    for (std::size_t i = 1; i < segments.size(); ++i) {
        core::CheckedSegment segment;
        if (core::check_segment(place(segments[i]), segment).empty()) checked.push_back(std::move(segment));
    }
    const auto built = core::Generation::build(place(segments[0]), checked);
    fuzz::require((built.generation != nullptr) == built.refusal.empty(), "accepted, or refused with a reason");
    if (built.generation) forward_by(*built.generation);
    return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(u8 *data, std::size_t size, std::size_t size_max, unsigned seed) {
    std::minstd_rand random(seed);
    auto segments = read_segments(data, size);
    if (segments.empty() || random() % 64 == 0) segments = sound_segments();
    Bytes &segment = segments[random() % segments.size()];
    switch (random() % 16) {
    case 0: // as it comes: other lengths, broken checksums
        return LLVMFuzzerMutate(data, size, size_max);
    case 1: // segments change places
        std::swap(segment, segments[random() % segments.size()]);
        break;
    case 2: // one more, or one less
        if (segments.size() < kSegmentsMax && random() % 2) segments.push_back(Bytes(segment));
        else if (segments.size() > 1) segments.erase(segments.begin() + static_cast<std::ptrdiff_t>(random() % segments.size()));
        break;
    default: {
        const std::size_t grown = segment.size() + 64;
        const std::size_t before = segment.size();
        segment.resize(grown);
        segment.resize(LLVMFuzzerMutate(reinterpret_cast<u8 *>(segment.data()), before, grown));
    }
    }
    for (Bytes &each : segments)
        if (each.size() >= sizeof(SegmentHeader)) test::seal(each);
    return write_segments(segments, data, size_max);
}
