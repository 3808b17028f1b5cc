#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""--persist and boot: what is noted is done again after a boot, to the same card only, and --undo leaves no note."""

import filecmp
import os
import resource
import shutil
import subprocess
import time

import server
from server import ServerTest

NIC, OTHER = "0000:03:00.0", "0000:04:00.0"
CONF, UNIT, MOUNT = "etc/fairlead/host.conf", "etc/systemd/system/fairlead-host.service", "etc/systemd/system/dev-hugepages1G.mount"
COPY = "usr/local/lib/fairlead"


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
        self.assertIn('ExecStart="/usr/local/lib/fairlead/host.sh" boot\n', self.server.read(UNIT))
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
        for directory in ("etc", "usr"):
            shutil.rmtree(self.server.root / directory)  # empty, but for directories
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

    def copied(self):
        return {str(path.relative_to(self.server.root / COPY)) for path in (self.server.root / COPY).rglob("*") if path.is_file()}

    def test_the_unit_runs_a_copy_where_its_sandbox_can_read_it(self):
        """ProtectHome=, PrivateTmp= and no CAP_DAC_OVERRIDE: a checkout in /home, /root or /tmp is none that the unit could run."""
        self.assertIn(COPY, self.changes_nothing("hugepages", "--count", "64", "--persist", "--dry-run"))
        self.ok("hugepages", "--count", "64", "--persist")
        copy = self.server.root / COPY
        checkout = server.HOST.parent
        for file in ("host.sh", *(f"host/{path.name}" for path in (checkout / "host").glob("*.sh"))):
            self.assertTrue(filecmp.cmp(checkout / file, copy / file, shallow=False), file)
        for directory in (copy, copy / "host"):
            self.assertEqual((directory.stat().st_mode & 0o7777, directory.stat().st_uid), (0o755, os.geteuid()))
        for file in self.copied():
            self.assertEqual((copy / file).stat().st_mode & 0o7777, 0o755 if file == "host.sh" else 0o644, file)
        self.boots()
        ran = subprocess.run([copy / "host.sh", "boot"], capture_output=True, text=True, env=self.server.environment())
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(self.server.read("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"), "64\n")
        again = subprocess.run([copy / "host.sh", "hugepages", "--count", "64", "--persist"], capture_output=True, text=True, env=self.server.environment())
        self.assertIn("nothing to do", again.stdout, again.stderr)
        ran = subprocess.run([copy / "host.sh", "hugepages", "--undo"], capture_output=True, text=True, env=self.server.environment())
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertFalse(copy.exists())

    def test_a_newer_checkout_refreshes_the_copy_and_the_unit(self):
        for command in (["bind", NIC], ["hugepages", "--count", "64"], ["cores", "--workers", "2"]):
            with self.subTest(command):
                self.ok(*command, "--persist")
                before = self.server.snapshot("var")
                copy = self.server.root / COPY
                for file in ("host/say.sh", "systemd/fairlead-host.service", "systemd/dev-hugepages1G.mount"):
                    (copy / file).write_text((copy / file).read_text() + "# of an earlier version\n")
                (copy / "host/gone.sh").write_text("# it had one file more\n")
                (copy / "copied").write_text((copy / "copied").read_text() + "host/gone.sh\n")
                for name, path in (("fairlead-host.service", UNIT), ("dev-hugepages1G.mount", MOUNT)):
                    self.server.write(path, self.server.read(path) + "# of an earlier version\n")
                self.ok(*command, "--persist")
                self.assert_as(before, "var")
                self.assertIn("nothing to do", self.changes_nothing(*command, "--persist"))

    def test_the_unit_of_a_version_that_ran_the_checkout_is_replaced(self):
        self.ok("bind", NIC, "--persist")
        shutil.rmtree(self.server.root / COPY)
        self.server.write(UNIT, self.server.read(UNIT).replace("/usr/local/lib/fairlead/", "/home/me/fairlead/scripts/"))
        self.ok("bind", NIC, "--persist")
        self.assertIn('ExecStart="/usr/local/lib/fairlead/host.sh" boot\n', self.server.read(UNIT))
        self.assertTrue((self.server.root / COPY / "host/boot.sh").exists())

    def test_what_an_administrator_put_there_stays(self):
        self.server.write(MOUNT, "[Mount]\nOptions=pagesize=1G,mode=0770\n")
        self.server.write(f"{COPY}/mine", "kept\n")
        before = self.server.snapshot("var")
        self.ok("bind", NIC, "--persist")
        self.assertIn("mode=0770", self.server.read(MOUNT))
        self.ok("bind", "--undo")
        self.assert_as(before, "var")

    def test_a_program_of_somebody_elses_is_not_written_over(self):
        for file in ("host.sh", "host/boot.sh"):
            with self.subTest(file):
                self.server.write(f"{COPY}/{file}", "# somebody else's\n")
                for command in (["bind", NIC], ["bind", NIC, "--confirm-within", "60"], ["hugepages", "--count", "64"], ["cores", "--workers", "2"]):
                    self.refused(1, [f"{COPY}/{file} is there", "nothing was changed"], *command, "--persist")
                shutil.rmtree(self.server.root / COPY)

    def test_what_failed_and_was_put_back_is_not_noted(self):
        self.server.write("usr/local/lib", "a file\n")
        for command in (["bind", NIC], ["hugepages", "--count", "64"], ["cores", "--workers", "2"]):
            with self.subTest(command):
                ran = self.server.run(*command, "--persist")
                self.assertEqual(ran.returncode, 1)
                self.assertIn("cannot copy", ran.stderr)
                self.assertFalse((self.server.root / CONF).exists())
        self.assertEqual(self.server.driver_of(NIC), "ixgbe")
        self.ok("cores", "--undo")

    def test_a_note_that_fails_is_taken_back_with_those_before_it(self):
        """The last line finds room for a part of it."""
        pending = "var/lib/fairlead-host/bind/pending"
        self.server.write("usr/lib/systemd/system/fairlead-host.service", "")
        self.ok("hugepages", "--count", "64", "--persist")
        self.ok("cores", "--cpus", "1", "--persist")
        kept = len(self.server.read(CONF))

        def fails(noted, room, *command):
            with self.subTest(command):
                moved = ("proc/irq", "var/lib/fairlead-host/cores")  # that stays, until --undo
                before = self.server.snapshot(*moved)
                ran = subprocess.run([server.HOST, *command, "--persist"], capture_output=True, text=True, env=self.server.environment(),
                                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
                self.assertEqual(ran.returncode, 1, ran.stderr)
                self.assertIn(f"cannot write {self.server.root}/{noted}", ran.stderr)
                self.assert_as(before, *moved)

        fails(CONF, kept + 1, "hugepages", "--count", "1024")
        fails(CONF, kept + 1, "cores", "--cpus", "1-2")
        fails(CONF, kept + 120, "bind", NIC, OTHER)
        self.ok("bind", NIC, "--persist", "--confirm-within", "60")
        fails(pending, len(self.server.read(pending)) + 40, "bind", OTHER)
        self.ok("bind", "--undo")

    def test_an_administrators_own_unit_stays(self):
        self.server.write(UNIT, "[Service]\nExecStart=/opt/prepare\n")
        self.ok("bind", NIC, "--persist")
        self.assertFalse((self.server.root / COPY).exists())
        self.ok("bind", "--undo")
        self.assertEqual(self.server.read(UNIT), "[Service]\nExecStart=/opt/prepare\n")

    def test_a_later_note_takes_the_place_of_the_former(self):
        self.ok("hugepages", "--count", "64", "--persist")
        self.ok("hugepages", "--count", "128", "--persist")
        self.ok("hugepages", "--count", "5", "--node", "0", "--persist")
        self.ok("bind", NIC, OTHER, "--persist")
        self.ok("unbind", NIC)
        self.assertEqual([line.split(" --driver")[0] for line in self.lines()],
                         ["hugepages --size 2M --count 128", "hugepages --size 2M --node 0 --count 5", f"bind {OTHER}"])

    def test_notes_of_nodes_and_of_the_machine_leave_each_other_alone(self):
        self.ok("hugepages", "--count", "5", "--node", "0", "--persist")
        self.ok("hugepages", "--count", "64", "--persist")
        self.assertEqual(self.lines(), ["hugepages --size 2M --node 0 --count 5", "hugepages --size 2M --count 64"])
        self.ok("hugepages", "--count", "7", "--node", "0", "--persist")
        self.assertEqual(self.lines(), ["hugepages --size 2M --count 64", "hugepages --size 2M --node 0 --count 7"])
        self.server.write(CONF, self.server.read(CONF) + "hugepages --memory 1G    # by hand\n")
        self.ok("cores", "--workers", "2", "--persist")
        self.ok("hugepages", "--undo")
        self.assertEqual(self.lines(), ["cores --cpus 1-2"])

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
        while (self.server.state / "bind/unconfirmed").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.server.driver_of(OTHER), "ixgbe")
        self.assertEqual(len(self.lines()), 1)
        self.assertEqual(self.server.driver_of(NIC), "vfio-pci")
        self.ok("bind", OTHER, "--confirm-within", "60")

    def test_what_cannot_be_noted_is_confirmed_nevertheless(self):
        for again in (["--confirm"], [NIC, "--persist"]):
            with self.subTest(again):
                self.ok("bind", NIC, "--persist", "--confirm-within", "60")
                self.server.write(f"{COPY}/host.sh", "# somebody else's\n")
                for _ in range(2):
                    ran = self.server.run("bind", "--confirm")
                    self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (1, 1), ran.stderr)
                    for words in (f"{NIC} stay bound", "not noted for the next boot", f"{COPY}/host.sh is there", "bind --confirm"):
                        self.assertIn(words, ran.stderr)
                    self.assertFalse((self.server.state / "bind/unconfirmed").exists())
                    self.assertFalse((self.server.root / CONF).exists())
                (self.server.root / COPY / "host.sh").unlink()
                self.ok("bind", *again)
                self.assertEqual(len(self.lines()), 1)
                self.assertEqual(self.server.read(f"{COPY}/host.sh"), server.HOST.read_text())
                self.ok("bind", "--undo")

    def test_what_was_unbound_before_it_is_confirmed_is_not_noted(self):
        self.ok("bind", NIC, OTHER, "--persist", "--confirm-within", "60")
        self.ok("unbind", NIC)
        self.ok("bind", "--confirm")
        self.assertEqual([line.split(" --driver")[0] for line in self.lines()], [f"bind {OTHER}"])

    def test_a_packages_unit_is_enabled_and_left(self):
        self.server.write("usr/lib/systemd/system/fairlead-host.service", "[Service]\nExecStart=/usr/lib/fairlead/host.sh boot\n")
        self.ok("bind", NIC, "--persist")
        self.assertFalse((self.server.root / UNIT).exists())
        self.assertFalse((self.server.root / COPY).exists())
        self.ok("bind", "--undo")
        self.assertTrue((self.server.root / "usr/lib/systemd/system/fairlead-host.service").exists())

    def test_a_packages_unit_takes_the_place_of_a_checkouts(self):
        self.ok("bind", NIC, "--persist")
        package = self.server.write("usr/lib/systemd/system/fairlead-host.service", "[Service]\nExecStart=/usr/lib/fairlead/host.sh boot\n")
        self.server.write("usr/lib/systemd/system/dev-hugepages1G.mount", "")
        link = self.server.root / "etc/systemd/system/multi-user.target.wants/fairlead-host.service"
        self.assertIn(UNIT, self.changes_nothing("bind", NIC, "--persist", "--dry-run"))
        self.ok("bind", NIC, "--persist")
        for path in (UNIT, MOUNT, COPY):
            self.assertFalse((self.server.root / path).exists(), path)
        self.assertEqual(os.readlink(link), "/" + str(package.relative_to(self.server.root)))
        self.assertEqual(len(self.lines()), 1)
        self.assertIn("nothing to do", self.changes_nothing("bind", NIC, "--persist"))

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
