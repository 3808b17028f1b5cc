// SPDX-License-Identifier: Apache-2.0
/// What --port may say, in words and as a value. No DPDK here: a spec is judged before EAL starts.
///
///   af_xdp:IFACE         a NIC shared with the kernel; its steering program brings packets for VIPs only
///   pcap:rx=FILE,tx=FILE a capture to read and one to write; either may be left out
///   ring:NAME            the rings NAME-rx and NAME-tx of this process
///   null                 receives empty frames without end, sends into nothing
///   pci:ADDRESS, ADDRESS a NIC bound to a driver that DPDK can use; with ,twin=NAME the kernel's interface beside it is
///                        named so (default: fl and the port's number), with ,twin=none there is none
#pragma once

#include "dataplane/io/result.hpp"

#include <string>
#include <string_view>

namespace fairlead::io {

inline constexpr unsigned kVlanTagsSize = 8; ///< of two, which a frame may have beside what the MTU counts

enum class PortKind { kAfXdp, kPcap, kRing, kNull, kPci };

struct PortSpec {
    PortKind kind = PortKind::kNull;
    std::string name;    ///< kAfXdp: interface; kRing: ring; kPci: full address, domain included
    std::string rx_file; ///< kPcap; empty: receives nothing
    std::string tx_file; ///< kPcap; empty: sends into nothing
    std::string twin;    ///< kPci: as it was given; empty: not given
    std::string text;    ///< as it was given, without options, for messages
};

[[nodiscard]] Result<PortSpec> parse_port_spec(std::string_view text);

} // namespace fairlead::io
