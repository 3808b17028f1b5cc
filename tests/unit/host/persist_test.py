#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--persist and boot: what is noted is done again after a boot, to the same card only, and --undo leaves no note."""

import shutil
import time

import server
from server import ServerTest

NIC, OTHER = "0000:03:00.0", "0000:04:00.0"
CONF, UNIT = "etc/fairlead/host.conf", "etc/systemd/system/fairlead-host.service"


class Persist(ServerTest):
    def setUp(self):
        super().setUp()
        s = self.server
        s.nic(NIC, "ens3f0", group=7)
        s.nic(OTHER, "ens4f0", group=8)
        for name in ("kernel/mm/hugepages/hugepages-2048kB", "devices/system/node/node0/hugepages/hugepages-2048kB"):
            s.write(f"sys/{name}/nr_hugepages", "0\n")
            s.write(f"sys/{name}/free_hugepages", "0\n")
        s.write("sys/devices/system/node/node0/meminfo", "Node 0 MemFree:        8388608 kB\n")
        s.write("sys/devices/system/node/node0/cpulist", "0-3\n")
        s.write("sys/devices/system/cpu/online", "0-3\n")
        s.write("proc/irq/33/smp_affinity", "f\n")
        self.before = s.snapshot("var")

    def boots(self):
        """sysfs and procfs as new, /etc and /var as they were."""
        s = self.server
        for address in (NIC, OTHER):
            if s.driver_of(address) != "ixgbe":
                s.detach(address)
                s.attach(address, "ixgbe")
            s.write(f"sys/bus/pci/devices/{address}/driver_override", "(null)\n")
        s.write("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n")
        s.write("proc/irq/33/smp_affinity", "f\n")
        s.write("proc/sys/kernel/random/boot_id", "b007\n")

    def lines(self):
        return [line for line in self.server.read(CONF).splitlines() if line]

    def test_all_of_it_again_after_a_boot_and_undone(self):
        commands = (["bind", "ens3f0", OTHER], ["hugepages", "--count", "64"], ["cores", "--workers", "2"])
        for command in commands:
            self.assertIn(CONF, self.changes_nothing(*command, "--persist", "--dry-run"))
            self.ok(*command, "--persist")
            self.assertIn("nothing to do", self.changes_nothing(*command, "--persist"))
        self.assertEqual(self.lines(), [
            f"bind {NIC} --driver vfio-pci --identity 0x8086:0x10fb@02:00:00:00:00:06", f"bind {OTHER} --driver vfio-pci --identity 0x8086:0x10fb@02:00:00:00:00:06",
            "hugepages --size 2M --count 64", "cores --cpus 1-2"])
        self.assertIn(f'ExecStart="{server.HOST}" boot\n', self.server.read(UNIT))
        self.assertTrue((self.server.root / "etc/systemd/system/multi-user.target.wants/fairlead-host.service").is_symlink())
        self.boots()
        self.assertIn("vfio-pci/bind", self.changes_nothing("boot", "--dry-run"))
        self.ok("boot")
        self.assertEqual((self.server.driver_of(NIC), self.server.driver_of(OTHER)), ("vfio-pci", "vfio-pci"))
        self.assertEqual(self.server.read("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"), "64\n")
        self.assertEqual(self.server.read("proc/irq/33/smp_affinity"), "9\n")
        self.changes_nothing("boot")
        for command in ("bind", "hugepages", "cores"):
            self.ok(command, "--undo")
        shutil.rmtree(self.server.root / "etc")  # empty, but for directories
        self.server.write("proc/sys/kernel/random/boot_id", "1c9a\n")
        self.assert_as(self.before, "var")

    def test_undo_leaves_neither_file_nor_unit(self):
        self.ok("bind", NIC, "--persist")
        self.ok("hugepages", "--count", "64", "--persist")
        self.ok("hugepages", "--count", "5", "--node", "0", "--persist")
        self.ok("bind", "--undo")
        self.assertEqual(len(self.lines()), 2)
        self.ok("hugepages", "--undo")
        self.assertEqual([path for path in (self.server.root / "etc").rglob("*") if not path.is_dir()], [])

    def test_a_later_note_takes_the_place_of_the_former(self):
        self.ok("hugepages", "--count", "64", "--persist")
        self.ok("hugepages", "--count", "128", "--persist")
        self.ok("hugepages", "--count", "5", "--node", "0", "--persist")
        self.ok("bind", NIC, OTHER, "--persist")
        self.ok("unbind", NIC)
        self.assertEqual([line.split(" --driver")[0] for line in self.lines()],
                         ["hugepages --size 2M --count 128", "hugepages --size 2M --node 0 --count 5", f"bind {OTHER}"])

    def test_another_card_at_the_address_is_not_bound(self):
        self.ok("bind", NIC, OTHER, "--persist")
        self.boots()
        self.server.write("sys/class/net/ens3f0/address", "02:00:00:00:00:99\n")
        ran = self.server.run("boot")
        self.assertEqual(ran.returncode, 78)
        self.assertIn(f"{NIC}: is another card now (0x8086:0x10fb@02:00:00:00:00:99)", ran.stderr)
        self.assertEqual((self.server.driver_of(NIC), self.server.driver_of(OTHER)), ("ixgbe", "vfio-pci"))

    def test_a_note_that_could_not_be_kept_is_forgotten_too(self):
        self.ok("bind", NIC, "--persist")
        self.boots()
        self.server.write("sys/class/net/ens3f0/address", "02:00:00:00:00:99\n")
        self.assertEqual(self.server.run("boot").returncode, 78)
        self.ok("bind", "--undo")
        self.assertFalse((self.server.root / CONF).exists())
        self.assertIn("nothing to do", self.changes_nothing("bind", "--undo"))

    def test_noted_when_it_is_confirmed_and_not_before(self):
        self.ok("bind", NIC, "--persist", "--confirm-within", "60")
        for again in (["--confirm-within", "60"], []):
            self.assertIn("nothing to do", self.changes_nothing("bind", NIC, "--persist", *again))
        self.assertFalse((self.server.root / CONF).exists())
        self.ok("bind", "--confirm")
        self.assertEqual(len(self.lines()), 1)
        self.assertTrue((self.server.root / UNIT).exists())
        self.ok("bind", OTHER, "--persist", "--confirm-within", "1")
        deadline = time.monotonic() + 20
        while self.server.driver_of(OTHER) == "vfio-pci" and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(len(self.lines()), 1)
        self.assertEqual(self.server.driver_of(NIC), "vfio-pci")

    def test_a_packages_unit_is_enabled_and_left(self):
        self.server.write("usr/lib/systemd/system/fairlead-host.service", "[Service]\nExecStart=/usr/lib/fairlead/host.sh boot\n")
        self.ok("bind", NIC, "--persist")
        self.assertFalse((self.server.root / UNIT).exists())
        self.ok("bind", "--undo")
        self.assertTrue((self.server.root / "usr/lib/systemd/system/fairlead-host.service").exists())

    def test_a_line_that_is_no_command_of_ours_is_not_run(self):
        self.server.write(CONF, f"# by hand\nrm -rf /\nbind {NIC} --driver vfio-pci\n")
        ran = self.server.run("boot")
        self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (78, 1))
        self.assertIn("rm -rf /", ran.stderr)
        self.assertEqual(self.server.driver_of(NIC), "vfio-pci")

    def test_without_notes_there_is_nothing_to_do(self):
        self.assertIn("nothing to do", self.changes_nothing("boot"))


if __name__ == "__main__":
    server.main()
