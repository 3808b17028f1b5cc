#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host.sh bind and unbind: what is done to a NIC, what is refused, and that all of it is put back to the byte."""

import concurrent.futures
import os
import pathlib
import signal
import subprocess
import unittest

import server
from server import ServerTest, ip, needs_namespace

NIC, TWIN, VIRTIO, DISK = "0000:03:00.0", "0000:03:00.1", "0000:06:00.0", "0000:04:00.0"


class Bind(ServerTest):
    def setUp(self):
        super().setUp()
        s = self.server
        s.device("0000:00:1c.0", "e1000e", class_="0x060400", group=7, under="")
        s.nic(NIC, "ens3f0", group=7)
        s.nic(VIRTIO, "eth9", driver="virtio-pci", group=9)
        s.device(DISK, "nvme", class_="0x010802", group=10)

    def test_it_goes_and_comes_back_to_the_byte(self):
        before = self.server.snapshot("var")
        said = self.changes_nothing("bind", "ens3f0", "--dry-run")
        device = f"{self.server.pci}/devices/{NIC}"
        for line in (f"echo 'vfio-pci' >{device}/driver_override", f"echo '{NIC}' >{device}/driver/unbind", f"echo '{NIC}' >{self.server.pci}/drivers/vfio-pci/bind"):
            self.assertIn(line, said)
        done = self.ok("bind", "ens3f0")
        self.assertEqual([l for l in done.splitlines() if l.startswith("  ")], [l for l in said.splitlines() if l.startswith("  ")])
        self.assertEqual(self.server.driver_of(NIC), "vfio-pci")
        self.assertEqual(self.server.read(f"sys/bus/pci/devices/{NIC}/driver_override"), "vfio-pci\n")
        self.assertIn("nothing to do", self.changes_nothing("bind", NIC))
        self.assertIn("nothing to do", self.changes_nothing("bind", "ens3f0"))  # its former interface still names it
        self.assertIn("driver_override", self.changes_nothing("unbind", "ens3f0", "--dry-run"))
        self.ok("unbind", "ens3f0")
        self.assert_as(before, "var")
        self.assertIn("nothing to do", self.changes_nothing("unbind", NIC))

    def test_undo_and_its_undo(self):
        before = self.server.snapshot("var")
        self.ok("bind", NIC, VIRTIO)
        self.assertEqual({self.server.driver_of(NIC), self.server.driver_of(VIRTIO)}, {"vfio-pci"})
        self.ok("bind", "--undo")
        self.assert_as(before, "var")
        self.assertIn("nothing to do", self.changes_nothing("bind", "--undo"))
        self.ok("bind", NIC, VIRTIO)
        self.ok("unbind", "--all")
        self.assert_as(before, "var")
        self.ok("unbind", "--undo")
        self.assertEqual({self.server.driver_of(NIC), self.server.driver_of(VIRTIO)}, {"vfio-pci"})
        self.ok("bind", "--undo")
        self.assert_as(before, "var")

    def test_one_that_had_no_driver_and_no_interface_says_so(self):
        self.server.nic("0000:07:00.0", driver=None, group=12)
        self.assertIn("# records driver none\n", self.ok("bind", "0000:07:00.0"))
        self.assertIn("0000:07:00.0 is back (no driver)\n", self.ok("unbind", "0000:07:00.0"))

    def test_two_names_of_one_nic_and_short_addresses(self):
        said = self.ok("bind", "03:00.0", "ens3f0", NIC.upper())
        self.assertEqual(said.count("is named already"), 2)
        self.assertEqual(said.count("is bound to vfio-pci:"), 1)

    def test_an_override_and_no_driver_before_are_there_again(self):
        self.server.device(TWIN, None, group=8, driver_override="ixgbe")
        before = self.server.snapshot("var")
        self.ok("bind", TWIN)
        self.assertEqual(self.server.driver_of(TWIN), "vfio-pci")
        self.ok("unbind", TWIN)
        self.assert_as(before, "var")

    def test_what_somebody_else_bound_goes_to_the_kernels_choice(self):
        before = self.server.snapshot("var")
        device = self.server.pci / "devices" / NIC
        (device / "driver_override").write_text("vfio-pci\n")
        self.server.detach(NIC)
        self.server.attach(NIC, "vfio-pci")
        self.ok("unbind", "--all")
        self.assert_as(before, "var")

    def test_what_cannot_be_bound(self):
        s = self.server
        s.interface("veth0")
        s.interface("br7", uevent="DEVTYPE=bridge\nINTERFACE=br7")
        s.interface("tun0")
        s.write("sys/class/net/tun0/tun_flags", "0x1001\n")
        s.nic("0000:05:00.0", "ens5", driver="mlx5_core", group=11)
        s.nic("0000:07:00.0", "ens7", group=None)
        s.nic("0000:08:00.0", "ens8", group=12, sriov_numvfs="2")
        for code, words, *arguments in (
            (78, ["nope", "no interface of that name", "0000:03:00.0 (ens3f0)"], "nope"),
            (78, ["0000:3f:00.0", "no PCI device"], "3f:00.0"),
            (78, [DISK, "no NIC", "0x010802, storage"], DISK),
            (78, ["veth0", "virtual", "--port af_xdp:veth0"], "veth0"),
            (78, ["br7", "bridge"], "br7"),
            (78, ["tun0", "a tun"], "tun0"),
            (78, ["mlx5_core", "do not bind", "--port 0000:05:00.0"], "ens5"),
            (78, ["0000:07:00.0", "needs an IOMMU", "iommu=pt", "uio_pci_generic"], "ens7"),
            (78, ["2 virtual functions", "sriov_numvfs"], "ens8"),
            (2, ["'a/b'"], "a/b"),
            (2, ["takes NICs"],),
            (2, ["--driver", "'igb_uio'"], NIC, "--driver", "igb_uio"),
            (2, ["--confirm-within", "'soon'"], NIC, "--confirm-within", "soon"),
            (2, ["--confirm-within", "takes a value"], NIC, "--confirm-within"),
            (2, ["--hard"], NIC, "--hard"),
        ):
            with self.subTest(arguments):
                self.refused(code, words, "bind", *arguments)
                self.refused(code, words, "bind", *arguments, "--dry-run") if code == 78 else None

    def test_a_group_goes_as_a_whole(self):
        self.server.nic(TWIN, "ens3f1", group=7)
        self.refused(78, ["IOMMU group 7", TWIN, "ixgbe, ens3f1"], "bind", NIC)
        self.ok("bind", NIC, TWIN)  # the bridge in it stays with its driver
        self.assertEqual(self.server.driver_of("0000:00:1c.0"), "e1000e")

    def test_without_the_module(self):
        self.server.remove_driver("vfio-pci")
        self.refused(78, ["vfio-pci is missing", "modprobe vfio-pci", "linux-image"], "bind", NIC)

    def nic_with_pin(self, address, interface, pin, group):
        self.server.nic(address, interface, group=group)
        (self.server.pci / "devices" / address / "config").write_bytes(bytes(61) + bytes([pin]) + bytes(2))

    def test_uio_where_there_is_no_iommu(self):
        self.server.driver("uio_pci_generic")
        self.nic_with_pin("0000:07:00.0", "ens7", pin=1, group=None)
        before = self.server.snapshot("var")
        uio = ("bind", "ens7", "--driver", "uio_pci_generic")
        self.assertIn("drivers/uio_pci_generic/bind", self.changes_nothing(*uio, "--dry-run"))
        self.assertIn("is bound to uio_pci_generic", self.ok(*uio))
        self.assertIn("nothing to do", self.changes_nothing(*uio))
        self.ok("unbind", "ens7")
        self.assert_as(before, "var")

    def test_uio_where_it_cannot_work(self):
        self.server.driver("uio_pci_generic")
        self.nic_with_pin("0000:07:00.0", "ens7", pin=0, group=None)
        self.nic_with_pin("0000:08:00.0", "ens8", pin=1, group=9)
        uio = ("--driver", "uio_pci_generic")
        self.refused(78, ["0000:07:00.0", "legacy interrupt", "use vfio-pci"], "bind", "ens7", *uio)
        self.server.write("sys/kernel/iommu_groups/9/type", "DMA-FQ\n")
        self.refused(78, ["the IOMMU translates it (group 9 is of type DMA-FQ)", "iommu=pt"], "bind", "ens8", *uio)
        self.server.write("sys/kernel/iommu_groups/9/type", "DMA\n")
        self.refused(78, ["the IOMMU translates it (group 9 is of type DMA)"], "bind", "ens8", *uio)
        self.server.write("sys/kernel/iommu_groups/9/type", "unknown\n")  # as of a group that no IOMMU made
        ran = self.server.run("bind", "ens8", *uio, "--dry-run")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.server.write("sys/kernel/iommu_groups/9/type", "identity\n")
        ran = self.server.run("bind", "ens8", *uio, "--dry-run")
        self.assertEqual(ran.returncode, 0)
        self.assertIn("vfio-pci would do here", ran.stderr)
        self.server.write("sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
        self.refused(78, ["locked down", "integrity", "use vfio-pci"], "bind", "ens8", *uio)

    def test_vfios_own_mode_without_an_iommu_is_not_used(self):
        """It needs CAP_SYS_RAWIO of the dataplane, gives no protection, and is not in Debian's kernel: uio does as much."""
        self.server.nic("0000:07:00.0", "ens7", group=None)
        for mode in ("N", "Y"):
            self.server.write("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", mode + "\n")
            self.refused(78, ["needs an IOMMU", "iommu=pt", "--driver uio_pci_generic"], "bind", "ens7")

    def test_a_nic_that_is_open_without_an_iommu_is_not_unbound(self):
        self.server.nic("0000:07:00.0", "ens7", group=None)
        self.server.detach("0000:07:00.0")
        self.server.attach("0000:07:00.0", "vfio-pci")
        (self.server.sys / "kernel/iommu_groups/0").mkdir()
        (self.server.pci / "devices/0000:07:00.0/iommu_group").symlink_to("../../../../kernel/iommu_groups/0")
        fds = self.server.root / "proc/4711/fd"
        fds.mkdir(parents=True)
        (fds / "12").symlink_to("/dev/vfio/noiommu-0")
        self.server.write("proc/4711/comm", "testpmd\n")
        self.refused(1, ["0000:07:00.0", "in use by process 4711 (testpmd)"], "unbind", "0000:07:00.0")

    def test_all_or_nothing(self):
        self.server.ignored.add(VIRTIO)
        before = self.server.snapshot("var")
        ran = self.server.run("bind", NIC, VIRTIO)
        self.assertEqual(ran.returncode, 1)
        self.assertEqual(len(ran.stderr.strip().splitlines()), 1, ran.stderr)
        self.assertIn(f"{VIRTIO} is on no driver after it was bound to vfio-pci", ran.stderr)
        self.assert_as(before, "var")
        self.assertIn("nothing to do", self.changes_nothing("bind", "--undo"))

    def test_killed_at_its_worst_moment(self):
        """The NIC has lost its driver and got no other; nothing of the script is left but its records."""
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                before = self.server.snapshot("var")
                self.server.ignored.add(NIC)  # so that it stays without one
                started = concurrent.futures.Future()
                self.server.on_unbind = lambda address: started.result().send_signal(number)
                process = subprocess.Popen([server.HOST, "bind", NIC, VIRTIO], env=self.server.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
                started.set_result(process)
                process.communicate(timeout=60)
                self.server.on_unbind = None
                self.server.ignored.clear()
                if number == signal.SIGKILL:
                    self.assertFalse(self.server.snapshot("var") == before)
                    self.ok("bind", "--undo")
                else:
                    self.assertEqual(process.returncode, 128 + number)
                self.assert_as(before, "var")

    def test_without_a_place_for_the_records_nothing_is_touched(self):
        self.refused(1, ["/dev/null/host", "Not a directory", "--state"], "bind", NIC, "--state", "/dev/null/host")

    def test_records_that_somebody_else_could_write_are_not_trusted(self):
        real = self.server.root / "elsewhere"
        real.mkdir()
        link = self.server.root / "link"
        link.symlink_to(real)
        self.refused(1, [str(link), "not a directory of", "--state"], "bind", NIC, "--state", link)

    def test_a_nic_in_use_is_not_unbound(self):
        self.ok("bind", NIC)
        fds = self.server.root / "proc/4711/fd"
        fds.mkdir(parents=True)
        (fds / "12").symlink_to("/dev/vfio/7")
        self.server.write("proc/4711/comm", "fairlead-datapl\n")
        self.refused(1, [NIC, "in use by process 4711 (fairlead-datapl)"], "unbind", NIC)

    def test_records_of_another_boot_are_void(self):
        self.ok("bind", NIC)
        self.server.detach(NIC)
        self.server.write(f"sys/bus/pci/devices/{NIC}/driver_override", "(null)\n")
        self.server.attach(NIC, "ixgbe")
        self.server.write("proc/sys/kernel/random/boot_id", "2d0b\n")
        before = self.server.snapshot("var")
        self.assertIn("earlier boot", self.ok("unbind", "--all"))
        self.assert_as(before, "var")


@needs_namespace
class Lifelines(ServerTest):
    def setUp(self):
        super().setUp()
        self.server.nic(NIC, "ens3f0", group=7)

    def test_the_default_route(self):
        for family, address, gateway in (("4", "192.0.2.2/24", "192.0.2.1"), ("6", "2001:db8::2/64", "2001:db8::1")):
            for table in ("main", "100"):
                with self.subTest(family=family, table=table):
                    ip("addr", "add", address, "dev", "ens3f0", *(["nodad"] if family == "6" else []))
                    ip(f"-{family}", "route", "add", "default", "via", gateway, "dev", "ens3f0", "table", table)
                    self.refused(1, [f"{NIC} (ens3f0) carries the IPv{family} default route", "--really --really"], "bind", NIC)
                    self.refused(1, ["default route"], "bind", NIC, "--really")
                    ip("addr", "flush", "dev", "ens3f0")
                    ip(f"-{family}", "route", "flush", "table", table)
        self.changes_nothing("bind", NIC, "--dry-run")

    def test_the_default_route_of_a_vlan_on_a_bond(self):
        self.server.interface("bond0", above=["ens3f0"])
        self.server.interface("bond0.7", above=["bond0"])
        ip("addr", "add", "192.0.2.2/24", "dev", "bond0.7")
        ip("route", "add", "default", "via", "192.0.2.1")
        self.refused(1, ["the IPv4 default route (through bond0.7 above it)"], "bind", "ens3f0")

    def test_an_ssh_session(self):
        session = "198.51.100.9 51234 192.0.2.2 22"
        ip("addr", "add", "192.0.2.2/24", "dev", "ens3f0")
        self.refused(1, ["an SSH session"], "bind", NIC, SSH_CONNECTION=session)
        # sudo has taken the variable from the script, not from its parent.
        ran = subprocess.run(["bash", "-c", f'env -u SSH_CONNECTION {server.HOST} bind {NIC}; exit $?'], capture_output=True, text=True,
                             env=self.server.environment(SSH_CONNECTION=session))
        self.assertEqual((ran.returncode, "an SSH session" in ran.stderr), (1, True), ran.stderr)
        # Our address is on lo: then it is the way to the peer that counts.
        ip("link", "set", "lo", "up")
        ip("addr", "add", "203.0.113.1/32", "dev", "lo")
        ip("route", "add", "198.51.100.0/24", "via", "192.0.2.1")
        self.refused(1, ["an SSH session"], "bind", NIC, SSH_CONNECTION="198.51.100.9 51234 203.0.113.1 22")
        self.ok("bind", NIC, "--dry-run", SSH_CONNECTION="198.18.0.9 51234 203.0.113.1 22")

    def test_told_twice_it_goes_and_comes_back_with_addresses_and_routes(self):
        ip("link", "set", "ens3f0", "mtu", "4000")
        self.server.write("sys/class/net/ens3f0/mtu", "4000\n")
        for address in ("192.0.2.2/24", "192.0.2.3/24", "2001:db8::2/64"):
            ip("addr", "add", address, "dev", "ens3f0", *(["nodad"] if ":" in address else []))
        ip("route", "add", "default", "via", "192.0.2.1", "dev", "ens3f0", "metric", "50")
        ip("-6", "route", "add", "default", "via", "2001:db8::1", "dev", "ens3f0")

        def network():
            return [line.split(":", 1)[-1] for line in ip("-o", "addr", "show", "dev", "ens3f0").splitlines() if " fe80" not in line], \
                ip("-4", "route", "show", "table", "all"), ip("-6", "route", "show", "default"), ip("-o", "link", "show", "dev", "ens3f0").split("mtu")[1].split()[0]

        before = network()
        ran = self.server.run("bind", NIC, "--really", "--really")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("WARNING", ran.stderr)
        self.assertEqual(ip("-o", "link", "show", "dev", "ens3f0", check=False), "")
        ran = self.server.run("unbind", NIC)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(network(), before)

    def test_an_interface_that_was_down_gets_its_addresses_back(self):
        ip("addr", "add", "192.0.2.2/24", "dev", "ens3f0")
        ip("link", "set", "ens3f0", "down")
        self.server.write("sys/class/net/ens3f0/flags", "0x1002\n")
        self.ok("bind", NIC)
        self.assertIn("ens3f0 down    # and its 1 addresses and 0 routes", self.ok("unbind", NIC))
        self.assertIn("192.0.2.2/24", ip("-o", "addr", "show", "dev", "ens3f0"))

    def test_the_interface_gets_its_name_back(self):
        self.ok("bind", "ens3f0")
        self.server.names[NIC] = ["eth0x0"]  # what the kernel calls it, where udev does not rename it
        ran = self.server.run("unbind", NIC)
        self.assertEqual(ran.returncode, 0)
        self.assertIn("02:00:00:00:00:06", ip("-o", "link", "show", "dev", "ens3f0"))
        self.assertEqual(ip("-o", "link", "show", "dev", "eth0x0", check=False), "")


if __name__ == "__main__":
    server.main()
