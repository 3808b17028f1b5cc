# SPDX-License-Identifier: Apache-2.0
"""Well-formed packets, one backend for each service: encapsulation, options of it, which service a packet is for."""
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

from traffic import BALANCER_MAC, CLIENT, ROUTER_MAC, VIP, Traffic, config, ethernet, service

REQUEST = b"GET / HTTP/1.1\r\nHost: example.net\r\n\r\n"


def _tcp_exchange(traffic, **keys):
    """One connection as the client sends it: handshake, request, acknowledgements, end."""
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    traffic.tcp("S", tcp={"seq": 1000, "options": options}, **keys)
    traffic.tcp("A", tcp={"seq": 1001, "ack": 9001}, **keys)
    traffic.tcp("PA", REQUEST, tcp={"seq": 1001, "ack": 9001}, **keys)
    traffic.tcp("A", tcp={"seq": 1001 + len(REQUEST), "ack": 10001}, **keys)
    traffic.tcp("FA", tcp={"seq": 1001 + len(REQUEST), "ack": 10001}, **keys)
    traffic.tcp("A", tcp={"seq": 1002 + len(REQUEST), "ack": 10002}, **keys)


def gue_tcp():
    """A TCP connection, encapsulated in GUE: the SYN goes by its row, everything after it by the connection."""
    traffic = Traffic.of(config(service()))
    _tcp_exchange(traffic)
    _tcp_exchange(traffic, client="203.0.113.8", client_port=65535)
    return traffic


def gue_udp():
    """UDP datagrams of all sizes in GUE, the empty one and those of odd length included."""
    traffic = Traffic.of(config(service("dns", port=53, protocol="udp")))
    for size in (0, 1, 2, 17, 100, 512, 1432):
        traffic.udp(bytes(i & 0xFF for i in range(size)))
    traffic.udp(b"another flow", client_port=40001)
    return traffic


def ipip_tcp():
    """A TCP connection, encapsulated in IPIP: no outer UDP header, 20 bytes more."""
    traffic = Traffic.of(config(service(forwarding="ipip")))
    _tcp_exchange(traffic)
    return traffic


def ipip_udp():
    """UDP datagrams in IPIP."""
    traffic = Traffic.of(config(service("dns", port=53, protocol="udp", forwarding="ipip")))
    for size in (0, 1, 512, 1450):
        traffic.udp(bytes(size))
    return traffic


def dscp_and_gue_port():
    """The outer DSCP and the GUE port are those of the configuration; the inner packet keeps its own."""
    traffic = Traffic.of(config(service(), service("dns", port=53, protocol="udp", forwarding="ipip"), dscp=46, gue_port=19523))
    traffic.tcp("S", ip={"tos": 0x28})
    traffic.tcp("A", ip={"tos": 0xB9})
    traffic.udp(b"query")
    return traffic


def any_port():
    """A service for any port takes what no service of that very port takes; each of its ports is a flow of its own."""
    any_tcp = service("any-tcp", port="any", backends=["10.20.0.31"])
    web = service("web", port=80, backends=["10.20.0.32"])
    traffic = Traffic.of(config(any_tcp, web))
    for port in (1, 79, 80, 81, 65535):
        traffic.tcp("S", port=port)
    for port in (65535, 81, 80, 79, 1):
        traffic.tcp("A", port=port)
    traffic.tcp("A", port=82)  # known for other ports is not known for this one
    traffic.udp(b"no UDP service here", port=80)
    return traffic


def two_services_of_a_vip():
    """One VIP, TCP and UDP of the same port, and another VIP: three services, one client port, three connections."""
    traffic = Traffic.of(config(service("a", backends=["10.20.0.31"]), service("b", protocol="udp", backends=["10.20.0.32"]),
                                service("c", vip="198.51.100.11", backends=["10.20.0.33"])))
    for _ in range(2):
        traffic.tcp("S")
        traffic.udp(b"x", port=80)
        traffic.tcp("S", vip="198.51.100.11")
    return traffic


def not_vip():
    """What is for no VIP is the kernel's: SSH to the balancer itself, other hosts, and broken packets for them."""
    traffic = Traffic.of(config(service()))
    traffic.tcp("S", vip="10.20.0.11", port=22)
    traffic.tcp("S", vip="198.51.100.9")
    traffic.udp(b"x", vip="255.255.255.255", port=67, client="0.0.0.0", client_port=68)
    traffic.frame(ethernet() / IP(src=CLIENT, dst="10.20.0.11") / ICMP(), "kernel")
    traffic.frame(ethernet() / IP(src=CLIENT, dst="10.20.0.11", frag=100) / UDP(), "kernel")
    traffic.frame(ethernet() / IP(src=CLIENT, dst="10.20.0.11", len=10) / TCP(), "kernel")
    traffic.frame(ethernet() / IP(src=CLIENT, dst="10.20.0.11", ihl=2) / TCP(), "kernel")
    return traffic


