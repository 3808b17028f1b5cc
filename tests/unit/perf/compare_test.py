#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The parts of perf/compare.sh and perf/mpps.sh that need no measurement: how a run ends when what it measures dies, what is read out of
wrk's report, and how many hugepages are lent."""

import json
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

    def test_what_wrk_says_is_read_in_all_its_units(self):
        answers_in_all = 3_000_000_000  # a third of a million a second for as long as --seconds may be
        report = """Running {asked} test @ http://198.51.100.10/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.45ms    2.06ms  40.88ms   88.41%
    Req/Sec    48.31k     5.10k   62.50k    69.50%
  Latency Distribution
     50%  {p50}
     75%    1.94ms
     90%    4.13ms
     99%  {p99}
  {answers} requests in {time}, 81.20MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec: {rate:9.2f}
Transfer/sec:      8.12MB
"""
        for asked, time, seconds in (("10s", "10.00s", 10.0), ("1m", "1.00m", 60.04), ("90s", "1.50m", 90.1), ("1h", "1.00h", 3600.1), ("2h", "2.78h", 9999.0)):
            for p50, p99, p50_us, p99_us in (("712.00us", "9.93ms", 712, 9930), ("1.20s", "1.50m", 1200000, 90000000), ("1.00m", "1.00h", 60000000, 3600000000)):
                text = report.format(asked=asked, time=time, p50=p50, p99=p99, answers=answers_in_all, rate=answers_in_all / seconds)
                ran = self.bash('source "$root/perf/compare/load.sh"; wrk_json', input=text)
                self.assertEqual(ran.returncode, 0, ran.stderr)
                answer = json.loads(ran.stdout)
                self.assertEqual({key: answer[key] for key in ("answers", "failed", "p50_us", "p99_us")},
                                 {"answers": answers_in_all, "failed": 15, "p50_us": p50_us, "p99_us": p99_us}, text)
                self.assertAlmostEqual(answer["seconds"], seconds, delta=seconds / 10000)

    def test_a_wrk_without_answers_has_none(self):
        ran = self.bash('source "$root/perf/compare/load.sh"; wrk_json', input="  0 requests in 1.00m, 0.00B read\nRequests/sec:      0.00\n")
        self.assertEqual(json.loads(ran.stdout), {"answers": 0, "failed": 0, "seconds": 60.0, "p50_us": 0, "p99_us": 0})
        self.assertNotEqual(self.bash('source "$root/perf/compare/load.sh"; wrk_json', input="unable to connect\n").returncode, 0)

    def test_hugepages_are_lent_besides_those_in_use(self):
        meminfo = self.work / "meminfo"
        for total, free, reserved, needed, wanted in ((0, 0, 0, 224, "224"), (224, 224, 0, 224, ""), (300, 0, 0, 224, "524"), (300, 100, 0, 224, "424"),
                                                      (300, 230, 10, 224, "304"), (500, 224, 0, 224, "")):
            meminfo.write_text(f"MemTotal: 9 kB\nHugePages_Total:   {total}\nHugePages_Free:  {free}\nHugePages_Rsvd:  {reserved}\nHugePages_Surp:    0\n")
            ran = self.bash('source "$root/perf/mpps/hugepages.sh"; hugepages_wanted "$@"', str(needed), str(meminfo))
            self.assertEqual((ran.returncode, ran.stdout.strip()), (0, wanted), ran.stderr)


if __name__ == "__main__":
    unittest.main()
