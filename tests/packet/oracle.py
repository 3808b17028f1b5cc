# SPDX-License-Identifier: Apache-2.0
"""The oracle: what Fairlead should do with a case's traffic, written from DESIGN.md and the formats, naive on purpose.

Connections are a dictionary, outer packets come from scapy. Where several backends could take a new flow, the choice is the
table's; it is a golden (`choices.json`), and check_cases.py holds it to properties. Everything after it is computed here.
"""
from dataclasses import dataclass

from scapy.fields import BitField, ByteEnumField, ShortField
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet as ScapyPacket
from scapy.packet import Raw, raw

from flow_hash import flow_hash
from traffic import BALANCER_MAC

PROTOCOLS = {"tcp": 6, "udp": 17}
TIMEOUTS_S = {"half_open": 30, "established": 6 * 3600, "closing": 60, "udp": 60}
IP_LENGTH_MAX = 65535


class Gue(ScapyPacket):
    """Generic UDP Encapsulation, variant 0, no private data (draft-ietf-intarea-gue-09, 3.1)."""

    name = "GUE"
    fields_desc = [
        BitField("version", 0, 2),
        BitField("control", 0, 1),
        BitField("hlen", 0, 5),
        ByteEnumField("protocol", 4, {4: "IPv4"}),
        ShortField("flags", 0),
    ]


@dataclass
class Connection:
    lease: object  # of the backend: a backend that was removed and is back is another
    address: str
    state: str
    seen_s: int


class MissingChoice(Exception):
    """A new flow with several backends, of which choices.json does not know."""


class Oracle:
    def __init__(self, choices):
        self.choices = choices  # {generation: {flow: backend}}
        self.generation = -1
        self.leases = {}  # (service, address) -> anything of its own
        self.connections = {}

    def adopt(self, config):
        self.generation += 1
        self.balancer = config["balancer"]
        self.services = {(s["vip"], str(s["port"]), PROTOCOLS[s["protocol"]]): s for s in config["services"]}
        wanted = {(key, b["address"]) for key, s in self.services.items() for b in s["backends"]}
        self.leases = {place: self.leases.get(place, object()) for place in wanted}

    def forget(self):
        self.connections.clear()

    def decide(self, packet, now_s):
        """-> (decision as replay writes it, without the packet's number; the frame that leaves or None)."""
        if packet.expect:
            verdict, reason = packet.expect
            return self._decision(verdict, reason), None
        key, service = self._find_service(packet.flow)
        if service is None:
            is_vip = any(vip == packet.flow[1] for vip, *_ in self.services)
            return (self._decision("drop", "no_service") if is_vip else self._decision("kernel", None)), None
        address, source = self._find_backend(key, service, packet, now_s)
        if address is None:
            return self._decision("drop", "no_backend", service["name"]), None
        out = self._encapsulate(service, address, packet)
        if out is None:
            return self._decision("drop", "too_big", service["name"], address, source), None
        return self._decision("forward", None, service["name"], address, source, len(out)), out

    @staticmethod
    def _decision(verdict, reason, service=None, backend=None, source=None, length_out=0):
        return {"verdict": verdict, "reason": reason, "service": service, "backend": backend, "source": source, "length_out": length_out}

    def _find_service(self, flow):
        _, vip, _, port, protocol = flow
        for key in ((vip, str(port), protocol), (vip, "any", protocol)):
            if key in self.services:
                return key, self.services[key]
        return None, None

    def _find_backend(self, key, service, packet, now_s):
        """The connection's backend while that is a backend, else the row's. FIN, RST and nothing known: forwarded, not recorded."""
        timeouts = {**TIMEOUTS_S, **{k: int(str(v).rstrip("s")) for k, v in service.get("timeouts", {}).items()}}
        entry = self.connections.get((key, packet.flow))
        is_live = entry and now_s - entry.seen_s <= timeouts[entry.state] and self.leases.get((key, entry.address)) is entry.lease
        if is_live and not self._begins_elsewhere(entry, service, packet):
            entry.state, entry.seen_s = self._next_state(entry.state, packet), now_s
            return entry.address, "connection"
        self.connections.pop((key, packet.flow), None)
        address = self._choose(service, packet.flow)
        if address is None:
            return None, None
        if not set(packet.flags) & set("FR"):
            self.connections[(key, packet.flow)] = Connection(self.leases[(key, address)], address, "half_open", now_s)
        return address, "row"

    def _begins_elsewhere(self, entry, service, packet):
        """A new connection from the port of one that is closing, at a backend that takes no new ones."""
        is_opening = "S" in packet.flags and "A" not in packet.flags
        return is_opening and entry.state == "closing" and entry.address not in self._takers(service)

    @staticmethod
    def _takers(service):
        return [b["address"] for b in service["backends"] if b.get("weight", 100) and not b.get("drain")]

    @staticmethod
    def _next_state(state, packet):
        flags = set(packet.flags)
        if packet.flow[4] == PROTOCOLS["udp"]:
            return "udp"
        if flags & set("FR"):
            return "closing"
        if "S" in flags:
            return "half_open" if state == "closing" else state
        return "closing" if state == "closing" and not packet.has_payload else "established"

    def _choose(self, service, flow):
        takers = self._takers(service)
        if len(takers) <= 1:
            return takers[0] if takers else None
        try:
            return self.choices[str(self.generation)][flow_text(flow)]
        except KeyError:
            raise MissingChoice(f"generation {self.generation}: {flow_text(flow)}") from None

    def _encapsulate(self, service, address, packet):
        """RFC 2003, or GUE. Outer identification 0 with DF (RFC 6864, 4.1), TTL 64, no UDP checksum (RFC 768)."""
        *_, entropy = flow_hash(bytes.fromhex(self.balancer["seed"]), *packet.flow)
        outer = Ether(src=BALANCER_MAC, dst=self.balancer["next_hop_mac"])
        outer /= IP(src=self.balancer["source_address"], dst=address, tos=self.balancer.get("dscp", 0) << 2, id=0, flags="DF", ttl=64,
                    proto=17 if service["forwarding"] == "gue" else 4)
        if service["forwarding"] == "gue":
            outer /= UDP(sport=0xC000 | entropy & 0x3FFF, dport=self.balancer.get("gue_port", 6080), chksum=0) / Gue()
        if len(outer) - 14 + len(packet.ip) > IP_LENGTH_MAX:
            return None
        return raw(outer / Raw(packet.ip))


def flow_text(flow):
    source, destination, source_port, destination_port, protocol = flow
    name = {number: name for name, number in PROTOCOLS.items()}[protocol]
    return f"{name} {source}:{source_port} {destination}:{destination_port}"
