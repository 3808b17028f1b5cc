#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bind --confirm-within: nobody confirms, and the NIC goes back by itself, whatever becomes of the terminal."""

import concurrent.futures
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import threading
import time

import server
from server import ServerTest

NIC, OTHER = "0000:03:00.0", "0000:04:00.0"


class Confirm(ServerTest):
    def setUp(self):
        super().setUp()
        self.server.nic(NIC, "ens3f0", group=7)
        self.server.nic(OTHER, "ens4f0", group=8)
        self.before = self.server.snapshot("var")

    def await_(self, is_so):
        deadline = time.monotonic() + 20
        while not is_so():
            self.assertLess(time.monotonic(), deadline, "it never came")
            time.sleep(0.05)

    def watchers(self):
        """The processes that wait for a confirmation here."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().split(b"\0")
            except OSError:
                continue
            if b"--rollback-after" in words and str(self.server.state).encode() in words:
                found.append(path.parent.name)
        return found

    def is_back(self):
        return self.server.driver_of(NIC) == "ixgbe" and not (self.server.state / "bind").exists()

    def test_unconfirmed_it_goes_back(self):
        said = self.changes_nothing("bind", NIC, OTHER, "--confirm-within", "60", "--dry-run")
        self.assertIn("bind --confirm", said)
        self.ok("bind", NIC, OTHER, "--confirm-within", "1")
        self.assertEqual({self.server.driver_of(NIC), self.server.driver_of(OTHER)}, {"vfio-pci"})
        self.await_(self.is_back)
        self.assert_as(self.before, "var")
        self.assertIn("not confirmed within 1 s", (self.server.state / "rollback.log").read_text())
        self.refused(1, ["nothing is bound that could be confirmed", "rollback.log"], "bind", "--confirm")

    def test_confirmed_it_stays(self):
        self.ok("bind", NIC, "--confirm-within", "60")
        self.assertEqual(len(self.watchers()), 1)
        said = self.ok("bind", "--confirm")
        self.assertIn("stay bound", said)
        self.assertIn("confirmed already", self.changes_nothing("bind", "--confirm"))
        self.await_(lambda: not self.watchers())
        self.assertEqual(self.server.driver_of(NIC), "vfio-pci")
        self.ok("bind", "--undo")
        self.assert_as(self.before, "var")

    def test_the_terminal_is_lost(self):
        for soon in (False, True):
            with self.subTest(soon=soon):
                child, terminal = pty.fork()
                if child == 0:
                    os.execve(server.HOST, [server.HOST, "bind", NIC, "--confirm-within", "2"], self.server.environment())
                self.await_(lambda: self.server.driver_of(NIC) == "vfio-pci")
                if not soon:
                    os.waitpid(child, 0)
                os.close(terminal)  # its session gets SIGHUP
                if soon:
                    os.waitpid(child, 0)
                else:
                    self.assertEqual(self.server.driver_of(NIC), "vfio-pci")
                self.await_(self.is_back)
                self.assert_as(self.before, "var")

    def test_the_terminal_is_lost_while_it_binds(self):
        self.server.ignored.add(NIC)
        started = concurrent.futures.Future()
        self.server.on_unbind = lambda address: os.kill(started.result(), signal.SIGKILL)
        child, terminal = pty.fork()
        if child == 0:
            os.execve(server.HOST, [server.HOST, "bind", NIC, "--confirm-within", "3"], self.server.environment())
        started.set_result(child)
        self.await_(lambda: self.server.driver_of(NIC) is None)
        os.waitpid(child, 0)
        os.close(terminal)
        self.server.on_unbind = None
        self.await_(self.is_back)
        self.assert_as(self.before, "var")

    def test_one_at_a_time(self):
        self.ok("bind", NIC, "--confirm-within", "60")
        self.refused(1, ["not confirmed yet"], "bind", OTHER, "--confirm-within", "60")
        self.ok("bind", "--undo")
        self.assert_as(self.before, "var")

    def test_undone_by_hand_there_is_nothing_left_to_go_back(self):
        self.ok("bind", NIC, "--confirm-within", "60")
        self.ok("unbind", NIC)
        self.await_(lambda: not self.watchers())
        self.assert_as(self.before, "var")
        self.assertFalse((self.server.state / "rollback.log").read_text())

    def test_a_nic_in_use_goes_back_when_it_is_free(self):
        self.ok("bind", NIC, "--confirm-within", "3")
        fds = self.server.root / "proc/4711/fd"
        fds.mkdir(parents=True)
        (fds / "12").symlink_to("/dev/vfio/7")
        self.await_(lambda: "in use by process 4711" in self.log())
        self.assertEqual(self.server.driver_of(NIC), "vfio-pci")
        (fds / "12").unlink()
        self.await_(self.is_back)

    def test_what_does_not_go_back_at_first_is_tried_again(self):
        self.ok("bind", NIC, "--confirm-within", "3")
        self.server.remove_driver("ixgbe")
        self.await_(lambda: "cannot write" in self.log())
        self.server.driver("ixgbe")
        self.await_(self.is_back)
        self.assert_as(self.before, "var")

    def holder(self, comm, **files):
        """A process that has the NIC open until it ends."""
        process = subprocess.Popen(["sleep", "60"])
        self.addCleanup(process.kill)
        proc = self.server.root / f"proc/{process.pid}"
        (proc / "fd").mkdir(parents=True)
        for name, text in ({"comm": comm} | files).items():
            (proc / name).write_text(text + "\n")
        (proc / "fd/12").symlink_to("/dev/vfio/7")

        def ends():
            process.wait()
            shutil.rmtree(proc)

        thread = threading.Thread(target=ends)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(process.kill)
        return process

    def log(self):
        return (self.server.state / "rollback.log").read_text()

    def test_a_dataplane_that_has_the_nic_is_ended(self):
        self.assertIn("a fairlead-dataplane that has it by then is ended", self.ok("bind", NIC, "--confirm-within", "3"))
        dataplane = self.holder("fairlead-datapl")
        self.await_(self.is_back)
        self.assertEqual(dataplane.returncode, -signal.SIGTERM)
        self.assertEqual(self.log().count(f"not confirmed within 3 s, but {NIC} is in use by process {dataplane.pid} (fairlead-datapl)"), 1, self.log())
        self.assert_as(self.before, "var")

    def test_anybody_else_is_not_ended_and_told_of_once_a_minute(self):
        self.ok("bind", NIC, "--confirm-within", "3")
        other = self.holder("testpmd")
        self.await_(lambda: f"{other.pid} (testpmd)" in self.log())
        time.sleep(2)
        self.assertEqual((other.returncode, self.server.driver_of(NIC), self.log().count("testpmd")), (None, "vfio-pci", 1))
        other.kill()
        self.await_(self.is_back)

    def test_a_dataplane_of_a_unit_is_ended_by_its_unit(self):
        """Which might start it again. One of another unit, or of none that can be stopped, by a signal."""
        programs = self.server.root / "bin"
        asked = programs / "asked"
        systemctl = self.server.write("bin/systemctl", f'#!/bin/sh\necho "$*" >>{asked}\n[ -e {programs}/works ] && read -r pid <{programs}/works && kill -KILL $pid\n')
        systemctl.chmod(0o755)
        (self.server.root / "run/systemd/system").mkdir(parents=True)
        environment = {"PATH": f"{programs}:{os.environ['PATH']}"}
        for works, cgroup, words, signal_ in (
            (True, "0::/system.slice/fairlead-dataplane.service", "stop fairlead-dataplane.service\n", signal.SIGKILL),
            (False, "0::/system.slice/fairlead-dataplane.service", "stop fairlead-dataplane.service\n", signal.SIGTERM),
            (True, "0::/system.slice/ssh.service", "", signal.SIGTERM),
        ):
            with self.subTest(works=works, cgroup=cgroup):
                asked.write_text("")
                (programs / "works").unlink(missing_ok=True)
                self.ok("bind", NIC, "--confirm-within", "3", **environment)
                dataplane = self.holder("fairlead-datapl", cgroup=cgroup)
                if works:
                    (programs / "works").write_text(f"{dataplane.pid}\n")
                self.await_(self.is_back)
                self.assertEqual((dataplane.returncode, asked.read_text()), (-signal_, words))


if __name__ == "__main__":
    server.main()
