#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/packet/cases from case_list.py and the oracle.

  make_cases.py                          write all cases
  make_cases.py --check                  write nothing; fail if a file of the tree is not what would be written
  make_cases.py --record-choices PROGRAM ask `fairlead replay` which backend new flows get where there are several, then write

Needs scapy (Debian: python3-scapy).
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import scapy  # noqa: F401
except ImportError:
    print("skipped: needs scapy (Debian: python3-scapy)")
    sys.exit(77)

import capture
from case_list import CASES
from oracle import MissingChoice, Oracle, flow_text
from traffic import NS_PER_S, format_yaml

CASES_DIRECTORY = pathlib.Path(__file__).resolve().parent / "cases"


def config_name(generation):
    return f"config-{generation}.yaml" if generation else "config.yaml"


def inputs(name, traffic):
    """The files that do not depend on any decision."""
    arguments = [["--at", str(at), config_name(i)] for i, (at, _) in enumerate(traffic.configs) if i]
    arguments += [["--forget", str(at)] for at in traffic.forgets]
    facts = {"description": CASES[name].__doc__, "arguments": sum(arguments, [])}
    if traffic.dataplane:
        facts["replay_only"] = traffic.dataplane
    if traffic.shares:
        facts["shares"] = traffic.shares
        facts["shares_tolerance"] = traffic.shares_tolerance
    files = {config_name(i): format_yaml(configuration).encode() for i, (_, configuration) in enumerate(traffic.configs)}
    files["case.json"] = (json.dumps(facts, indent=2) + "\n").encode()
    files["in.pcap"] = capture.encode([(p.time_ns, p.frame) for p in traffic.packets])
    return files


def outputs(traffic, choices):
    """What should come out: out.pcap and decisions.jsonl."""
    oracle = Oracle(choices)
    configs, decisions, out, latest_ns = dict(traffic.configs), [], [], 0
    for number, packet in enumerate(traffic.packets):
        if number in configs:
            oracle.adopt(configs[number])
        if number in traffic.forgets:
            oracle.forget()
        latest_ns = max(latest_ns, packet.time_ns)
        decision, frame = oracle.decide(packet, latest_ns // NS_PER_S)
        decisions.append(json.dumps({"packet": number, **decision}, separators=(",", ":")) + "\n")
        if frame:
            out.append((packet.time_ns, frame))
    return {"out.pcap": capture.encode(out), "decisions.jsonl": "".join(decisions).encode()}


def needs_choices(traffic):
    try:
        outputs(traffic, {})
    except MissingChoice:
        return True
    return False


def record(program, name, traffic, files):
    """Which backends the program gives to new flows, by generation."""
    with tempfile.TemporaryDirectory() as directory:
        for file, content in files.items():
            pathlib.Path(directory, file).write_bytes(content)
        arguments = json.loads(files["case.json"])["arguments"]
        subprocess.run([pathlib.Path(program).resolve(), "replay", "--config", "config.yaml", "--in", "in.pcap", "--out", "out.pcap",
                        "--decisions", "decisions.jsonl", *arguments], cwd=directory, check=True)
        decisions = [json.loads(line) for line in pathlib.Path(directory, "decisions.jsonl").read_text().splitlines()]
    choices, generation, starts = {}, -1, {at: i for i, (at, _) in enumerate(traffic.configs)}
    for packet, decision in zip(traffic.packets, decisions):
        generation = starts.get(decision["packet"], generation)
        if decision["source"] == "row":
            choices.setdefault(str(generation), {})[flow_text(packet.flow)] = decision["backend"]
    return {"choices.json": (json.dumps(choices, indent=1) + "\n").encode()}


def make(name, program):
    """All files of a case, by name."""
    traffic = CASES[name]()
    files = inputs(name, traffic)
    if needs_choices(traffic):
        if program:
            files |= record(program, name, traffic, files)
        else:
            files["choices.json"] = (CASES_DIRECTORY / name / "choices.json").read_bytes()
    return files | outputs(traffic, json.loads(files.get("choices.json", b"{}")))


def check(name, files):
    """-> complaints about the tree."""
    directory = CASES_DIRECTORY / name
    found = {path.name: path.read_bytes() for path in directory.iterdir()} if directory.is_dir() else {}
    return [f"{name}/{file}: " + ("missing" if file not in found else "not made by this generator" if file not in files else "differs")
            for file in sorted(files.keys() | found.keys()) if files.get(file) != found.get(file)]


def write(name, files):
    directory = CASES_DIRECTORY / name
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        if path.name not in files:
            path.unlink()
    for file, content in files.items():
        (directory / file).write_bytes(content)


def main():
    parser = argparse.ArgumentParser(description="Makes the packet cases from their descriptions and the oracle.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the tree holds anything else")
    parser.add_argument("--record-choices", metavar="PROGRAM", help="the fairlead program to ask for new flows' backends")
    parser.add_argument("case", nargs="*", help="only these")
    options = parser.parse_args()
    complaints = []
    for name in options.case or CASES:
        files = make(name, options.record_choices)
        if options.check:
            complaints += check(name, files)
        else:
            write(name, files)
    if options.check and not options.case:
        complaints += [f"{path.name}: no such case" for path in CASES_DIRECTORY.iterdir() if path.name not in CASES]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    print(f"{len(options.case or CASES)} cases " + ("checked" if options.check else "written"))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
