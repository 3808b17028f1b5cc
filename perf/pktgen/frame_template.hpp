// SPDX-License-Identifier: Apache-2.0
/// A frame of one size, ready but for what differs from packet to packet: the client, the stamp, and the checksums over them.
///
/// A checksum is a sum (RFC 1071), so it is made of a part that is the template's, summed once, and the few words that
/// the packet has of its own.
#pragma once

#include "dataplane/core/frame.hpp"
#include "dataplane/io/result.hpp"
#include "perf/pktgen/stamp.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace fairlead::pktgen {

enum class Protocol : wire::u8 { kTcp = wire::kIpProtocolTcp, kUdp = wire::kIpProtocolUdp };

inline constexpr unsigned kCrcSize = 4;           ///< counted in a frame's size as RFC 2544 counts it, and put on by the NIC
inline constexpr unsigned kFrameSizeMin = 64;     ///< CRC included
inline constexpr unsigned kFrameSizeMax = 9018;   ///< an MTU of 9000
inline constexpr unsigned kLinkOverhead = sizeof(wire::EthernetHeader) + kCrcSize; ///< of a frame over its IP packet

/// What all packets have in common.
struct Target {
    core::MacAddress gateway_mac{};
    core::MacAddress own_mac{};
    wire::u32 vip = 0;
    wire::u16 vip_port = 0;
    Protocol protocol = Protocol::kTcp;
};

struct Client {
    wire::u32 address;
    wire::u16 port;
};

/// @return an error's text: no frame of that size carries a stamp; empty: one does.
[[nodiscard]] std::string refuse_size(unsigned size, Protocol protocol);

class FrameTemplate {
  public:
    /// @param size of the frame, CRC included; one that refuse_size() does not refuse.
    FrameTemplate(const Target &target, unsigned size);

    /// Bytes of the frame in memory: without CRC.
    [[nodiscard]] std::uint16_t length() const noexcept { return static_cast<std::uint16_t>(bytes_.size()); }

    /// Writes the whole frame.
    /// @param out length() bytes of room.
    /// @param opens the flow's first packet: a SYN, if it is TCP.
    void write(wire::u8 *out, const Client &client, const Stamp &stamp, bool opens) const noexcept;

  private:
    void fill_ip(const Target &target) noexcept;
    void fill_transport(const Target &target) noexcept;
    void write_stamp(wire::u8 *out, const Stamp &stamp, wire::u64 sum) const noexcept;

    std::vector<wire::u8> bytes_;
    Protocol protocol_;
    bool is_short_;                         ///< carries a ShortStampTail
    wire::u64 ip_sum_ = 0;                  ///< of the IPv4 header without source and checksum
    std::array<wire::u64, 2> sum_{};        ///< of transport header, payload and pseudo-header without client, stamp and
                                            ///< checksum; [1]: of a flow's first packet
};

} // namespace fairlead::pktgen
