# SPDX-License-Identifier: Apache-2.0
"""A server laid out as files for scripts/host.sh: sysfs, procfs and /etc under a directory of their own, and a thread that does what the
kernel does when bind, unbind, driver_override and drivers_probe are written to. Network interfaces are real ones, in a network
namespace of the test's own, where there may be one: so addresses, routes and sessions are read and put back by the real `ip`."""

import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HOST = pathlib.Path(__file__).resolve().parents[3] / "scripts/host.sh"
IN_NAMESPACE = "FAIRLEAD_HOST_TEST_NAMESPACE"


def main():
    """The tests, in a network namespace of their own if this user may have one."""
    if IN_NAMESPACE not in os.environ:
        for options in (["-n"], ["-rn"]):
            if subprocess.run(["unshare", *options, "true"], stderr=subprocess.DEVNULL).returncode == 0:
                os.environ[IN_NAMESPACE] = "yes"
                os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])
        os.environ[IN_NAMESPACE] = "no"
    unittest.main()


def has_namespace():
    return os.environ.get(IN_NAMESPACE) == "yes"


needs_namespace = unittest.skipUnless(has_namespace(), "no network namespace of one's own here")


def ip(*arguments, check=True):
    ran = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert ran.returncode == 0 or not check, (arguments, ran.stderr)
    return ran.stdout


class Server:
    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="fairlead-host-"))
        self.sys, self.pci = self.root / "sys", self.root / "sys/bus/pci"
        self.state = self.root / "var/lib/fairlead-host"
        self.native = {}  # address -> driver that the kernel would choose
        self.names = {}  # address -> interface names that its native driver makes
        self.fifos = {}
        self.ignored = set()  # addresses whose binding to anything but their native driver fails
        self.on_unbind = None
        self.write("proc/sys/kernel/random/boot_id", "1c9a\n")
        self.write("proc/mounts", f"hugetlbfs {self.root}/dev/hugepages hugetlbfs rw,relatime,pagesize=2M 0 0\n")
        self.write("proc/meminfo", "MemAvailable:   16777216 kB\n")
        for directory in ("sys/bus/pci/devices", "sys/class/net", "sys/kernel/iommu_groups", "sys/module/vfio_iommu_type1"):
            (self.root / directory).mkdir(parents=True)
        self.fifo(self.pci / "drivers_probe", None)
        for driver in ("vfio-pci", "ixgbe", "virtio-pci", "nvme", "mlx5_core", "e1000e"):
            self.driver(driver)
        self.ends = False
        self.lock = threading.RLock()
        self.thread = threading.Thread(target=self.kernel, daemon=True)
        self.thread.start()

    def close(self):
        self.ends = True
        self.thread.join()
        for descriptor in self.fifos:
            os.close(descriptor)
        if has_namespace():  # all but lo is the tests'
            for line in ip("-o", "link").splitlines():
                self.remove_real(line.split(": ")[1].split("@")[0])
            ip("addr", "flush", "dev", "lo")
        shutil.rmtree(self.root)

    # -- what there is -------------------------------------------------------------------------------------------------

    def write(self, path, text):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, path):
        return (self.root / path).read_text()

    def fifo(self, path, driver):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
        self.fifos[os.open(path, os.O_RDWR | os.O_NONBLOCK)] = (path.name, driver)

    def driver(self, name):
        self.fifo(self.pci / "drivers" / name / "bind", name)
        self.fifo(self.pci / "drivers" / name / "unbind", name)

    def remove_driver(self, name):
        shutil.rmtree(self.pci / "drivers" / name)

    def device(self, address, driver=None, class_="0x020000", group=None, node=0, under="0000:00:1c.0", **values):
        device = self.sys / "devices/pci0000:00" / under / address
        device.mkdir(parents=True)
        (self.pci / "devices" / address).symlink_to(os.path.relpath(device, self.pci / "devices"))
        values = {"class": class_, "vendor": "0x8086", "device": "0x10fb", "numa_node": str(node), "driver_override": "(null)"} | values
        for name, value in values.items():
            (device / name).write_text(value + "\n")
        if group is not None:
            members = self.sys / f"kernel/iommu_groups/{group}/devices"
            members.mkdir(parents=True, exist_ok=True)
            (members / address).symlink_to(os.path.relpath(device, members))
            (device / "iommu_group").symlink_to(os.path.relpath(members.parent, device))
        self.native[address] = driver
        self.names.setdefault(address, [])
        if driver:
            self.attach(address, driver)
        return device

    def nic(self, address, *names, driver="ixgbe", **more):
        self.names[address] = list(names)
        return self.device(address, driver, **more)

    def interface(self, name, above=None, **values):
        """One without a PCI device."""
        self.lay_interface(self.sys / "devices/virtual/net" / name, name, values)
        for lower in above or []:
            (self.sys / "class/net" / lower / f"upper_{name}").symlink_to(f"../{name}")

    def lay_interface(self, net, name, values=()):
        net.mkdir(parents=True)
        defaults = {"address": f"02:00:00:00:00:{len(name):02x}", "mtu": "1500", "flags": "0x1003", "operstate": "up", "uevent": f"INTERFACE={name}", "speed": "10000"}
        for key, value in (defaults | dict(values)).items():
            (net / key).write_text(value + "\n")
        (self.sys / "class/net" / name).symlink_to(os.path.relpath(net, self.sys / "class/net"))
        if has_namespace():
            ip("link", "add", name, "type", "veth", "peer", "name", f"p-{name}")
            ip("link", "set", f"p-{name}", "up")
            ip("link", "set", name, "address", (net / "address").read_text().strip(), "mtu", (net / "mtu").read_text().strip(), "up")

    def remove_real(self, name):
        if has_namespace():
            ip("link", "del", name, check=False)

    def driver_of(self, address):
        link = self.pci / "devices" / address / "driver"
        return os.path.basename(os.readlink(link)) if link.is_symlink() else None

    # -- the kernel's part -------------------------------------------------------------------------------------------------

    def net_directory(self, address):
        device = (self.pci / "devices" / address).resolve()
        return device / ("virtio3/net" if self.native[address] == "virtio-pci" else "net")

    def attach(self, address, driver):
        device = (self.pci / "devices" / address).resolve()
        if driver == self.native[address]:
            for name in self.names[address]:
                net = self.net_directory(address) / name
                self.lay_interface(net, name)
                (net / "device").symlink_to("../..")
        (device / "driver").symlink_to(os.path.relpath(self.pci / "drivers" / driver, device))

    def detach(self, address):
        device = (self.pci / "devices" / address).resolve()
        for net in self.net_directory(address).glob("*"):
            (self.sys / "class/net" / net.name).unlink()
            self.remove_real(net.name)
        shutil.rmtree(self.net_directory(address).parent if "virtio3" in str(self.net_directory(address)) else self.net_directory(address), ignore_errors=True)
        (device / "driver").unlink()

    def override_of(self, address):
        return (self.pci / "devices" / address / "driver_override").read_text().strip()

    def written(self, event, driver, address):
        if event == "unbind" and self.driver_of(address) == driver:
            self.detach(address)
            if self.on_unbind:
                self.on_unbind(address)
        override = self.override_of(address)
        chosen = self.native[address] if override in ("", "(null)") else override
        if event == "drivers_probe":
            driver = chosen
        if event in ("bind", "drivers_probe") and driver == chosen and not self.driver_of(address):
            if driver == self.native[address] or address not in self.ignored:
                self.attach(address, driver)

    def serve(self, descriptors):
        for descriptor in descriptors:
            try:
                words = os.read(descriptor, 4096).decode().split()
            except BlockingIOError:
                continue
            for address in words:
                self.written(*self.fifos[descriptor], address)

    def kernel(self):
        while not self.ends:
            select.select(list(self.fifos), [], [], 0.001)
            self.work()

    def work(self):
        with self.lock:
            unbinds = [descriptor for descriptor, (event, _) in self.fifos.items() if event == "unbind"]
            others = [descriptor for descriptor in self.fifos if descriptor not in unbinds]
            for descriptor in others:
                # What was written first is done first: a device is unbound before it is bound again.
                ready = select.select([descriptor], [], [], 0)[0]
                self.serve(unbinds)
                self.serve(ready)
            self.normalise_overrides()

    def normalise_overrides(self):
        for address in list(self.native):
            path = self.pci / "devices" / address / "driver_override"
            if path.exists() and path.read_text() == "\n":
                path.write_text("(null)\n")

    # -- the script -------------------------------------------------------------------------------------------------

    def environment(self, **more):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SSH_")}
        return environment | {"FAIRLEAD_HOST_ROOT": str(self.root), "LC_ALL": "C"} | more

    def run(self, *arguments, **environment):
        return subprocess.run([HOST, *arguments], capture_output=True, text=True, timeout=60, env=self.environment(**environment))

    def settle(self):
        """What was written is done."""
        self.work()

    def snapshot(self, *without):
        """Every file, link and directory, but for the state directory's lock."""
        self.settle()
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if any(name.startswith(part) for part in without):
                continue
            if path.is_symlink():
                found[name] = "-> " + os.readlink(path)
            elif path.is_file():
                found[name] = path.read_bytes()
            elif not path.is_fifo():
                found[name] = "directory"
        return found


class ServerTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)

    def assert_as(self, before, *without):
        """The server is as it was: only what differs is shown."""
        now = self.server.snapshot(*without)
        self.assertEqual({k: now.get(k) for k in before.keys() | now.keys() if before.get(k) != now.get(k)},
                         {k: before.get(k) for k in before.keys() | now.keys() if before.get(k) != now.get(k)})

    def ok(self, *arguments, **environment):
        ran = self.server.run(*arguments, **environment)
        self.assertEqual(ran.returncode, 0, (arguments, ran.stdout, ran.stderr))
        return ran.stdout

    def refused(self, code, words, *arguments, **environment):
        """One line that has all of the words, within a second, and nothing is changed. The fastest of three, since others use the CPU, too."""
        before = self.server.snapshot("var")
        took = None
        for _ in range(3):
            began = time.monotonic()
            ran = self.server.run(*arguments, **environment)
            took = time.monotonic() - began
            if took < 1:
                break
        self.assertLess(took, 1, arguments)
        self.assertEqual(ran.returncode, code, (arguments, ran.stdout, ran.stderr))
        self.assertEqual(len(ran.stderr.strip().splitlines()), 1, ran.stderr)
        for word in words:
            self.assertIn(word, ran.stderr)
        self.assert_as(before, "var")

    def changes_nothing(self, *arguments, **environment):
        before = self.server.snapshot()
        said = self.ok(*arguments, **environment)
        self.assert_as(before)
        return said
