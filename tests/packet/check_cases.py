#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the committed cases to what must be true of any of them, by dissecting packets with scapy and asking no oracle.

Each packet in out.pcap: well-formed outer headers, lengths and checksums right when computed anew, from the balancer to the
backend that its decision names, one outer source port a flow, the inner packet byte-identical to what came in. Decisions: a flow
with an unchanged configuration has one backend; backends get their share of new flows.

Needs scapy (Debian: python3-scapy).
"""
import collections
import json
import pathlib
import sys

try:
    import scapy  # noqa: F401
except ImportError:
    print("skipped: needs scapy (Debian: python3-scapy)")
    sys.exit(77)

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Padding, Raw

import capture

CASES_DIRECTORY = pathlib.Path(__file__).resolve().parent / "cases"


class Case:
    def __init__(self, directory):
        self.facts = json.loads((directory / "case.json").read_text())
        self.arrived = [frame for _, frame in capture.read(directory / "in.pcap")]
        self.left = [frame for _, frame in capture.read(directory / "out.pcap")]
        self.decisions = [json.loads(line) for line in (directory / "decisions.jsonl").read_text().splitlines()]
        self.configs = {path.name: path.read_text() for path in directory.glob("config*.yaml")}
        self.complaints = []

    def require(self, holds, what):
        if not holds:
            self.complaints.append(what)

    def check(self):
        forwarded = [d for d in self.decisions if d["verdict"] == "forward"]
        self.require([d["packet"] for d in self.decisions] == list(range(len(self.arrived))), "a decision for each packet, in order")
        self.require(len(forwarded) == len(self.left), "a packet out for each that is forwarded")
        source_ports = collections.defaultdict(set)
        for decision, frame in zip(forwarded, self.left):
            self.check_packet(decision, frame, source_ports)
        self.require(all(len(ports) == 1 for ports in source_ports.values()), "one outer source port a flow")
        for decision in self.decisions:
            if decision["verdict"] != "forward":
                self.require(decision["length_out"] == 0 and (decision["reason"] is None) == (decision["verdict"] == "kernel"), f"{decision}: a drop has a reason")
        self.check_flows(forwarded)
        self.check_shares(forwarded)
        return self.complaints

    def check_packet(self, decision, frame, source_ports):
        number = decision["packet"]
        self.require(len(frame) == decision["length_out"], f"packet {number}: length_out")
        outer = Ether(frame)
        ip = outer[IP]
        self.require(outer.type == 0x0800 and ip.version == 4 and ip.ihl == 5 and ip.ttl == 64, f"packet {number}: outer header {ip!r}")
        self.require(ip.len == len(frame) - 14 and not outer.haslayer(Padding), f"packet {number}: outer total length {ip.len}")
        again = ip.copy()
        del again.chksum
        self.require(IP(bytes(again)).chksum == ip.chksum, f"packet {number}: outer checksum {ip.chksum:#06x}")
        self.require(ip.dst == decision["backend"], f"packet {number}: to {ip.dst}, decided for {decision['backend']}")
        self.require(any(f"source_address: {ip.src}\n" in text for text in self.configs.values()), f"packet {number}: outer source {ip.src}")
        inner = bytes(ip.payload)
        if ip.proto == 17:
            udp = ip[UDP]
            gue, inner = self.take_gue(number, decision, bytes(udp.payload))
            self.require(udp.len == ip.len - 20 and udp.chksum == 0, f"packet {number}: outer UDP length {udp.len}, checksum {udp.chksum:#06x}")
            self.require(gue[1:] == b"\x04\x00\x00", f"packet {number}: GUE header {gue.hex()}")
            self.require(0xC000 <= udp.sport, f"packet {number}: outer source port {udp.sport} is not a dynamic one")
            source_ports[flow_of(inner)].add(udp.sport)
        else:
            self.require(ip.proto == 4, f"packet {number}: outer protocol {ip.proto}")
        came = self.arrived[number][14:]
        self.require(inner == came[: int.from_bytes(came[2:4], "big")], f"packet {number}: the inner packet differs from what came in")
        self.require(isinstance(IP(inner).payload, Raw) or len(IP(inner).payload) > 0, f"packet {number}: no inner packet")

    def take_gue(self, number, decision, payload):
        """-> the GUE header, and what follows it and its private data: hops, where the flow is unsure, to others of its service."""
        words = payload[0] & 0x1F
        private = payload[4 : 4 + 4 * words]
        self.require(payload[0] >> 5 == 0 and words <= 4, f"packet {number}: GUE header {payload[:4].hex()}")
        if words:
            self.require(decision["source"] == "row+hops", f"packet {number}: hops of a flow that is sure")
            hops = [".".join(map(str, private[at : at + 4])) for at in range(4, len(private), 4)]
            self.require(private[:4] == bytes([0, 0, 0, len(hops)]), f"packet {number}: hops {private.hex()}")
            self.require(len(set(hops) | {decision["backend"]}) == 1 + len(hops), f"packet {number}: visits a backend twice: {hops}")
            self.require(all(any(hop in text for text in self.configs.values()) for hop in hops), f"packet {number}: strange hops {hops}")
        return payload[:4], payload[4 + 4 * words :]

    def check_flows(self, forwarded):
        """While the configuration stays as it is, a flow stays with its backend, connections forgotten or not."""
        changes = [int(n) for option, n in zip(self.facts["arguments"], self.facts["arguments"][1:]) if option == "--at"]
        backends = collections.defaultdict(set)
        for decision in forwarded:
            generation = sum(decision["packet"] >= at for at in changes)
            backends[generation, flow_of(self.arrived[decision["packet"]][14:])].add(decision["backend"])
        if not any("drain" in text for text in self.configs.values()):  # there a connection's end changes its backend
            for (_, flow), addresses in backends.items():
                self.require(len(addresses) == 1, f"{flow}: backends {addresses}")

    def check_shares(self, forwarded):
        if shares := self.facts.get("shares"):
            taken = collections.Counter(d["backend"] for d in forwarded if d["source"] == "row")
            for address, share in shares.items():
                actual = taken[address] / taken.total()
                allowed = self.facts["shares_tolerance"] if share else 0
                self.require(abs(actual - share) <= allowed, f"{address}: {actual:.1%} of {taken.total()} new flows, expected {share:.1%} +- {allowed:.1%}")


def flow_of(packet):
    """Protocol, addresses and ports of an IPv4 packet that is whole."""
    header = 4 * (packet[0] & 15)
    return packet[9], packet[12:20].hex(), packet[header : header + 4].hex()


def main():
    failed = 0
    directories = sorted(CASES_DIRECTORY.iterdir())
    for directory in directories:
        complaints = Case(directory).check()
        failed += bool(complaints)
        for complaint in complaints[:20]:
            print(f"{directory.name}: {complaint}")
    print(f"{len(directories)} cases, {failed} failed")
    return 1 if failed or not directories else 0


if __name__ == "__main__":
    sys.exit(main())
