// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bpf/frames.hpp"

#include <arpa/inet.h>

#include <cstring>
#include <stdexcept>
#include <string>

namespace fairlead::bpf::test {

namespace {

Bytes join(Bytes head, const Bytes &tail) {
    head.insert(head.end(), tail.begin(), tail.end());
    return head;
}

} // namespace

wire::Be32 address(std::string_view dotted) {
    wire::Be32 value{};
    if (::inet_pton(AF_INET, std::string(dotted).c_str(), &value) != 1) throw std::invalid_argument(std::string(dotted));
    return value;
}

Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + 1);
    return bytes;
}

std::uint16_t read16(std::span<const std::uint8_t> bytes, std::size_t offset) {
    return static_cast<std::uint16_t>(bytes[offset] << 8 | bytes[offset + 1]);
}

void write16(std::span<std::uint8_t> bytes, std::size_t offset, std::uint16_t value) {
    bytes[offset] = static_cast<std::uint8_t>(value >> 8);
    bytes[offset + 1] = static_cast<std::uint8_t>(value);
}

std::uint32_t read32(std::span<const std::uint8_t> bytes, std::size_t offset) {
    return static_cast<std::uint32_t>(read16(bytes, offset)) << 16 | read16(bytes, offset + 2);
}

void write32(std::span<std::uint8_t> bytes, std::size_t offset, std::uint32_t value) {
    write16(bytes, offset, static_cast<std::uint16_t>(value >> 16));
    write16(bytes, offset + 2, static_cast<std::uint16_t>(value));
}

std::uint16_t checksum(std::span<const std::uint8_t> bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) sum += i % 2 == 0 ? bytes[i] << 8 : bytes[i];
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

void renew_checksum(std::span<std::uint8_t> ip) {
    write16(ip, 10, 0);
    write16(ip, 10, checksum(ip.first((ip[0] & 0x0fU) * 4)));
}

Bytes ethernet(const Bytes &payload, std::uint16_t ether_type) {
    Bytes header = {0x02, 0, 0, 0, 0, 0xbe, 0x02, 0, 0, 0, 0, 0x1b, 0, 0};
    write16(header, 12, ether_type);
    return join(header, payload);
}

Bytes ipv4(const Ipv4Fields &fields, const Bytes &payload) {
    const std::size_t header_length = 20 + 4 * fields.option_words;
    Bytes header(header_length, 1); // option 1: no operation
    header[0] = static_cast<std::uint8_t>(0x40 | header_length / 4);
    header[1] = fields.dscp_ecn;
    write16(header, 2, static_cast<std::uint16_t>(header_length + payload.size()));
    write16(header, 4, 0x1234);
    write16(header, 6, fields.fragment);
    header[8] = fields.ttl;
    header[9] = fields.protocol;
    std::memcpy(&header[12], &fields.source, 4);
    std::memcpy(&header[16], &fields.destination, 4);
    renew_checksum(header);
    return join(header, payload);
}

Bytes udp(std::uint16_t source_port, std::uint16_t destination_port, const Bytes &payload) {
    Bytes header(8);
    write16(header, 0, source_port);
    write16(header, 2, destination_port);
    write16(header, 4, static_cast<std::uint16_t>(8 + payload.size()));
    return join(header, payload);
}

Bytes gue(const Bytes &inner, std::size_t private_words) {
    const Bytes header = {static_cast<std::uint8_t>(private_words), wire::kIpProtocolIpip, 0, 0};
    return join(join(header, Bytes(4 * private_words, 0xa5)), inner);
}

Bytes gue_with_hops(const Bytes &inner, const std::vector<wire::Be32> &hops, std::uint8_t next_hop) {
    Bytes message = {static_cast<std::uint8_t>(1 + hops.size()), wire::kIpProtocolIpip, 0, 0, // GUE
                     0, 0, next_hop, static_cast<std::uint8_t>(hops.size())};
    message.resize(8 + 4 * hops.size());
    for (std::size_t i = 0; i < hops.size(); ++i) std::memcpy(&message[8 + 4 * i], &hops[i], 4);
    return join(message, inner);
}

Bytes tcp_packet(const Segment &segment) {
    Bytes tcp(20);
    write16(tcp, 0, segment.source_port);
    write16(tcp, 2, segment.destination_port);
    write32(tcp, 4, segment.sequence);
    write32(tcp, 8, segment.acknowledgement);
    tcp[12] = 0x50;
    tcp[13] = segment.flags;
    write16(tcp, 14, 0xffff);
    tcp = join(tcp, pattern(segment.payload_size));
    Bytes covered(12); // the pseudo header of RFC 9293
    std::memcpy(&covered[0], &segment.source, 4);
    std::memcpy(&covered[4], &segment.destination, 4);
    covered[9] = wire::kIpProtocolTcp;
    write16(covered, 10, static_cast<std::uint16_t>(tcp.size()));
    write16(tcp, 16, checksum(join(covered, tcp)));
    return ipv4({.source = segment.source, .destination = segment.destination, .protocol = wire::kIpProtocolTcp}, tcp);
}

Segment read_segment(std::span<const std::uint8_t> ip) {
    const std::size_t header_length = (ip[0] & 0x0fU) * 4;
    const auto tcp = ip.first(read16(ip, 2)).subspan(header_length);
    Segment segment{.source_port = read16(tcp, 0),
                    .destination_port = read16(tcp, 2),
                    .sequence = read32(tcp, 4),
                    .acknowledgement = read32(tcp, 8),
                    .flags = tcp[13],
                    .payload_size = tcp.size() - (tcp[12] >> 4) * 4U};
    std::memcpy(&segment.source, &ip[12], 4);
    std::memcpy(&segment.destination, &ip[16], 4);
    return segment;
}

} // namespace fairlead::bpf::test
