// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/bpf/backend_oracle.hpp"

#include <cstring>
#include <string_view>

namespace fairlead::bpf::test {

namespace {

using wire::BackendOutcome;
using View = std::span<const std::uint8_t>;

std::uint32_t raw_address(View bytes, std::size_t offset) {
    std::uint32_t raw = 0;
    std::memcpy(&raw, &bytes[offset], sizeof(raw));
    return raw;
}

std::size_t header_length(View ip) { return (ip[0] & 0x0fU) * 4U; }

/// The payload of a sound, unfragmented IPv4 packet at the start of `bytes`, which may go on after it.
BackendOutcome open_outer(View bytes, View &payload) {
    if (bytes[0] >> 4 != 4 || header_length(bytes) < 20 || read16(bytes, 2) < header_length(bytes))
        return BackendOutcome::kBackend_outer_bad;
    const bool more_follow = (read16(bytes, 6) & 0x2000) != 0;
    const bool others_precede = (read16(bytes, 6) & 0x1fff) != 0;
    if (more_follow || others_precede) return BackendOutcome::kBackend_outer_bad;
    if (read16(bytes, 2) > bytes.size()) return BackendOutcome::kBackend_truncated;
    if (checksum(bytes.first(header_length(bytes))) != 0) return BackendOutcome::kBackend_outer_bad;
    payload = bytes.first(read16(bytes, 2)).subspan(header_length(bytes));
    return BackendOutcome::kBackend_delivered;
}

BackendOutcome open_gue(View datagram, View &inner) {
    if (read16(datagram, 4) < 8 || read16(datagram, 4) > datagram.size()) return BackendOutcome::kBackend_outer_bad;
    const View message = datagram.first(read16(datagram, 4)).subspan(8);
    if (message.size() < 4) return BackendOutcome::kBackend_truncated;
    const unsigned version = message[0] >> 6;
    const bool is_control = (message[0] & 0x20) != 0;
    if (version != 0 || is_control || message[1] != 4 || read16(message, 2) != 0)
        return BackendOutcome::kBackend_gue_bad;
    const std::size_t length = 4 + 4 * (message[0] & 0x1fU);
    if (message.size() < length) return BackendOutcome::kBackend_truncated;
    inner = message.subspan(length);
    return BackendOutcome::kBackend_delivered;
}

BackendOutcome check_inner(View inner, const std::set<std::uint32_t> &vips) {
    if (inner.size() < 20) return BackendOutcome::kBackend_truncated;
    if (inner[0] >> 4 != 4 || header_length(inner) < 20 || read16(inner, 2) < header_length(inner) ||
        read16(inner, 2) > inner.size())
        return BackendOutcome::kBackend_inner_bad;
    return vips.contains(raw_address(inner, 16)) ? BackendOutcome::kBackend_delivered
                                                 : BackendOutcome::kBackend_vip_not_allowed;
}

/// RFC 6040, figure 4, but for the pair that no tunnel entry of ours makes (not-ECT inside, CE outside).
/// True where the header was changed and its checksum had been wrong before.
bool combine_ecn(std::span<std::uint8_t> inner, std::uint8_t outer_dscp_ecn) {
    if ((outer_dscp_ecn & 3) != 3 || (inner[1] & 3) == 0 || (inner[1] & 3) == 3) return false;
    const bool was_right = checksum(inner.first(header_length(inner))) == 0;
    inner[1] |= 3;
    renew_checksum(inner);
    return !was_right;
}

/// Whether the packet is an unfragmented TCP one with a header, and with which flags.
std::optional<unsigned> tcp_flags(View inner) {
    if (inner[9] != 6 || (read16(inner, 6) & 0x3fff) != 0) return std::nullopt;
    const View segment = inner.first(read16(inner, 2)).subspan(header_length(inner));
    if (segment.size() < 20) return std::nullopt;
    return segment[13];
}

/// The second chance for a connection that is not here. A frame where it is sent on.
BackendOracle::Expected give_second_chance(const BackendOracle &oracle, const Bytes &frame, View inner) {
    const std::size_t udp_offset = 14 + header_length(View(frame).subspan(14));
    const std::size_t hops_offset = udp_offset + 8 + 4;
    const std::size_t private_length = 4 * (frame[udp_offset + 8] & 0x1fU);
    const auto flags = tcp_flags(inner);
    if (private_length == 0 || read16(frame, hops_offset) != 0 || !flags) return {BackendOutcome::kBackend_delivered};
    std::size_t next = frame[hops_offset + 2];
    const std::size_t count = frame[hops_offset + 3];
    if (count > 3 || next > count || private_length != 4 + 4 * count)
        return {BackendOutcome::kBackend_hops_bad};

    if ((*flags & 0x12) == 0x02) return {BackendOutcome::kBackend_delivered_syn};
    const auto hop_at = [&](std::size_t index) { return raw_address(frame, hops_offset + 4 + 4 * index); };
    while (next < count && hop_at(next) == raw_address(frame, 14 + 16)) ++next;
    if (next == count) return {BackendOutcome::kBackend_delivered_last};
    if (frame[14 + 8] <= 1) return {BackendOutcome::kBackend_ttl_expired};
    const auto way = oracle.way(hop_at(next));
    if (!way) return {BackendOutcome::kBackend_next_hop_unreachable};

    Bytes sent = frame;
    const auto hop = hop_at(next);
    std::memcpy(&sent[14 + 16], &hop, 4);
    sent[hops_offset + 2] = static_cast<std::uint8_t>(next + 1);
    write16(sent, udp_offset + 6, 0);
    if (!way->empty()) {
        --sent[14 + 8];
        std::memcpy(&sent[0], way->data(), 6);
        std::memcpy(&sent[6], oracle.own_mac.data(), 6);
    }
    renew_checksum(std::span(sent).subspan(14));
    return {
        way->empty() ? BackendOutcome::kBackend_next_hop_kernel : BackendOutcome::kBackend_next_hop, sent};
}

} // namespace

BackendOracle::Expected BackendOracle::judge(const Bytes &frame) const {
    const Expected passed{BackendOutcome::kBackend_passed, frame, false};
    if (frame.size() < 34 || read16(frame, 12) != 0x0800 || (frame[0] & 1) != 0) return passed;
    const View ip = View(frame).subspan(14);
    const bool is_ipip = ip[9] == 4;
    if (!is_ipip) {
        const bool has_port = ip[9] == 17 && header_length(ip) >= 20 && (read16(ip, 6) & 0x1fff) == 0 &&
                              ip.size() >= header_length(ip) + 8;
        if (!has_port || read16(ip, header_length(ip) + 2) != gue_port) return passed;
    }
    if (!balancers.contains(raw_address(ip, 12))) return {BackendOutcome::kBackend_balancer_not_allowed};

    View payload;
    View inner;
    auto outcome = open_outer(ip, payload);
    if (outcome == BackendOutcome::kBackend_delivered) {
        if (is_ipip) inner = payload;
        else outcome = open_gue(payload, inner);
    }
    if (outcome == BackendOutcome::kBackend_delivered) outcome = check_inner(inner, vips);
    if (outcome != BackendOutcome::kBackend_delivered) return {outcome};

    if (!is_ipip) {
        auto chance = give_second_chance(*this, frame, inner);
        const bool is_here = std::string_view(wire::kBackendOutcomes[chance.outcome].name).starts_with("delivered");
        if (!is_here) return chance;
        outcome = chance.outcome;
    }
    Bytes left(frame.begin(), frame.begin() + 14);
    left.insert(left.end(), frame.begin() + (inner.data() - frame.data()), frame.end()); // padding included
    const bool is_checksum_free = combine_ecn(std::span(left).subspan(14), ip[1]);
    return {outcome, left, is_checksum_free};
}

} // namespace fairlead::bpf::test
