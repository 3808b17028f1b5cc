// SPDX-License-Identifier: Apache-2.0
/// Captures (pcap files) and frames for the tests of the whole program.
#pragma once

#include "dataplane/wire/packet.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <vector>

namespace fairlead::io::test {

using FrameBytes = std::vector<std::byte>;

/// A TCP packet of a client to VIP port 80; the IPv4 checksum is left 0, which the dataplane does not look at.
inline FrameBytes tcp_frame(wire::Be32 vip, wire::u32 client, wire::u8 flags, std::size_t payload_size = 0) {
    struct [[gnu::packed]] Headers {
        wire::EthernetHeader ethernet;
        wire::Ipv4Header ip;
        wire::TcpHeader tcp;
    } headers{};
    headers.ethernet.ether_type = wire::Be16::from_host(wire::kEtherTypeIpv4);
    headers.ip.version_ihl = 0x45;
    headers.ip.total_length = wire::Be16::from_host(static_cast<wire::u16>(sizeof(wire::Ipv4Header) + sizeof(wire::TcpHeader) + payload_size));
    headers.ip.ttl = 64;
    headers.ip.protocol = wire::kIpProtocolTcp;
    headers.ip.source = wire::Be32::from_host(0x0b000000 + client);
    headers.ip.destination = vip;
    headers.tcp.source_port = wire::Be16::from_host(static_cast<wire::u16>(1024 + client % 60000));
    headers.tcp.destination_port = wire::Be16::from_host(80);
    headers.tcp.data_offset = 5 << 4;
    headers.tcp.flags = flags;
    FrameBytes frame(sizeof(headers) + payload_size, std::byte{0x5a});
    std::memcpy(frame.data(), &headers, sizeof(headers));
    return frame;
}

/// https://www.tcpdump.org/manpages/pcap-savefile.5.html
struct CaptureHeader {
    std::uint32_t magic = 0xa1b2c3d4;
    std::uint16_t major = 2, minor = 4;
    std::uint32_t zone = 0, accuracy = 0, snap_length = 65535, link_type = 1;
};
struct CaptureRecord {
    std::uint32_t seconds = 0, microseconds = 0, captured = 0, length = 0;
};

inline void write_capture(const std::filesystem::path &path, std::span<const FrameBytes> frames) {
    std::ofstream file(path, std::ios::binary);
    const CaptureHeader header;
    file.write(reinterpret_cast<const char *>(&header), sizeof(header));
    for (const auto &frame : frames) {
        const auto size = static_cast<std::uint32_t>(frame.size());
        const CaptureRecord record{.captured = size, .length = size};
        file.write(reinterpret_cast<const char *>(&record), sizeof(record));
        file.write(reinterpret_cast<const char *>(frame.data()), static_cast<std::streamsize>(frame.size()));
    }
}

inline std::vector<FrameBytes> read_capture(const std::filesystem::path &path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<FrameBytes> frames;
    CaptureHeader header;
    file.read(reinterpret_cast<char *>(&header), sizeof(header));
    for (CaptureRecord record; file.read(reinterpret_cast<char *>(&record), sizeof(record));) {
        FrameBytes frame(record.captured);
        file.read(reinterpret_cast<char *>(frame.data()), static_cast<std::streamsize>(frame.size()));
        frames.push_back(std::move(frame));
    }
    return frames;
}

} // namespace fairlead::io::test
