#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the packet cases through the real packet path and compares what comes out, byte for byte.

  run_cases.py --replay build/bin/fairlead                                                offline, all cases
  run_cases.py --dataplane build/bin/fairlead-dataplane --control build/bin/fairleadd     the same through DPDK's pcap port

Needs no privileges; nothing but the standard library.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import capture
from compare import compare_decisions, compare_frames

CASES_DIRECTORY = pathlib.Path(__file__).resolve().parent / "cases"
TIMEOUT_S = 60


def load(directory):
    return json.loads((directory / "case.json").read_text())


def expected_frames(directory):
    return [frame for _, frame in capture.read(directory / "out.pcap")]


def expected_decisions(directory):
    return [json.loads(line) for line in (directory / "decisions.jsonl").read_text().splitlines()]


def run_replay(program, directory, scratch):
    """-> complaints, one a line."""
    out, decisions = scratch / "out.pcap", scratch / "decisions.jsonl"
    command = [program, "replay", "--config", "config.yaml", "--in", "in.pcap", "--out", out, "--decisions", decisions]
    command += load(directory)["arguments"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        return [f"replay: exit code {done.returncode}: {done.stderr.strip()}"]
    complaints = compare_decisions(expected_decisions(directory), [json.loads(line) for line in decisions.read_text().splitlines()])
    complaints += compare_frames(expected_frames(directory), [frame for _, frame in capture.read(out)])
    if [t for t, _ in capture.read(directory / "out.pcap")] != [t for t, _ in capture.read(out)]:
        complaints.append("out.pcap: other timestamps than the packets came with")
    return complaints


def run_dataplane(options, directory, scratch):
    from dataplane import Dataplane  # only here: replay needs none of it

    frames = [frame for _, frame in capture.read(directory / "in.pcap")]
    with Dataplane(options.dataplane, options.control, directory / "config.yaml", directory / "in.pcap", scratch) as dataplane:
        counters = dataplane.wait_for_packets(len(frames))
    complaints = counters.compare(frames, expected_frames(directory), expected_decisions(directory))
    sent = [frame for _, frame in capture.read(scratch / "out.pcap")]
    return complaints + compare_frames(expected_frames(directory), sent, any_source_mac=True)


def main():
    parser = argparse.ArgumentParser(description="Runs the packet cases and compares what comes out.")
    parser.add_argument("--replay", metavar="FAIRLEAD", type=pathlib.Path, help="the fairlead program")
    parser.add_argument("--dataplane", metavar="FAIRLEAD_DATAPLANE", type=pathlib.Path, help="the fairlead-dataplane program; needs --control")
    parser.add_argument("--control", metavar="FAIRLEADD", type=pathlib.Path, help="the fairleadd program")
    parser.add_argument("case", nargs="*", help="only these")
    options = parser.parse_args()
    if bool(options.replay) == bool(options.dataplane) or bool(options.dataplane) != bool(options.control):
        parser.error("give --replay FAIRLEAD, or --dataplane FAIRLEAD_DATAPLANE and --control FAIRLEADD")
    for name in ("replay", "dataplane", "control"):
        if path := getattr(options, name):
            setattr(options, name, path.resolve())

    failed = run = 0
    for directory in sorted(CASES_DIRECTORY / name for name in options.case) or sorted(CASES_DIRECTORY.iterdir()):
        if options.dataplane and "replay_only" in load(directory):
            continue
        with tempfile.TemporaryDirectory(prefix="fairlead-case-") as scratch:
            try:
                if options.replay:
                    complaints = run_replay(options.replay, directory, pathlib.Path(scratch))
                else:
                    complaints = run_dataplane(options, directory, pathlib.Path(scratch))
            except (OSError, ValueError, RuntimeError, subprocess.TimeoutExpired) as error:
                complaints = [str(error)]
        run += 1
        failed += bool(complaints)
        print(f"{'FAIL' if complaints else 'ok  '} {directory.name}")
        for complaint in complaints[:20]:
            print("    " + complaint.replace("\n", "\n    "))
        if len(complaints) > 20:
            print(f"    and {len(complaints) - 20} more")
    print(f"{run} cases, {failed} failed")
    return 1 if failed or not run else 0


if __name__ == "__main__":
    sys.exit(main())