def not_ipv4():
    """ARP, IPv6, VLAN and frames of other types are the kernel's, whatever stands in them."""
    traffic = Traffic.of(config(service()))
    to_vip = IP(src=CLIENT, dst=VIP) / TCP(dport=80, flags="S")
    traffic.frame(Ether(src=ROUTER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=ROUTER_MAC, psrc="10.20.0.1", pdst=VIP), "kernel")
    traffic.frame(ethernet() / IPv6(src="2001:db8::7", dst="2001:db8::10") / TCP(dport=80, flags="S"), "kernel")
    traffic.frame(ethernet() / Dot1Q(vlan=5) / to_vip, "kernel")
    traffic.frame(ethernet() / Dot1AD(vlan=5) / Dot1Q(vlan=6) / to_vip, "kernel")
    traffic.frame(Ether(src=ROUTER_MAC, dst=BALANCER_MAC, type=0x88CC) / b"\x02\x07\x04" / (b"\x00" * 50), "kernel")
    traffic.frame(Ether(src=ROUTER_MAC, dst="01:80:c2:00:00:00", type=46) / (b"\x42\x42\x03" + bytes(43)), "kernel")
    return traffic


def wrong_port():
    """To a VIP, but to no service's port and protocol."""
    traffic = Traffic.of(config(service(), service("dns", port=53, protocol="udp")))
    traffic.tcp("S", port=81)
    traffic.tcp("S", port=0)
    traffic.tcp("S", port=53)
    traffic.udp(b"x", port=80)
    traffic.tcp("S")
    return traffic


def protocol_unsupported():
    """To a VIP, but neither TCP nor UDP."""
    traffic = Traffic.of(config(service(port="any")))
    traffic.frame(ethernet() / IP(src=CLIENT, dst=VIP) / ICMP() / b"ping", "drop", "protocol_unsupported")
    for protocol in (0, 4, 41, 47, 50, 132, 255):
        traffic.frame(ethernet() / IP(src=CLIENT, dst=VIP, proto=protocol) / bytes(40), "drop", "protocol_unsupported")
    return traffic


def inner_untouched():
    """The inner packet leaves as it came: wrong checksums, TTL 1, ECN, reserved bits, urgent data, odd flags."""
    traffic = Traffic.of(config(service(), service("dns", port=53, protocol="udp")))
    traffic.tcp("S", ip={"chksum": 0x1234, "ttl": 1, "tos": 0x03, "id": 0xFFFF})
    traffic.tcp("PA", b"wrong checksum", tcp={"chksum": 0xDEAD})
    traffic.tcp("PAU", b"urgent", tcp={"urgptr": 3, "window": 0})
    traffic.tcp("SECN", tcp={"reserved": 7})
    traffic.tcp("A", ip={"flags": "evil"})
    traffic.tcp("A", ip={"flags": "DF", "ttl": 0})
    traffic.udp(b"no checksum", udp={"chksum": 0})
    traffic.udp(b"wrong checksum", udp={"chksum": 1})
    return traffic


def inner_encapsulated():
    """A client's own GUE packet to a VIP is a datagram like any other."""
    traffic = Traffic.of(config(service("tunnels", port=6080, protocol="udp")))
    traffic.udp(bytes.fromhex("00040000") + bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP()), port=6080)
    return traffic


def checksum_carries():
    """Outer source, DSCP and lengths that make the outer checksum's sum carry once and twice."""
    dns, ntp = (service(name, port=port, protocol="udp", forwarding=forwarding, backends=["223.255.255.254"])
                for name, port, forwarding in (("dns", 53, "gue"), ("ntp", 123, "ipip")))
    traffic = Traffic.of(config(dns, ntp, source_address="223.255.255.253", dscp=63))
    for port in (53, 123):
        for size in range(0, 1400, 20):
            traffic.udp(bytes(size), port=port)
    return traffic


def too_big():
    """Outer packets of up to 65,535 bytes leave; one byte more cannot be said in IPv4."""
    traffic = Traffic.of(config(service("dns", port=53, protocol="udp")), dataplane="longer than a port's buffers")
    traffic.udp(bytes(65535 - 32 - 28))
    traffic.udp(bytes(65535 - 32 - 28 + 1))
    return traffic
