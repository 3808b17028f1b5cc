// SPDX-License-Identifier: Apache-2.0
/// A configuration that uses every key but those of health and on_dead.
#pragma once

namespace fairlead::config::test {

inline constexpr const char *kSample = R"(balancer:
  source_address: 10.20.0.11
  next_hop_mac: 02:00:00:00:00:fe
  seed: 00112233445566778899aabbccddeeff
  dscp: 46
  gue_port: 19523
services:
  - name: web
    vip: 198.51.100.10
    port: 80
    protocol: tcp
    forwarding: gue
    algorithm: rendezvous
    timeouts: {half_open: 10s, established: 2h, closing: 30s, udp: 5m}
    backends:
      - {address: 10.20.0.31, weight: 100}
      - {address: 10.20.0.32, weight: 50, drain: true}
      - address: 10.20.0.33
  - name: dns
    vip: 198.51.100.11
    port: any
    protocol: udp
    forwarding: ipip
    algorithm: maglev
    backends: []
    second_chance: false
)";

} // namespace fairlead::config::test
