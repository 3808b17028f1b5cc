# SPDX-License-Identifier: Apache-2.0
"""The dataplane's counters, by the names and in the layout that dataplane/wire/counters.h and drop_reasons.h give them."""
import collections
import pathlib
import re
import struct

WIRE = pathlib.Path(__file__).resolve().parents[2] / "dataplane" / "wire"
WORD = 8


def _constant(name):
    text = "".join((WIRE / file).read_text() for file in ("counters.h", "snapshot.h"))
    return int(re.search(rf"\b{name} = (\d+)", text)[1])


def _fields(name):
    """-> {field: (first word, words)} of a struct of u64 alone; fields of structs count two words an element."""
    body = re.search(rf"struct {name} {{\n(.*?)\n}};", (WIRE / "counters.h").read_text(), re.S)[1]
    fields, word = {}, 0
    for kind, field, count in re.findall(r"^\s*(u64|struct GenerationCounters) (\w+)(?:\[(\w+)\])?;", body, re.M):
        words = (int(count) if count.isdigit() else _constant(count)) if count else 1
        words *= 2 if kind != "u64" else 1
        fields[field] = (word, words)
        word += words
    return fields


def _members(name):
    """-> {member: (first byte, elements, its _fields())} of a struct of structs and arrays of them."""
    body = re.search(rf"struct {name} {{\n(.*?)\n}};", (WIRE / "counters.h").read_text(), re.S)[1]
    members, at = {}, 0
    for kind, member, count, more in re.findall(r"^\s*struct (\w+) (\w+)(?:\[(\w+)( \+ 1)?\])?;", body, re.M):
        elements = _constant(count) + bool(more) if count else 1
        members[member] = (at, elements, _fields(kind))
        at += elements * _size(_fields(kind))
    return members


def drop_reasons():
    text = (WIRE / "drop_reasons.h").read_text()
    block = re.search(r"#define FAIRLEAD_DROP_REASONS\(X\)(.*?)\n\n", text, re.S)[1]
    return re.findall(r"X\((\w+),", block)


class Counters:
    """All workers' counters at one moment."""

    def __init__(self, memory):
        worker = _fields("WorkerCounters")
        worker_count, offset, stride = struct.unpack_from("<12xIQQ", memory)
        self.worker = collections.Counter()
        self.drops = collections.Counter()
        self.services = collections.Counter()  # index -> packets
        self.slots = collections.Counter()  # slot -> packets
        for start in range(offset, offset + worker_count * stride, stride):
            words = lambda at, count: struct.unpack_from(f"<{count}Q", memory, at)
            for name, (word, count) in worker.items():
                if count == 1:
                    self.worker[name] += words(start + word * WORD, 1)[0]
            self.drops.update(dict(zip(drop_reasons(), words(start + worker["drops"][0] * WORD, worker["drops"][1]))))
            for into, member in ((self.services, "service_traffic"), (self.slots, "slot_traffic")):
                at, count, fields = _members("CounterBlock")[member]
                packets = words(start + at, count * _size(fields) // WORD)[fields["packets"][0] :: _size(fields) // WORD]
                into.update({i: n for i, n in enumerate(packets) if n})

    def decided(self):
        return self.worker["forwarded_packets"] + self.drops.total()

    def compare(self, frames_in, frames_out, decisions):
        """-> complaints. What is for the kernel drops as not_for_vip on a port that has no way to it."""
        forwarded = [d for d in decisions if d["verdict"] == "forward"]
        kernel = sum(d["verdict"] == "kernel" for d in decisions)
        wanted = {
            "received_packets": len(frames_in), "received_bytes": sum(map(len, frames_in)),
            "forwarded_packets": len(frames_out), "forwarded_bytes": sum(map(len, frames_out)),
            "kernel_packets": 0,
            "by_connection": sum(d["source"] == "connection" for d in forwarded), "by_row": sum(d["source"] == "row" for d in forwarded),
            "by_hops": sum(d["source"] == "row+hops" for d in forwarded),
        }
        drops = collections.Counter(d["reason"] for d in decisions if d["verdict"] == "drop") + collections.Counter(not_for_vip=kernel)
        complaints = [f"counter {name}: {self.worker[name]}, expected {value}" for name, value in wanted.items() if self.worker[name] != value]
        complaints += [f"drops, {name}: {self.drops[name]}, expected {drops[name]}" for name in self.drops | drops if self.drops[name] != drops[name]]
        by_service = collections.Counter(d["service"] for d in decisions if d["service"])
        by_backend = collections.Counter((d["service"], d["backend"]) for d in forwarded)
        for what, have, want in (("service", self.services, by_service), ("slot", self.slots, by_backend)):
            if sorted(have.values()) != sorted(want.values()):
                complaints.append(f"packets by {what}: {dict(have)}, expected {dict(want)}")
        return complaints


def _size(fields):
    return WORD * max(word + count for word, count in fields.values())
