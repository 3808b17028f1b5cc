#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host.sh on this very machine: what can be changed here is changed, read back, and put back to the byte; and users without privileges are
told so."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

HOST = pathlib.Path(__file__).resolve().parents[3] / "scripts/host.sh"
PAGES = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
UNIT = HOST.parent / "systemd/fairlead-host.service"
QUEUE = pathlib.Path("/sys/devices/virtual/workqueue/cpumask")


def run(*arguments, before=()):
    return subprocess.run([*before, HOST, *arguments], capture_output=True, text=True, timeout=60)


def affinities():
    found = {}
    for path in pathlib.Path("/proc/irq").glob("*/smp_affinity"):
        found[path] = path.read_bytes()
    return found


def may_write(path):
    return os.geteuid() == 0 and os.access(path, os.W_OK)


class Machine(unittest.TestCase):
    def setUp(self):
        self.state = tempfile.mkdtemp(prefix="fairlead-host-")
        self.addCleanup(shutil.rmtree, self.state)

    def ok(self, *arguments):
        ran = run(*arguments, "--state", self.state)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        return ran.stdout

    @unittest.skipUnless(may_write(PAGES), "hugepages cannot be changed here")
    def test_hugepages(self):
        before, mounts = PAGES.read_bytes(), pathlib.Path("/proc/mounts").read_text()
        wanted = int(before) + 2
        self.addCleanup(lambda: PAGES.write_bytes(before))
        self.ok("hugepages", "--count", str(wanted))
        self.assertEqual(int(PAGES.read_text()), wanted)
        self.assertIn(" hugetlbfs ", pathlib.Path("/proc/mounts").read_text())
        self.assertIn("nothing to do", self.ok("hugepages", "--count", str(wanted)))
        self.ok("hugepages", "--undo")
        self.assertEqual(PAGES.read_bytes(), before)
        self.assertEqual(pathlib.Path("/proc/mounts").read_text(), mounts)

    @unittest.skipUnless(may_write(PAGES) and may_write(QUEUE) and shutil.which("setpriv") and (os.cpu_count() or 1) > 1, "no root, no setpriv or one CPU")
    def test_the_units_capabilities_suffice(self):
        capabilities = re.search(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.MULTILINE)[1].lower().replace("cap_", "").split()
        confined = ["setpriv", "--no-new-privs", "--bounding-set", ",".join(["-all", *(f"+{name}" for name in capabilities)])]
        before = PAGES.read_bytes(), QUEUE.read_bytes(), affinities()
        self.addCleanup(lambda: PAGES.write_bytes(before[0]))
        self.addCleanup(lambda: run("cores", "--undo", "--state", self.state))
        wanted, cpu = int(before[0]) + 1, (os.cpu_count() or 2) - 1
        mounted = pathlib.Path(self.state, "mounted")    # as the .mount units do that it wants
        mounted.mkdir()
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "hugetlbfs", mounted], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", mounted], check=True))
        ran = run("hugepages", "--count", str(wanted), "--state", self.state, before=confined)
        self.assertEqual((ran.returncode, int(PAGES.read_text())), (0, wanted), ran.stderr)
        self.ok("hugepages", "--undo")
        ran = run("cores", "--cpus", str(cpu), "--state", self.state, before=confined)
        self.assertEqual((ran.returncode, int(QUEUE.read_text().replace(",", ""), 16) >> cpu & 1), (0, 0), ran.stderr)
        self.ok("cores", "--undo")
        self.assertEqual((PAGES.read_bytes(), QUEUE.read_bytes(), affinities()), before)

    @unittest.skipUnless(may_write(PAGES), "hugepages cannot be changed here")
    def test_more_hugepages_than_memory(self):
        before = PAGES.read_bytes()
        ran = run("hugepages", "--count", "999999999", "--state", self.state)
        self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (78, 1), ran.stderr)
        self.assertEqual(PAGES.read_bytes(), before)

    @unittest.skipUnless(may_write(QUEUE) and (os.cpu_count() or 1) > 1, "the kernel's work cannot be moved here")
    def test_interrupts_and_work(self):
        before = affinities(), QUEUE.read_bytes()
        self.addCleanup(lambda: run("cores", "--undo", "--state", self.state))
        cpu = (os.cpu_count() or 2) - 1
        self.ok("cores", "--cpus", str(cpu))
        self.assertEqual(int(QUEUE.read_text().replace(",", ""), 16) >> cpu & 1, 0)
        self.assertIn("nothing to do", self.ok("cores", "--cpus", str(cpu)))
        self.ok("cores", "--undo")
        self.assertEqual((affinities(), QUEUE.read_bytes()), before)

    def test_check_tells_something_of_every_machine(self):
        ran = run("check")
        self.assertIn(ran.returncode, (0, 78), ran.stderr)
        self.assertEqual(ran.stderr, "")
        self.assertRegex(ran.stdout, r"(?m)^cpu +(ok|mend)  ")

    def test_without_privileges(self):
        before = []
        if os.geteuid() == 0:
            if not shutil.which("setpriv"):
                self.skipTest("no setpriv")
            before = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        if subprocess.run([*before, "test", "-x", HOST]).returncode:
            self.skipTest("another user cannot come to the script")
        for arguments in (["hugepages", "--count", "3"], ["cores", "--workers", "1"], ["bind", "0000:03:00.0"], ["unbind", "--all"], ["boot"]):
            ran = run(*arguments, before=before)
            self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (1, 1), ran.stderr)
            self.assertIn("needs root", ran.stderr)
        self.assertEqual(run("unbind", "--all", "--dry-run", before=before).returncode, 0)


if __name__ == "__main__":
    unittest.main()
