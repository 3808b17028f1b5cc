# SPDX-License-Identifier: Apache-2.0
"""The oracle: what Fairlead should do with a case's traffic, written from DESIGN.md and the formats, naive on purpose.

Connections are a dictionary, outer packets come from scapy. Where several backends could take a new flow, the choice is the
table's; it is a golden (`choices.json`), and check_cases.py holds it to properties. Everything after it is computed here.
"""
from dataclasses import dataclass

from scapy.fields import BitField, ByteEnumField, ByteField, FieldLenField, FieldListField, IPField, ShortField
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
    """Generic UDP Encapsulation, variant 0 (draft-ietf-intarea-gue-09, 3.1); private data follows."""

    name = "GUE"
    fields_desc = [
        BitField("version", 0, 2),
        BitField("control", 0, 1),
        BitField("hlen", 0, 5),
        ByteEnumField("protocol", 4, {4: "IPv4"}),
        ShortField("flags", 0),
    ]


class GueHops(ScapyPacket):
    """The private data of the second chance: GLB's format."""

    name = "GUE hops"
    fields_desc = [
        ShortField("type", 0),
        ByteField("next_hop", 0),
        FieldLenField("hop_count", None, fmt="B", count_of="hops"),
        FieldListField("hops", [], IPField("", "0.0.0.0"), count_from=lambda packet: packet.hop_count),
    ]


@dataclass
class Connection:
    lease: object  # of the backend: a backend that was removed and is back is another
    address: str
    state: str
    seen_s: int
    is_unsure: bool  # found without its beginning: another backend may have it


class MissingChoice(Exception):
    """A new flow with several backends, of which choices.json does not know."""


class Oracle:
    def __init__(self, choices):
        self.choices = choices  # {generation: {flow: backend}}
        self.generation = -1
        self.leases = {}  # (service, address) -> anything of its own
        self.connections = {}
        self.histories = {}  # service -> [(set of backends that take flows, a generation that had it)], most recent first

    def adopt(self, config):
        self.generation += 1
        if self.generation and config["balancer"].get("seed") != self.balancer.get("seed"):
            self.histories.clear()
        self.balancer = config["balancer"]
        self.services = {(s["vip"], str(s["port"]), PROTOCOLS[s["protocol"]]): s for s in config["services"]}
        wanted = {(key, b["address"]) for key, s in self.services.items() for b in s["backends"]}
        self.leases = {place: self.leases.get(place, object()) for place in wanted}
        for key, service in self.services.items():
            takers = tuple(sorted((b["address"], b.get("weight", 100)) for b in service["backends"] if self._takes(b)))
            before = [entry for entry in self.histories.get(key, []) if entry[0] != takers]
            self.histories[key] = ([(takers, self.generation)] if takers else []) + before

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
        hops = self._hops(key, service, packet.flow, address) if source == "row+hops" else []
        out = self._encapsulate(service, address, packet, hops)
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
            return entry.address, "row+hops" if entry.is_unsure else "connection"
        is_unsure = self._has_second_chance(service) and (is_live or not self._is_opening(packet))
        self.connections.pop((key, packet.flow), None)
        address = self._choose(service, packet.flow)
        if address is None and is_unsure:
            address = next(iter(self._former_owners(key, service, packet.flow)), None)
        if address is None:
            return None, None
        if not set(packet.flags) & set("FR"):
            self.connections[(key, packet.flow)] = Connection(self.leases[(key, address)], address, "half_open", now_s, is_unsure)
        return address, "row+hops" if is_unsure else "row"

    @staticmethod
    def _has_second_chance(service):
        return service["protocol"] == "tcp" and service["forwarding"] == "gue" and service.get("second_chance", "true") == "true"

    @staticmethod
    def _is_opening(packet):
        return "S" in packet.flags and "A" not in packet.flags

    def _former_owners(self, key, service, flow):
        """Up to three living backends that owned the flow's row before, most recent first."""
        present, living = self._choose(service, flow), {b["address"] for b in service["backends"]}
        owners = [takers[0][0] if len(takers) == 1 else self._choice(generation, flow) for takers, generation in self.histories[key]]
        return list(dict.fromkeys(owner for owner in owners if owner in living and owner != present))[:3]

    def _hops(self, key, service, flow, first):
        candidates = [self._choose(service, flow), *self._former_owners(key, service, flow)]
        return [address for address in candidates if address and address != first][:3]

    def _begins_elsewhere(self, entry, service, packet):
        """A new connection from the port of one that is closing, at a backend that takes no new ones."""
        return self._is_opening(packet) and entry.state == "closing" and entry.address not in self._takers(service)

    @staticmethod
    def _takers(service):
        return [b["address"] for b in service["backends"] if Oracle._takes(b)]

    @staticmethod
    def _takes(backend):
        return backend.get("weight", 100) and not backend.get("drain")

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
        return self._choice(self.generation, flow)

    def _choice(self, generation, flow):
        try:
            return self.choices[str(generation)][flow_text(flow)]
        except KeyError:
            raise MissingChoice(f"generation {generation}: {flow_text(flow)}") from None

    def _encapsulate(self, service, address, packet, hops):
        """RFC 2003, or GUE. Outer identification 0 with DF (RFC 6864, 4.1), TTL 64, no UDP checksum (RFC 768)."""
        *_, entropy = flow_hash(bytes.fromhex(self.balancer["seed"]), *packet.flow)
        outer = Ether(src=BALANCER_MAC, dst=self.balancer["next_hop_mac"])
        outer /= IP(src=self.balancer["source_address"], dst=address, tos=self.balancer.get("dscp", 0) << 2, id=0, flags="DF", ttl=64,
                    proto=17 if service["forwarding"] == "gue" else 4)
        if service["forwarding"] == "gue":
            outer /= UDP(sport=0xC000 | entropy & 0x3FFF, dport=self.balancer.get("gue_port", 6080), chksum=0)
            with_hops = outer / Gue(hlen=1 + len(hops)) / GueHops(hops=hops)
            has_room = len(with_hops) - 14 + len(packet.ip) <= IP_LENGTH_MAX
            outer = with_hops if hops and has_room else outer / Gue()
        if len(outer) - 14 + len(packet.ip) > IP_LENGTH_MAX:
            return None
        return raw(outer / Raw(packet.ip))


def flow_text(flow):
    source, destination, source_port, destination_port, protocol = flow
    name = {number: name for name, number in PROTOCOLS.items()}[protocol]
    return f"{name} {source}:{source_port} {destination}:{destination_port}"
