#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a libFuzzer target for a short while from seeds made of tests/packet's cases, so that it starts where the interesting
packets are. A finding is kept beside the target, printed in base64, and fails the test.

  run_fuzzer.py TARGET {frames,snapshot,config} [--seconds N]
"""
import argparse
import base64
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "packet"))
import capture  # noqa: E402

# Fewer executions than this a second, and the target spends its time on something else than what it is for.
EXECUTIONS_PER_S_MIN = 20
LENGTH_MAX = {"frames": 16384, "snapshot": 8192, "config": 4096}
END_BURST = 0x01  # frames_fuzzer.cpp


def frame_seeds(case):
    """The case's frames as steps; as bursts of 32, and each on its own."""
    frames = [frame for _, frame in capture.read(case / "in.pcap") if len(frame) < 2000][:120]
    for burst in (1, 32):
        yield b"".join(struct.pack("<BH", END_BURST if i % burst == 0 else 0, len(f)) + f for i, f in enumerate(frames))


def config_seeds(case):
    for path in case.glob("config*.yaml"):
        yield path.read_bytes()


def snapshot_seeds(case):
    """None: the target's mutator begins with a sound snapshot of its own."""
    return ()


SEEDS = {"frames": frame_seeds, "snapshot": snapshot_seeds, "config": config_seeds}


def write_seeds(kind, directory):
    seeds = sorted({seed for case in sorted((TESTS / "packet" / "cases").iterdir()) for seed in SEEDS[kind](case)})
    for number, seed in enumerate(seeds):
        (directory / f"seed-{number:04}").write_bytes(seed)


def main():
    parser = argparse.ArgumentParser(description="Runs a libFuzzer target for a short while.")
    parser.add_argument("target", type=pathlib.Path)
    parser.add_argument("kind", choices=SEEDS)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    target = options.target.resolve()
    findings = target.parent / f"{target.name}-findings"
    findings.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fairlead-fuzz-") as corpus:
        write_seeds(options.kind, pathlib.Path(corpus))
        command = [target, f"-max_total_time={options.seconds}", "-seed=1", "-timeout=10", "-rss_limit_mb=1500", "-print_final_stats=1",
                   f"-max_len={LENGTH_MAX[options.kind]}", f"-artifact_prefix={findings}/", corpus]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=options.seconds + 120)
    if done.returncode != 0:
        print(done.stdout[-8000:])
        if written := re.findall(r"Test unit written to (\S+)", done.stdout):
            print(f"finding {written[-1]}:\n{base64.b64encode(pathlib.Path(written[-1]).read_bytes()).decode()}")
        return 1

    executions = int(re.search(r"stat::number_of_executed_units:\s+(\d+)", done.stdout)[1])
    features = re.findall(r"ft: (\d+)", done.stdout)[-1]
    print(f"{target.name}: {executions} executions, {executions / options.seconds:.0f} a second, {features} features covered")
    return 0 if executions >= EXECUTIONS_PER_S_MIN * options.seconds else 1


if __name__ == "__main__":
    sys.exit(main())
