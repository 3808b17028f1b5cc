#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the meter for an instant and holds what it prints to what must be so on any machine: figures that belong together,
nothing lost, nothing broken, and one clear line for what it cannot do. How fast anything is, is no business of a test's."""

import json
import os
import subprocess
import unittest

METER = os.environ["FAIRLEAD_MPPS"]
SHORT = ["--table", "65536", "--seconds", "0.3", "--rounds", "3"]  # an odd number: a median is one round's figure


def run(*arguments):
    return subprocess.run([METER, *arguments], capture_output=True, text=True, timeout=120)


class Meter(unittest.TestCase):
    def measure(self, *arguments):
        ran = run("--json", *SHORT, *arguments)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout)

    def test_established_flows(self):
        m = self.measure("--flows", "5000")
        self.assertEqual((m["pipeline"], m["flows"], m["size"], m["headers"], m["forwarding"]), ("all", 5000, 64, "warm", "gue"))
        self.assertEqual((m["lost"], m["broken"]), (0, 0))
        self.assertGreater(m["packets"], 1000)
        self.assertEqual(m["by_connection"], 1.0)
        self.assertAlmostEqual(m["mpps"], 1000 / m["gross_ns_per_packet"], delta=0.01 * m["mpps"])
        for key in ("ns_per_packet", "io_ns_per_packet", "macswap_ns_per_packet", "full_to_macswap"):
            self.assertIsNotNone(m[key], key)

    def test_new_flows_are_recorded_round_after_round(self):
        m = self.measure("--flows", "1000", "--new-flows", "1")
        self.assertEqual((m["lost"], m["broken"]), (0, 0))
        self.assertGreater(m["new_flows_per_second"], 100)
        self.assertAlmostEqual(m["by_connection"], 0.99, delta=0.005)

    def test_generations_under_load_break_nothing(self):
        m = self.measure("--flows", "5000", "--updates-per-second", "50", "--backends", "20")
        self.assertEqual((m["lost"], m["broken"]), (0, 0))
        self.assertIsNotNone(m["update_cost_percent"])
        self.assertLess(m["reach_p99_us"], 1_000_000)

    def test_many_services_sizes_and_cold_headers(self):
        for arguments in (["--services", "20", "--backends", "60"], ["--imix"], ["--size", "1518", "--forwarding", "ipip"], ["--headers", "cold"]):
            m = self.measure("--flows", "1000", *arguments)
            self.assertEqual((m["lost"], m["broken"]), (0, 0), arguments)

    def test_one_pipeline_alone(self):
        m = self.measure("--pipeline", "macswap", "--flows", "100")
        self.assertIsNone(m["gross_ns_per_packet"])
        self.assertAlmostEqual(m["mpps"], 1000 / m["macswap_ns_per_packet"], delta=0.01 * m["mpps"])

    def test_what_it_cannot_do_is_one_line(self):
        for arguments, code, words in (
            (["--flows", "60000", "--table", "65536"], 64, "--table"),
            (["--services", "10", "--backends", "5"], 64, "--services"),
            (["--pipeline", "io", "--updates-per-second", "5"], 64, "--updates-per-second"),
            (["--size", "63"], 64, "--size"),
            (["--pipeline", "ful"], 64, "--pipeline"),
            (["--workers", "16", "--lcores", "0"], 78, "--workers"),
            (["--lcores", "0-x"], 78, "--lcores"),
        ):
            ran = run(*arguments)
            self.assertEqual(ran.returncode, code, (arguments, ran.stderr))
            self.assertEqual(len(ran.stderr.strip().splitlines()), 1, ran.stderr)
            self.assertIn(words, ran.stderr)
            self.assertEqual(ran.stdout, "")


if __name__ == "__main__":
    unittest.main()
