# SPDX-License-Identifier: Apache-2.0
"""Captures (pcap files) of Ethernet frames, timestamps in nanoseconds; nothing but the standard library."""
import struct

MAGIC_NS = 0xA1B23C4D  # nanosecond timestamps; https://www.tcpdump.org/manpages/pcap-savefile.5.html
MAGIC_US = 0xA1B2C3D4
LINK_TYPE_ETHERNET = 1
SNAP_LENGTH = 262144
NS_PER_S = 1_000_000_000


def write(path, packets):
    """packets: (time in ns, frame) pairs."""
    with open(path, "wb") as file:
        file.write(encode(packets))


def encode(packets):
    parts = [struct.pack("<IHHiIII", MAGIC_NS, 2, 4, 0, 0, SNAP_LENGTH, LINK_TYPE_ETHERNET)]
    for time_ns, frame in packets:
        parts.append(struct.pack("<IIII", time_ns // NS_PER_S, time_ns % NS_PER_S, len(frame), len(frame)))
        parts.append(frame)
    return b"".join(parts)


def read(path):
    """-> list of (time in ns, frame)."""
    with open(path, "rb") as file:
        data = file.read()
    magic = struct.unpack_from("<I", data)[0]
    order = "<" if magic in (MAGIC_NS, MAGIC_US) else ">"
    magic, *_, link_type = struct.unpack_from(order + "IHHiIII", data)
    if magic not in (MAGIC_NS, MAGIC_US) or link_type != LINK_TYPE_ETHERNET:
        raise ValueError(f"{path}: not a capture of Ethernet frames")
    unit_ns = 1 if magic == MAGIC_NS else 1000
    packets, offset = [], 24
    while offset < len(data):
        seconds, fraction, captured, _ = struct.unpack_from(order + "IIII", data, offset)
        offset += 16
        if offset + captured > len(data):
            raise ValueError(f"{path}: breaks off in packet {len(packets)}")
        packets.append((seconds * NS_PER_S + fraction * unit_ns, data[offset : offset + captured]))
        offset += captured
    return packets
