// SPDX-License-Identifier: Apache-2.0
/// A device's IPv4 forwarding (net.ipv4.conf.IFACE.forwarding), without which the kernel tells an XDP program
/// no route (FWD_DISABLED) and forwards nothing that came in there. The switch for all devices is never touched.
#pragma once

#include "bpf/maps.hpp"

namespace fairlead::bpf {

/// Turns it on. True where it was off.
[[nodiscard]] Result<bool> raise_forwarding(unsigned interface_index);

/// Turns it off, unless somebody has made this host a router since (net.ipv4.conf.all.forwarding).
[[nodiscard]] Result<void> lower_forwarding(unsigned interface_index);

} // namespace fairlead::bpf
