#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host.sh cores on a laid-out server: two nodes of 32 cores with two threads each, CPU n and n + 64 on one core, 128 CPUs, so masks of four
words."""

import server
from server import ServerTest

NIC, OTHER = "0000:03:00.0", "0000:81:00.0"
ALL = ",".join(["ffffffff"] * 4)
QUEUE = "sys/devices/virtual/workqueue/cpumask"


def mask(*cpus):
    number = sum(1 << cpu for cpu in cpus)
    return [f"{number >> 32 * i & 0xffffffff:08x}" for i in (3, 2, 1, 0)]


class Cores(ServerTest):
    def setUp(self):
        super().setUp()
        s = self.server
        s.write("sys/devices/system/cpu/online", "0-127\n")
        s.write("sys/devices/system/cpu/isolated", "\n")
        for cpu in range(128):
            s.write(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", f"{cpu % 64},{cpu % 64 + 64}\n")
        s.write("sys/devices/system/node/node0/cpulist", "0-31,64-95\n")
        s.write("sys/devices/system/node/node1/cpulist", "32-63,96-127\n")
        s.nic(NIC, "ens3f0", node=0)
        s.nic(OTHER, "ens9f0", node=1, under="0000:80:01.0")
        for number, value in ((24, ALL), (25, ",".join(mask(1))), (26, ",".join(mask(0, 127))), (27, "00000000,00000000,00000000,00000002")):
            s.write(f"proc/irq/{number}/smp_affinity", value + "\n")
        s.write("proc/irq/default_smp_affinity", ALL + "\n")
        s.write(QUEUE, ALL + "\n")
        self.before = s.snapshot("var")

    def value(self, path):
        return int(self.server.read(path).strip().replace(",", ""), 16)

    def test_cores_of_the_nics_node_one_thread_each(self):
        said = self.changes_nothing("cores", "--workers", "3", "--nic", "ens3f0", "--dry-run")
        self.assertIn("workers on CPUs 1-3 of node 0; everything else on 0,4-64,68-127", said)
        self.assertIn("isolcpus=managed_irq,domain,1-3,65-67 nohz_full=1-3,65-67 rcu_nocbs=1-3,65-67 irqaffinity=0,4-64,68-127", said)
        self.assertIn("fairlead-dataplane --lcores 1-3 ", said)
        self.assertIn("CPUs 65-67 are the same cores' other threads", said)
        self.assertIn("--lcores 32-33 ", self.ok("cores", "--workers", "2", "--nic", OTHER, "--dry-run"))

    def test_interrupts_and_work_go_and_come_back_to_the_byte(self):
        self.ok("cores", "--workers", "3", "--node", "0")
        everything, kept_free = (1 << 128) - 1, sum(1 << cpu for cpu in (1, 2, 3, 65, 66, 67))
        for path in ("proc/irq/24/smp_affinity", "proc/irq/default_smp_affinity", QUEUE):
            self.assertEqual(self.value(path), everything & ~kept_free, path)
        self.assertEqual(self.value("proc/irq/25/smp_affinity"), everything & ~kept_free)  # was on a worker's CPU alone
        self.assertEqual(self.server.read("proc/irq/26/smp_affinity"), ",".join(mask(0, 127)) + "\n")  # was on none
        self.assertIn("nothing to do", self.changes_nothing("cores", "--workers", "3", "--node", "0"))
        self.ok("cores", "--workers", "5", "--node", "0")
        self.ok("cores", "--undo")
        self.assert_as(self.before, "var")
        self.assertIn("nothing to do", self.changes_nothing("cores", "--undo"))

    def test_an_interrupt_that_is_gone_or_cannot_be_moved_hinders_nothing(self):
        refusing = self.server.root / "proc/irq/28/smp_affinity"
        self.server.write("proc/irq/28/smp_affinity", ALL + "\n")
        refusing.chmod(0o444)
        if not __import__("os").access(refusing, 2):
            self.assertIn("interrupt 28 stays where it is", self.ok("cores", "--workers", "1", "--node", "0"))
            self.assertIn("nothing to do", self.changes_nothing("cores", "--workers", "1", "--node", "0"))
        else:  # root may write to it
            self.ok("cores", "--workers", "1", "--node", "0")
        (self.server.root / "proc/irq/24/smp_affinity").unlink()
        ran = self.server.run("cores", "--undo")
        self.assertEqual(ran.returncode, 0)
        self.assertIn("proc/irq/24/smp_affinity is not there any more", ran.stderr)
        self.assertEqual(self.server.read(QUEUE), ALL + "\n")

    def test_those_that_were_isolated_at_boot_come_first(self):
        self.server.write("sys/devices/system/cpu/isolated", "10-12,74-76\n")
        said = self.ok("cores", "--workers", "3", "--node", "0")
        self.assertIn("--lcores 10-12 ", said)
        self.assertIn("booted with these CPUs isolated", said)
        self.assertNotIn("GRUB", said)
        self.assertIn("--lcores 1,10-12 ", self.ok("cores", "--workers", "4", "--node", "0"))

    def test_irqbalance_would_undo_it(self):
        self.server.write("proc/814/comm", "irqbalance\n")
        self.assertIn("IRQBALANCE_BANNED_CPULIST=1,65 ", self.ok("cores", "--workers", "1", "--node", "0"))

    def test_what_cannot_be(self):
        for code, words, *arguments in (
            (2, ["--workers N or --cpus LIST"],),
            (2, ["--workers takes a number from 1 on, not '0'"], "--workers", "0"),
            (2, ["nodes 0 1", "--nic NIC"], "--workers", "2"),
            (2, ["'3-x'"], "--cpus", "3-x"),
            (78, ["--node 2", "has node 0 1"], "--workers", "2", "--node", "2"),
            (78, ["ens3f0,ens9f0", "nodes 0 and 1"], "--workers", "2", "--nic", "ens3f0,ens9f0"),
            (78, ["needs 32 cores on node 0", "has 31"], "--workers", "32", "--node", "0"),
            (78, ["no CPU 128,129", "0-127"], "--cpus", "127-129"),
            (78, ["CPU 0"], "--cpus", "0-3"),
            (78, ["nope", "no interface"], "--workers", "1", "--nic", "nope"),
        ):
            with self.subTest(arguments):
                self.refused(code, words, "cores", *arguments)

    def test_a_machine_without_threads_or_nodes(self):
        s = self.server
        import shutil
        shutil.rmtree(s.root / "sys/devices/system/node")
        shutil.rmtree(s.root / "sys/devices/system/cpu/cpu1")
        s.write("sys/devices/system/cpu/online", "0-1\n")
        said = self.ok("cores", "--workers", "1")
        self.assertIn("--lcores 1 ", said)
        self.assertIn("everything else on 0", said)
        self.refused(78, ["needs 2 cores", "has 1"], "cores", "--workers", "2")


if __name__ == "__main__":
    server.main()
