#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host.sh hugepages on a laid-out server of two nodes."""

import fcntl
import os
import pty
import select
import subprocess
import termios
import threading

import server
from server import ServerTest

GLOBAL = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"


class StingyKernel:
    """nr_hugepages as a kernel has it that finds only so many pages: a terminal, of which each reader gets the number that there is."""

    def __init__(self, path, there_are, most):
        self.master, slave = pty.openpty()
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        path.unlink()
        path.symlink_to(os.ttyname(slave))
        self.slave, self.there_are, self.most, self.written = slave, there_are, most, []
        self.tell(3)  # to decide, to record, to write
        self.ends = False
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def tell(self, times=1):
        os.write(self.master, f"{self.there_are}\n\x04".encode() * times)

    def listen(self):
        while not self.ends:
            if select.select([self.master], [], [], 0.01)[0]:
                for number in os.read(self.master, 100).split():
                    self.written.append(int(number))
                    self.there_are = min(int(number), self.most)
                    self.tell()

    def close(self):
        self.ends = True
        self.thread.join()
        os.close(self.master)
        os.close(self.slave)


class Hugepages(ServerTest):
    def setUp(self):
        super().setUp()
        for directory in ("kernel/mm", "devices/system/node/node0", "devices/system/node/node1"):
            for kilobytes in (2048, 1048576):
                self.server.write(f"sys/{directory}/hugepages/hugepages-{kilobytes}kB/nr_hugepages", "3\n")
                self.server.write(f"sys/{directory}/hugepages/hugepages-{kilobytes}kB/free_hugepages", "1\n")
        for node in (0, 1):
            self.server.write(f"sys/devices/system/node/node{node}/meminfo", f"Node {node} MemTotal: 9 kB\nNode {node} MemFree:        {2097152 + node * 2097152} kB\n")
        self.server.write("proc/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\nhugetlbfs /dev/hugepages1G hugetlbfs rw,relatime,pagesize=1024M 0 0\n")
        self.before = self.server.snapshot("var")

    def test_taken_once_and_given_back_to_the_byte(self):
        self.assertIn(f"echo '512' >{self.server.root}/{GLOBAL}", self.changes_nothing("hugepages", "--memory", "1G", "--dry-run"))
        self.assertIn("there are 512 hugepages of 2M (1 GB)", self.ok("hugepages", "--memory", "1G"))
        self.assertEqual(self.server.read(GLOBAL), "512\n")
        self.assertIn("nothing to do: there are 512", self.changes_nothing("hugepages", "--memory", "1G"))
        self.assertIn("nothing to do", self.changes_nothing("hugepages", "--count", "100"))
        self.ok("hugepages", "--count", "600")
        self.ok("hugepages", "--undo")  # to what was there before the first
        self.assert_as(self.before, "var")
        self.assertIn("nothing to do", self.changes_nothing("hugepages", "--undo"))

    def test_of_a_node_and_of_a_size(self):
        self.ok("hugepages", "--count", "5", "--node", "1", "--size=1G")
        self.assertEqual(self.server.read("sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages"), "5\n")
        self.ok("hugepages", "--count", "8", "--node", "0")
        self.ok("hugepages", "--undo")
        self.assert_as(self.before, "var")

    def test_the_kernel_gives_fewer(self):
        kernel = StingyKernel(self.server.root / GLOBAL, there_are=3, most=400)
        self.addCleanup(kernel.close)
        ran = self.server.run("hugepages", "--memory", "1G")
        self.assertEqual(ran.returncode, 78)
        self.assertEqual(len(ran.stderr.splitlines()), 1, ran.stderr)
        for words in ("needs 512 hugepages of 2M (1 GB)", "the kernel gave 400 (800 MB)", "hugepages=512", "there are 3 again"):
            self.assertIn(words, ran.stderr)
        self.assertEqual(kernel.written, [512, 3])
        self.assertFalse((self.server.state / "hugepages").exists())

    def test_of_two_at_once_the_second_takes_nothing_back(self):
        """It has waited for the lock, and what it meant to write is less than what is there by now; so is what it found."""
        self.server.state.mkdir(parents=True)
        for fails in (False, True):
            with self.subTest(fails=fails), open(self.server.state / "lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self.server.write(GLOBAL, "3\n")
                self.server.write("etc/fairlead", "a file\n")
                second = subprocess.Popen([server.HOST, "hugepages", "--count", "512", *["--persist"] * fails], env=self.server.environment(), text=True,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                while not second.stdout.readline().startswith("  echo '512'"):
                    pass
                self.server.write(GLOBAL, "2048\n")
                kept = self.server.write(f"var/lib/fairlead-host/hugepages/values/{GLOBAL}", "3\n")
                self.server.write("var/lib/fairlead-host/hugepages/boot_id", "1c9a\n")
                fcntl.flock(lock, fcntl.LOCK_UN)
                said = second.communicate(timeout=60)
                self.assertEqual(second.returncode, 1 if fails else 0, said)
                self.assertEqual(self.server.read(GLOBAL), "2048\n")
                self.assertTrue(kept.exists())

    def test_what_cannot_be(self):
        for code, words, *arguments in (
            (2, ["--count N or --memory SIZE"],),
            (2, ["not both"], "--count", "3", "--memory", "1G"),
            (2, ["--count takes a number, not 'many'"], "--count", "many"),
            (2, ["--count takes a number, not '-5'"], "--count", "-5"),
            (2, ["'much' is no size"], "--memory", "much"),
            (2, ["--size takes 2M or 1G, not '4K'"], "--count", "3", "--size", "4K"),
            (2, ["takes no 'please'"], "--count", "3", "please"),
            (78, ["--node 2", "has node 0 1"], "--count", "3", "--node", "2"),
            (78, ["needs 16.99 GB more", "16 GB are free"], "--memory", "17G"),
            (78, ["needs 4.994 GB more on node 1", "4 GB are free"], "--memory", "5G", "--node", "1"),
        ):
            with self.subTest(arguments):
                self.refused(code, words, "hugepages", *arguments)

    def test_a_size_that_this_cpu_lacks(self):
        import shutil
        shutil.rmtree(self.server.root / "sys/kernel/mm/hugepages/hugepages-1048576kB")
        self.refused(78, ["no hugepages of 1G", "--size 2M"], "hugepages", "--count", "3", "--size", "1G")

    def test_where_no_hugetlbfs_is_mounted_it_will_be(self):
        self.server.write("proc/mounts", "proc /proc proc rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\n")
        self.assertIn("mount -t hugetlbfs -o pagesize=1G", self.changes_nothing("hugepages", "--count", "4", "--size", "1G", "--dry-run"))

    def test_what_is_mounted_is_not_mounted_again(self):
        """The kernel names page sizes in K and M only."""
        said = self.changes_nothing("hugepages", "--count", "4", "--size", "1G", "--dry-run")
        self.assertIn("nr_hugepages", said)
        self.assertNotIn("mount -t", said)
        self.assertIn("nothing to do", self.changes_nothing("hugepages", "--count", "3", "--size", "1G"))


if __name__ == "__main__":
    server.main()
