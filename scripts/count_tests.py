#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts test cases of all kinds and names those that failed: scripts/test.sh's last line.

A results directory holds, for each run NAME:
  NAME.junit.xml   the cases, as `meson test` wrote them
  NAME.json        how each program ended, from `meson test` too: all cases may pass and a sanitizer still object
  NAME.gtest/      what GoogleTest programs wrote themselves (GTEST_OUTPUT), for tests that meson knows only by exit code
  NAME.tap         what a lab test printed ("ok - ...", "not ok - ...", "# SKIP"); NAME.exit holds its exit code
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


class Count:
    def __init__(self):
        self.passed = 0
        self.skipped = 0
        self.failures = []
        self.skips = []

    def add(self, name, case):
        """One JUnit test case, meson's or GoogleTest's."""
        if case.find("failure") is not None or case.find("error") is not None:
            self.failures.append(name)
        elif case.find("skipped") is not None or case.get("result") == "skipped" or case.get("status") == "notrun":
            self.skipped += 1
            self.skips.append(name)
        else:
            self.passed += 1


def count_meson(count, run, junit, programs, own_reports):
    """Each case once: from the program's own report where there is one, from meson otherwise."""
    own = {path.stem: ElementTree.parse(path).getroot() for path in own_reports}
    for suite in ElementTree.parse(junit).getroot().iter("testsuite"):
        label = (suite.get("name") or "").split(" / ")[-1]
        for case in suite.iter("testcase"):
            name = case.get("name").split(" / ")[-1]
            if name not in own:
                count.add(f"{run}: {name if label in ('', 'fairlead') else f'{label}.{name}'}", case)
                continue
            for inner in own[name].iter("testcase"):
                count.add(f"{run}: {name}.{inner.get('classname')}.{inner.get('name')}", inner)
    for line in programs.read_text(encoding="utf-8", errors="replace").splitlines():
        program = json.loads(line)
        name = program["name"].split(" / ")[-1]
        if program["result"] in ("OK", "SKIP", "EXPECTEDFAIL"):
            continue
        if not any(re.match(re.escape(f"{run}: {name}") + r"(\.|$)", failure) for failure in count.failures):
            count.failures.append(f"{run}: {name}: no case failed, but the program did ({program['result']})")


def count_tap(count, run, path):
    seen = 0
    failures_before = len(count.failures)
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.match(r"(not )?ok\b[ -]*(.*)", line)
        if not match:
            continue
        seen += 1
        if match.group(1):
            count.failures.append(f"{run}: {match.group(2)}")
        elif "# SKIP" in line:
            count.skipped += 1
            count.skips.append(f"{run}: {match.group(2)}")
        else:
            count.passed += 1
    exit_code = path.with_suffix(".exit").read_text(encoding="ascii").strip()
    if seen == 0 or (exit_code != "0" and len(count.failures) == failures_before):
        count.failures.append(f"{run}: ended with exit code {exit_code} after {seen} checks")


def main():
    results = pathlib.Path(sys.argv[1])
    count = Count()
    for path in sorted(results.iterdir()):
        run = path.name.split(".")[0]
        if path.name.endswith(".junit.xml"):
            count_meson(count, run, path, results / f"{run}.json", (results / f"{run}.gtest").glob("*.xml"))
        elif path.suffix == ".tap":
            count_tap(count, run, path)
        elif path.suffix == ".failed":      # a step of scripts/test.sh itself
            count.failures.append(f"{run}: {path.read_text(encoding='utf-8').strip()}")
    for name in count.skips:
        print(f"skipped: {name}")
    for name in count.failures:
        print(f"FAILED: {name}")
    print(f"{count.passed} passed, {len(count.failures)} failed, {count.skipped} skipped")
    return 1 if count.failures or count.passed + count.skipped == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
