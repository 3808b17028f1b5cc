// SPDX-License-Identifier: Apache-2.0
#include "dataplane/core/reset.hpp"

#include "dataplane/core/checksum.hpp"
#include "dataplane/wire/packet.h"

#include <cstring>

namespace fairlead::core {

using namespace wire;

namespace {

constexpr u8 kTtl = 64;
constexpr u16 kLength = sizeof(Ipv4Header) + sizeof(TcpHeader);

struct PseudoHeader { // RFC 9293, 3.1
    Be32 source, destination;
    u8 zero, protocol;
    Be16 length;
} FAIRLEAD_PACKED;

/// Sequence numbers that the segment takes: its data, and one each for SYN and FIN.
u32 segment_length(const Packet &packet, u32 header_length) noexcept {
    return packet.ip_length - header_length + ((packet.tcp_flags & kTcpSyn) != 0) + ((packet.tcp_flags & kTcpFin) != 0);
}

} // namespace

u32 answer_with_reset(u8 *frame, const Packet &packet, const MacAddress &source_mac) noexcept {
    auto *ethernet = reinterpret_cast<EthernetHeader *>(frame);
    auto *ip = reinterpret_cast<Ipv4Header *>(ethernet + 1);
    const u32 ip_header_length = (ip->version_ihl & 0x0f) * 4u;
    TcpHeader segment;
    std::memcpy(&segment, frame + sizeof *ethernet + ip_header_length, sizeof segment);

    TcpHeader reset{};
    reset.source_port = packet.flow.destination_port;
    reset.destination_port = packet.flow.source_port;
    reset.data_offset = sizeof reset / 4 << 4;
    reset.flags = kTcpRst;
    if (segment.flags & kTcpAck) {
        reset.sequence = segment.acknowledgement;
    } else {
        const u32 length = segment_length(packet, ip_header_length + (segment.data_offset >> 4) * 4u);
        reset.flags = kTcpRst | kTcpAck;
        reset.acknowledgement = Be32::from_host(segment.sequence.host() + length);
    }
    const PseudoHeader pseudo{packet.flow.destination, packet.flow.source, 0, kIpProtocolTcp, Be16::from_host(sizeof reset)};
    reset.checksum = checksum(word_sum(pseudo) + word_sum(reset));

    Ipv4Header header{};
    header.version_ihl = 0x45;
    header.total_length = Be16::from_host(kLength);
    header.fragment = Be16::from_host(kIpv4DontFragment);
    header.ttl = kTtl;
    header.protocol = kIpProtocolTcp;
    header.source = packet.flow.destination;
    header.destination = packet.flow.source;
    header.checksum = checksum(word_sum(header));

    std::memcpy(ethernet->destination, ethernet->source, sizeof ethernet->destination);
    std::memcpy(ethernet->source, source_mac.data(), source_mac.size());
    std::memcpy(ip, &header, sizeof header);
    std::memcpy(ip + 1, &reset, sizeof reset);
    return sizeof *ethernet + kLength;
}

} // namespace fairlead::core
