# SPDX-License-Identifier: Apache-2.0
"""What a case is made of: configurations, and packets in time as they arrive at the balancer, built with scapy.

Whoever builds a packet also says what it is (its flow, or the verdict it deserves), so nothing here parses packets.
"""
import copy
from dataclasses import dataclass, field

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw, raw

ROUTER_MAC = "02:00:00:00:00:01"
BALANCER_MAC = "02:00:00:00:00:0b"
NEXT_HOP_MAC = "02:00:00:00:00:fe"
SEED = "00112233445566778899aabbccddeeff"
SOURCE = "10.20.0.11"
CLIENT = "203.0.113.7"
VIP = "198.51.100.10"
START_NS = 1_700_000_000 * 10**9
GAP_NS = 1_000_000
NS_PER_S = 10**9


def ethernet():
    return Ether(src=ROUTER_MAC, dst=BALANCER_MAC)


def balancer(**keys):
    return {"source_address": SOURCE, "next_hop_mac": NEXT_HOP_MAC, "seed": SEED, **keys}


def backend(address, **keys):
    return {"address": address, **keys}


def service(name="web", vip=VIP, port=80, protocol="tcp", forwarding="gue", backends=("10.20.0.31",), **keys):
    backends = [backend(b) if isinstance(b, str) else b for b in backends]
    return {"name": name, "vip": vip, "port": port, "protocol": protocol, "forwarding": forwarding, **keys, "backends": backends}


def config(*services, **balancer_keys):
    return {"balancer": balancer(**balancer_keys), "services": list(services)}


def format_yaml(configuration):
    """The configuration as people write it: one backend a line."""
    lines = ["balancer:"]
    lines += [f"  {key}: {value}" for key, value in configuration["balancer"].items()]
    lines += ["services:"] if configuration["services"] else ["services: []"]
    for entry in configuration["services"]:
        indent = "  - "
        for key, value in entry.items():
            if isinstance(value, dict):
                value = "{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}"
            if key != "backends":
                lines.append(f"{indent}{key}: {value}")
            elif value:
                lines.append(f"{indent}{key}:")
                for keys in value:
                    inner = ", ".join(f"{k}: {str(v).lower() if isinstance(v, bool) else v}" for k, v in keys.items())
                    lines.append("      - {" + inner + "}")
            else:
                lines.append(f"{indent}{key}: []")
            indent = "    "
    return "\n".join(lines) + "\n"


@dataclass
class Packet:
    time_ns: int
    frame: bytes
    flow: tuple = None  # (source, destination, source port, destination port, protocol number); None: `expect` says it all
    ip: bytes = b""  # the IP packet, without the padding that may follow it
    flags: str = ""  # TCP flags as scapy writes them
    has_payload: bool = False
    expect: tuple = None  # (verdict, reason) that the packet must get


@dataclass
class Traffic:
    configs: list  # [(packet before which it is adopted, configuration)], the first at 0
    packets: list = field(default_factory=list)
    forgets: list = field(default_factory=list)
    now_ns: int = START_NS
    shares: dict = None  # backend -> share of the new flows that it should get
    shares_tolerance: float = 0.0  # absolute
    dataplane: str = ""  # why the case cannot run through fairlead-dataplane; empty: it can

    @classmethod
    def of(cls, configuration, **keys):
        return cls([(0, copy.deepcopy(configuration))], **keys)

    def wait(self, seconds):
        """The next packet comes at a whole second, `seconds` after the last one's."""
        self.now_ns = (self.now_ns // NS_PER_S + seconds) * NS_PER_S
        self.dataplane = self.dataplane or "its time is that of the capture"

    def adopt(self, configuration):
        self.configs.append((len(self.packets), copy.deepcopy(configuration)))
        self.dataplane = self.dataplane or "changes configuration at a packet"

    def forget(self):
        self.forgets.append(len(self.packets))
        self.dataplane = self.dataplane or "forgets connections at a packet"

    def tcp(self, flags, payload=b"", client=CLIENT, client_port=40000, vip=VIP, port=80, ip=None, tcp=None, padding=b""):
        """One segment; `ip` and `tcp` are more fields for scapy."""
        packet = IP(src=client, dst=vip, **(ip or {})) / TCP(sport=client_port, dport=port, flags=flags, **(tcp or {}))
        self._add(packet, payload, (client, vip, client_port, port, 6), flags, padding)

    def udp(self, payload=b"", client=CLIENT, client_port=40000, vip=VIP, port=53, ip=None, udp=None, padding=b""):
        packet = IP(src=client, dst=vip, **(ip or {})) / UDP(sport=client_port, dport=port, **(udp or {}))
        self._add(packet, payload, (client, vip, client_port, port, 17), "", padding)

    def frame(self, frame, verdict, reason=None):
        """A frame that is no packet of a flow, or not a whole one."""
        self._append(Packet(self.now_ns, frame if isinstance(frame, bytes) else raw(frame), expect=(verdict, reason)))

    def _add(self, packet, payload, flow, flags, padding):
        ip = raw(packet / Raw(payload) if payload else packet)
        self._append(Packet(self.now_ns, raw(ethernet() / packet)[:14] + ip + padding, flow, ip, flags, bool(payload)))

    def _append(self, packet):
        self.packets.append(packet)
        self.now_ns += GAP_NS
