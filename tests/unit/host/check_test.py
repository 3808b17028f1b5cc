#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host.sh check: a server that lacks nothing, and each lack by itself with the command that mends it."""

import json
import shutil
import unittest

import server
from server import ServerTest, ip, needs_namespace

FLAGS = "fpu tsc avx avx2 bmi1 bmi2 f16c fma abm movbe xsave sse4_2 popcnt cx16 aes constant_tsc nonstop_tsc"
NIC, MANAGEMENT = "0000:03:00.0", "0000:05:00.0"


class Check(ServerTest):
    def setUp(self):
        super().setUp()
        s = self.server
        s.write("proc/cpuinfo", f"processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: Some \"EPYC\" 9\nflags\t\t: {FLAGS}\n\nprocessor\t: 1\nflags\t\t: none\n")
        (s.root / "sys/firmware/efi").mkdir(parents=True)
        (s.root / "sys/class/iommu/ivhd0").mkdir(parents=True)
        s.write("sys/devices/system/cpu/online", "0-7\n")
        s.write("sys/devices/system/cpu/isolated", "2-3\n")
        s.write("proc/irq/24/smp_affinity", "f3\n")
        for node, cpus in ((0, "0-3"), (1, "4-7")):
            s.write(f"sys/devices/system/node/node{node}/cpulist", cpus + "\n")
            for kilobytes in (2048, 1048576):
                for name, value in (("nr", 512), ("free", 500)):
                    s.write(f"sys/devices/system/node/node{node}/hugepages/hugepages-{kilobytes}kB/{name}_hugepages", f"{value if kilobytes == 2048 else 0}\n")
        s.nic(NIC, "ens3f0", group=7, current_link_width="8", max_link_width="8")
        s.nic(MANAGEMENT, "eno1", driver="e1000e", group=8, node=1)
        s.detach(NIC)
        s.attach(NIC, "vfio-pci")

    def check(self):
        ran = self.server.run("check", "--json")
        self.assertEqual(ran.stderr, "")
        found = json.loads(ran.stdout)
        self.assertEqual(ran.returncode, 78 if found["to_mend"] else 0)
        self.assertEqual(found["to_mend"], sum(row["state"] == "mend" for row in found["checks"]))
        for row in found["checks"]:
            self.assertEqual(row["state"] == "mend", row["mend"] is not None, row)
        return {row["what"]: row for row in found["checks"]}, found["nics"]

    def test_a_server_that_lacks_nothing(self):
        rows, nics = self.check()
        self.assertEqual({row["state"] for row in rows.values()}, {"ok"}, rows)
        self.assertEqual(rows["cpu"]["found"], 'Some "EPYC" 9: x86-64-v3 and AES')
        self.assertEqual(rows["firmware"]["found"], "UEFI")
        self.assertEqual(rows["iommu"]["found"], "ivhd0, 2 groups")
        self.assertEqual(rows["numa"]["found"], "node 0: CPUs 0-3; node 1: CPUs 4-7")
        self.assertEqual(rows["hugepages 0"]["found"], "2M: 512, 500 free, 1G: 0, 0 free")
        self.assertEqual(nics, [
            {"address": NIC, "interface": None, "driver": "vfio-pci", "node": 0, "link": None, "speed_mbps": None, "carries": None},
            {"address": MANAGEMENT, "interface": "eno1", "driver": "e1000e", "node": 1, "link": "up", "speed_mbps": 10000, "carries": None}])
        table = self.changes_nothing("check")
        self.assertRegex(table, rf"nic {NIC} +ok +no interface, vfio-pci, node 0, link -\n")
        self.assertRegex(table, rf"nic {MANAGEMENT} +ok +eno1, e1000e, node 1, link up, 10000 Mb/s\n")

    def lacks(self, what, found, mend):
        rows, _ = self.check()
        self.assertEqual([name for name, row in rows.items() if row["state"] == "mend"], [what], rows)
        self.assertIn(found, rows[what]["found"])
        self.assertIn(mend, rows[what]["mend"])
        table = self.server.run("check")
        self.assertEqual(table.returncode, 78)
        self.assertIn("->  " + rows[what]["mend"], table.stdout)

    def test_a_server_of_many_cpus(self):
        """Its /proc/cpuinfo is longer than a pipe holds: who reads only the first CPU of it must not end the writer, and so the script."""
        one = self.server.read("proc/cpuinfo")
        self.server.write("proc/cpuinfo", "".join(f"processor\t: {cpu}\n{one}\n" for cpu in range(1024)))
        rows, _ = self.check()
        self.assertEqual(rows["cpu"]["found"], 'Some "EPYC" 9: x86-64-v3 and AES')

    def test_an_old_cpu(self):
        self.server.write("proc/cpuinfo", f"model name\t: Old\nflags\t\t: {FLAGS.replace(' avx2', '').replace(' aes', '')}\n")
        self.lacks("cpu", "lacks avx2 aes", "x86-64-v3")

    def test_a_clock_that_varies(self):
        self.server.write("proc/cpuinfo", f"model name\t: Old\nflags\t\t: {FLAGS.replace(' nonstop_tsc', '')}\n")
        self.lacks("tsc", "not invariant", "nonstop_tsc")

    def test_no_iommu(self):
        shutil.rmtree(self.server.root / "sys/kernel/iommu_groups")
        self.lacks("iommu", "none", "amd_iommu=on iommu=pt")

    def test_no_vfio(self):
        self.server.detach(NIC)
        self.server.attach(NIC, "ixgbe")
        self.server.remove_driver("vfio-pci")
        self.lacks("vfio-pci", "missing", "linux-image-")

    def test_hugepages_on_the_wrong_node(self):
        self.server.write("sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "0\n")
        self.lacks("hugepages 0", "2M: 0", "hugepages --memory 1G --node 0")

    def test_hugepages_not_mounted(self):
        self.server.write("proc/mounts", "proc /proc proc rw 0 0\n")
        self.lacks("hugetlbfs", "not mounted", "mount -t hugetlbfs")

    def test_no_core_kept_free(self):
        self.server.write("sys/devices/system/cpu/isolated", "\n")
        self.lacks("cores", "none isolated", "cores --workers N")

    def test_interrupts_on_isolated_cores(self):
        self.server.write("proc/irq/24/smp_affinity", "ff\n")
        self.lacks("interrupts", "1 may come to isolated CPUs: 24", "cores --cpus 2-3")
        self.ok("cores", "--cpus", "2-3")
        self.assertEqual(self.check()[0]["interrupts"]["state"], "ok")

    def test_a_card_in_a_narrow_slot(self):
        self.server.write(f"sys/bus/pci/devices/{NIC}/current_link_width", "4\n")
        self.lacks(f"nic {NIC}", "PCIe x4 of x8", "slot")

    def test_a_nic_without_a_driver(self):
        self.server.detach(MANAGEMENT)
        self.lacks(f"nic {MANAGEMENT}", "no driver", f"bind {MANAGEMENT}")

    def test_the_kernel_is_locked_down(self):
        self.server.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
        self.assertIn("locked down (integrity)", self.check()[0]["firmware"]["found"])

    @needs_namespace
    def test_the_nic_of_the_default_route(self):
        ip("addr", "add", "192.0.2.2/24", "dev", "eno1")
        ip("route", "add", "default", "via", "192.0.2.1")
        rows, nics = self.check()
        self.assertIn("carries the IPv4 default route: not to be bound", rows[f"nic {MANAGEMENT}"]["found"])
        self.assertEqual(nics[1]["carries"], "the IPv4 default route")

    def test_a_machine_of_which_nothing_can_be_told(self):
        for directory in ("proc/cpuinfo", "proc/mounts"):
            (self.server.root / directory).unlink()
        shutil.rmtree(self.server.root / "sys/devices/system")
        rows, _ = self.check()
        self.assertEqual(rows["cpu"]["state"], "mend")


if __name__ == "__main__":
    server.main()
