# SPDX-License-Identifier: Apache-2.0
"""Packets that lie or end too early: each drops under its name, and none reads beyond its end."""
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import raw

from traffic import CLIENT, VIP, Traffic, config, ethernet, service

OPTIONS = [b"\x01" * 4, b"\x01" * 20, b"\x01" * 40]  # no-operations, up to the longest header


def _both():
    return config(service(), service("dns", port=53, protocol="udp"))


def _ip(**fields):
    return ethernet() / IP(src=CLIENT, dst=VIP, **fields)


def truncated():
    """A TCP and a UDP packet, cut at every length: the IP header is the last thing that can be missing, then its total length lies."""
    traffic = Traffic.of(_both())
    for packet in (_ip() / TCP(sport=40000, dport=80, flags="PA") / b"0123456789", _ip() / UDP(sport=40000, dport=53) / b"0123456789"):
        whole = raw(packet)
        for length in range(len(whole)):
            traffic.frame(whole[:length], "drop", "frame_truncated" if length < 34 else "ip_length_bad")
    traffic.tcp("PA", b"0123456789")
    traffic.udp(b"0123456789")
    return traffic


def truncated_options():
    """IP options that the frame does not hold."""
    traffic = Traffic.of(_both())
    whole = raw(_ip(options=OPTIONS[2]) / TCP(sport=40000, dport=80, flags="S"))
    for length in range(34, 74):
        traffic.frame(whole[:length], "drop", "frame_truncated")
    for length in range(74, 94):
        traffic.frame(whole[:length], "drop", "ip_length_bad")
    return traffic


def ip_header_bad():
    """IP versions other than 4 under IPv4's EtherType, and header lengths that are no header's."""
    traffic = Traffic.of(_both())
    for version in (0, 3, 5, 6, 15):
        traffic.frame(_ip(version=version) / TCP(dport=80, flags="S"), "drop", "ip_header_bad")
    for ihl in range(5):
        traffic.frame(_ip(ihl=ihl) / TCP(dport=80, flags="S"), "drop", "ip_header_bad")
    return traffic


def ip_length_lies():
    """Total lengths shorter than the header or longer than the frame; those that are short but whole are believed."""
    traffic = Traffic.of(_both())
    for length in (0, 1, 19, 41, 1500, 65535):
        traffic.frame(_ip(len=length) / TCP(sport=40000, dport=80, flags="S"), "drop", "ip_length_bad")
    for length in range(20, 40):  # the TCP header is cut off, though the frame goes on
        traffic.frame(_ip(len=length) / TCP(sport=40000, dport=80, flags="S"), "drop", "l4_header_bad")
    for length in range(20, 28):
        traffic.frame(_ip(len=length) / UDP(sport=40000, dport=53) / bytes(20), "drop", "l4_header_bad")
    return traffic


def tcp_data_offset_lies():
    """TCP data offsets below 5 words or beyond the packet; with IP options as well, which take the long way through the parser."""
    traffic = Traffic.of(_both())
    for options in ([], OPTIONS[0]):
        for words in (0, 1, 4, 6, 15):
            traffic.frame(_ip(options=options) / TCP(sport=40000, dport=80, flags="S", dataofs=words), "drop", "l4_header_bad")
        traffic.frame(_ip(options=options) / TCP(sport=40000, dport=80, flags="S", dataofs=8) / bytes(11), "drop", "l4_header_bad")
    traffic.tcp("S", bytes(12), tcp={"dataofs": 8})
    return traffic


def udp_length_lies():
    """UDP lengths below 8 or beyond the packet; one that is shorter than the packet is the receiver's business."""
    traffic = Traffic.of(_both())
    for length in (0, 1, 7, 13, 1000, 65535):
        traffic.frame(_ip() / UDP(sport=40000, dport=53, len=length) / b"1234", "drop", "l4_header_bad")
    for length in (8, 11, 12):
        traffic.udp(b"1234", udp={"len": length})
    return traffic


def fragments():
    """Fragments to a VIP, first, middle and last: their ports are unknown or would be guessed."""
    traffic = Traffic.of(_both())
    for protocol in (UDP(sport=40000, dport=53), TCP(sport=40000, dport=80, flags="A")):
        for flags, offset in (("MF", 0), ("MF", 185), (0, 185), (0, 1), (0, 8191), ("MF+DF", 0)):
            traffic.frame(_ip(flags=flags, frag=offset, proto=protocol.overload_fields[IP]["proto"]) / raw(protocol) / bytes(24), "drop", "fragment")
    traffic.udp(b"whole", ip={"flags": "DF"})
    return traffic


def ip_options():
    """IP options of every length are carried along; ports are read behind them."""
    traffic = Traffic.of(_both())
    for options in OPTIONS:
        traffic.tcp("S", client_port=40000 + len(options), ip={"options": options})
        traffic.udp(b"query", client_port=40000 + len(options), ip={"options": options})
    traffic.tcp("A", client_port=40004)  # the same flow, without options
    return traffic


def padding_cut_off():
    """What stands behind the IP packet, padding to Ethernet's shortest frame or a trailer, does not leave."""
    traffic = Traffic.of(_both())
    traffic.tcp("S", padding=bytes(6))
    traffic.tcp("A", padding=b"\xa5" * 6)
    traffic.tcp("PA", b"x", padding=b"\xff" * 5)
    traffic.tcp("PA", b"x" * 100, padding=b"trailer" * 20)
    traffic.udp(b"", padding=bytes(18))
    traffic.udp(b"q", padding=bytes(17))
    return traffic
