#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The parts of perf/compare.sh and perf/mpps.sh that need no measurement: how a run ends when what it measures dies, what is read out of
wrk's report, and how many hugepages are lent."""

import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Scripts(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.work = pathlib.Path(self.place.name)

    def bash(self, script, *arguments, **options):
        """Runs it as the scripts run, with `root` and `work` set."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        begin = f"set -euo pipefail\nroot={ROOT}\nwork={self.work}\ndie() {{ echo \"compare: $*\" >&2; exit 1; }}\n"
        return subprocess.run(["bash", "-c", begin + script, "bash", *arguments], text=True, timeout=60, **options)

    def program(self, name, text):
        path = self.work / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return {**os.environ, "PATH": f"{path.parent}:{os.environ['PATH']}"}

    def test_a_testpmd_that_dies_is_an_error_that_is_tidied_up_after(self):
        for life in ("", "read start; "):  # before it is told anything, and after
            environment = self.program("dpdk-testpmd", f"{life}echo 'EAL: no memory'; exit 1\n")
            ran = self.bash("""
                trap 'echo tidied' EXIT
                other_cpus=(0) balancer_cpu=0 all_cpus=$(taskset -cp $$ | sed 's/.*: //')
                source "$root/perf/compare/testpmd.sh"
                testpmd_measure io 1""", env=environment)
            self.assertEqual((ran.returncode, ran.stdout), (1, "tidied\n"), ran.stderr)
            self.assertIn("EAL: no memory", ran.stderr)
            self.assertIn("testpmd in mode io did not forward", ran.stderr)

    def test_a_broken_pipe_ends_a_script_as_a_signal_does(self):
        read, write = os.pipe()
        os.close(read)
        ran = self.bash("""
            lab_name=compare-test-$$
            source "$root/scripts/lab/traffic.sh"
            last_word() { echo "tidied after $1" >&2; return "$1"; }
            end_on_exit
            echo nobody reads this
            echo not reached >&2""", stdout=write)
        os.close(write)
        self.assertEqual(ran.returncode, 141, ran.stderr)
        self.assertIn("tidied after 141", ran.stderr)
        self.assertNotIn("not reached", ran.stderr)


if __name__ == "__main__":
    unittest.main()
