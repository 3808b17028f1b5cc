#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the generator into a port that takes everything and returns nothing: what could not be written is one clear line and
exit code 74, and the rest of the report is there all the same; what it lacks to start is one line and exit code 78."""

import json
import os
import resource
import subprocess
import unittest

PKTGEN = os.environ["FAIRLEAD_PKTGEN"]
RUN = [PKTGEN, "--port", "null", "--gateway-mac", "02:00:00:00:00:02", "--vip", "198.51.100.10", "--idle", "backoff", "--hugepages", "off",
       "--rate", "10k", "--seconds", "0.2", "--json"]


def run(*arguments, **options):
    return subprocess.run([*RUN, *arguments], text=True, timeout=60, stderr=subprocess.PIPE, **({"stdout": subprocess.PIPE} | options))


class Pktgen(unittest.TestCase):
    def is_one_line(self, text, *words):
        self.assertEqual(len(text.strip().splitlines()), 1, text)
        for word in words:
            self.assertIn(word, text)

    def test_a_full_disk_costs_the_flow_file_alone(self):
        for flows in ("10", "5000"):  # less than a block of it, and more
            ran = run("--flows", flows, "--flow-file", "/dev/full")
            self.assertEqual(ran.returncode, 74, ran.stderr)
            self.is_one_line(ran.stderr, "--flow-file /dev/full", "No space left on device")
            self.assertGreater(json.loads(ran.stdout)["trial"]["sent"], 0)

    def test_a_report_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            ran = run("--flows", "10", stdout=full)
        self.assertEqual(ran.returncode, 74, ran.stderr)
        self.is_one_line(ran.stderr, "report", "No space left on device")

    def test_the_flow_file_has_a_line_a_flow(self):
        read, write = os.pipe()
        ran = run("--flows", "20", "--flow-file", f"/dev/fd/{write}", pass_fds=[write])
        os.close(write)
        with open(read) as lines:
            header, *flows = lines.read().splitlines()
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertTrue(header.startswith("flow,client,port,sent"), header)
        self.assertEqual([line.split(",")[0] for line in flows], [str(flow) for flow in range(20)])

    @unittest.skipIf(os.environ.get("FAIRLEAD_SANITIZED") == "yes", "a sanitizer takes more address space than any limit leaves")
    def test_more_flows_than_it_may_have_memory_for(self):
        limit = 1 << 30
        ran = run("--flows", "20000000", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        self.assertEqual(ran.returncode, 78, ran.stderr)
        self.is_one_line(ran.stderr, "--flows 20000000", "needs 2048 MB")
        self.assertEqual(ran.stdout, "")


if __name__ == "__main__":
    unittest.main()
