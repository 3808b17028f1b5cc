#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the package's purge says of NICs that are still bound by records that it deletes."""

import subprocess

import server
from server import ServerTest

NIC, OTHER, LEFT = "0000:03:00.0", "0000:04:00.0", "0000:05:00.0"
POSTRM = server.HOST.parent / "debian/fairlead.postrm"


class Purge(ServerTest):
    def setUp(self):
        super().setUp()
        for number, address in enumerate((NIC, OTHER, LEFT)):
            self.server.nic(address, f"ens{number}", group=number)
        for path in ("etc/fairlead/host.conf", "var/lib/fairlead/state.json", "run/fairlead/api.sock"):
            self.server.write(path, "")

    def postrm(self, action):
        """As dpkg --root runs it. Not at all where it might touch this machine's own files."""
        for line in POSTRM.read_text().splitlines():
            if "rm -rf" in line or line.strip().startswith("for "):
                for word in line.split():
                    self.assertFalse(word.startswith(("/", '"/')), line)
        return subprocess.run(["sh", POSTRM, action], capture_output=True, text=True, env=self.server.environment(DPKG_ROOT=str(self.server.root)))

    def there(self):
        return [path for path in ("etc/fairlead", "var/lib/fairlead", "var/lib/fairlead-host", "run/fairlead") if (self.server.root / path).exists()]

    def test_nics_that_are_bound_are_named_in_one_line(self):
        self.ok("bind", NIC, OTHER)
        self.server.detach(OTHER)  # by a boot
        self.server.attach(OTHER, "ixgbe")
        ran = self.postrm("remove")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(self.there(), ["etc/fairlead", "var/lib/fairlead", "var/lib/fairlead-host"])
        ran = self.postrm("purge")
        self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (0, 1), ran.stderr)
        self.assertIn(f"drivers: {NIC}; ", ran.stderr)
        self.assertIn("unbind --all", ran.stderr)
        self.assertEqual(self.there(), [])
        self.ok("unbind", "--all")  # as it says
        self.server.settle()
        self.assertEqual(self.server.driver_of(NIC), "ixgbe")

    def test_without_bound_nics_it_says_nothing(self):
        self.ok("bind", NIC)
        self.ok("unbind", NIC)
        ran = self.postrm("purge")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(self.there(), [])


if __name__ == "__main__":
    server.main()
