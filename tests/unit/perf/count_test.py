#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What perf/instructions/count says of what it cannot do: one line, before anything is counted. What it counts is held to a
baseline by a test of its own."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

COUNT = pathlib.Path(__file__).resolve().parents[3] / "perf/instructions/count"


def run(*arguments):
    return subprocess.run([sys.executable, COUNT, *arguments], capture_output=True, text=True, timeout=60)


class Count(unittest.TestCase):
    def test_what_it_cannot_do_is_one_line(self):
        with tempfile.TemporaryDirectory() as directory:
            for arguments, words in (
                (["--program", "/nonexistent"], "--program /nonexistent: No such file or directory"),
                (["--program", directory], f"--program {directory}: Permission denied"),
                (["--program", "/bin/true"], "--program /bin/true: is no count_path"),
                (["--program", "/bin/echo"], "--program /bin/echo: is no count_path"),
                (["--json", "/nonexistent/x"], "--json /nonexistent/x: is no file that can be written"),
                (["--json", directory], f"--json {directory}: is no file that can be written"),
            ):
                ran = run(*arguments)
                self.assertEqual((ran.returncode, ran.stdout, len(ran.stderr.splitlines())), (1, "", 1), ran.stderr)
                self.assertIn(f"instructions: {words}", ran.stderr)

    def test_usage_is_usage(self):
        self.assertTrue(run("--help").stdout.startswith("usage: count [-h] [--program PATH]"))
        self.assertEqual(run("--lines", "-1").returncode, 2)


if __name__ == "__main__":
    unittest.main()
