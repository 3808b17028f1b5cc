# SPDX-License-Identifier: Apache-2.0
"""Differences between what should have come out and what did, for people to read."""

SOURCE_MAC = slice(6, 12)


def compare_decisions(expected, actual):
    complaints = []
    for number, (want, have) in enumerate(zip(expected, actual)):
        fields = [f"{key}: expected {want.get(key)!r}, got {have.get(key)!r}" for key in {**want, **have} if want.get(key) != have.get(key)]
        if fields or list(want) != list(have):
            complaints.append(f"packet {number}: " + ("; ".join(fields) or f"fields {list(have)}, expected {list(want)}"))
    if len(expected) != len(actual):
        complaints.append(f"{len(actual)} decisions, expected {len(expected)}")
    return complaints


def compare_frames(expected, actual, any_source_mac=False):
    """any_source_mac: the frames must have one and the same source address, a station's, whichever that is."""
    complaints = []
    if any_source_mac and actual:
        macs = {frame[SOURCE_MAC] for frame in actual}
        if len(macs) != 1 or next(iter(macs))[0] & 1 or next(iter(macs)) == bytes(6):
            complaints.append("source MACs: " + ", ".join(mac.hex(":") for mac in sorted(macs)))
        expected, actual = [_without_source_mac(f) for f in expected], [_without_source_mac(f) for f in actual]
    for number, (want, have) in enumerate(zip(expected, actual)):
        if want != have:
            complaints.append(f"frame {number} out: {_first_difference(want, have)}\nexpected {_hex(want)}\ngot      {_hex(have)}")
    if len(expected) != len(actual):
        complaints.append(f"{len(actual)} frames out, expected {len(expected)}")
    return complaints


def _without_source_mac(frame):
    return frame[: SOURCE_MAC.start] + bytes(6) + frame[SOURCE_MAC.stop :]


def _first_difference(want, have):
    for offset, (a, b) in enumerate(zip(want, have)):
        if a != b:
            return f"byte {offset} ({_place(offset)}) is {b:02x}, expected {a:02x}"
    return f"{len(have)} bytes, expected {len(want)}"


def _place(offset):
    for end, place in ((6, "destination MAC"), (12, "source MAC"), (14, "EtherType"), (16, "outer version, DSCP"), (18, "outer total length"),
                       (24, "outer identification to protocol"), (26, "outer checksum"), (30, "outer source"), (34, "outer destination")):
        if offset < end:
            return place
    return "outer UDP and GUE, or the inner packet"


def _hex(frame):
    text = frame[:90].hex()
    return " ".join(text[i : i + 8] for i in range(0, len(text), 8)) + (" ..." if len(frame) > 90 else "")
