# SPDX-License-Identifier: Apache-2.0
"""A fairlead-dataplane on a pcap port and its fairleadd, for the length of one case, without privileges.

Nothing races: the dataplane does not read a pcap port before it has adopted a generation, and all is over when its counters
say that every packet has been decided.
"""
import array
import contextlib
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

from counters import Counters

STARTUP_S = 20
PACKETS_S = 20
STOP_S = 10
POLL_S = 0.005

# dataplane/wire/control_messages.h
CONTROL_HEADER = struct.Struct("<IHHII")
CONTROL_MAGIC, CONTROL_VERSION = 0x4C464354, 1
HELLO, GET_COUNTERS, COUNTERS = 1, 6, 7


class Dataplane:
    def __init__(self, program, control_program, config, capture, scratch):
        self.runtime = scratch / "run"
        self.socket_path = self.runtime / "dataplane.sock"
        self.scratch = scratch
        self.runtime.mkdir()
        (scratch / "state").mkdir()
        shutil.copy(capture, scratch / "in.pcap")
        self.commands = {
            "fairlead-dataplane": [program, "--port", f"pcap:rx={scratch}/in.pcap,tx={scratch}/out.pcap", "--hugepages", "off",
                                   "--idle", "backoff", "--connections", "65536", "--runtime-dir", self.runtime, "--forget"],
            "fairleadd": [control_program, "--config", config, "--state-dir", scratch / "state", "--runtime-dir", self.runtime, "--metrics", "off"],
        }
        self.processes = {}

    def __enter__(self):
        try:
            self._start("fairlead-dataplane")
            self._wait(self._listens, STARTUP_S, "the dataplane's control socket")
            self._start("fairleadd")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind, *_):
        codes = self._end()
        bad = {name: code for name, code in codes.items() if code != 0}
        if bad and kind is None:
            raise RuntimeError("\n".join(f"{name}: exit code {code}\n{self._log(name)}" for name, code in bad.items()))

    def wait_for_packets(self, count):
        """-> Counters, once `count` packets have been decided."""
        with self._map_counters() as memory:
            decided = lambda: Counters(memory).decided() >= count
            self._wait(decided, PACKETS_S, f"{count} packets to be decided", lambda: f"{Counters(memory).decided()} were")
            return Counters(memory)

    @contextlib.contextmanager
    def _map_counters(self):
        """The counters' memory file, asked for on the control socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.settimeout(STARTUP_S)
            control.connect(str(self.socket_path))
            expect_message(control, HELLO)
            control.send(CONTROL_HEADER.pack(CONTROL_MAGIC, CONTROL_VERSION, GET_COUNTERS, CONTROL_HEADER.size, 0))
            body, descriptor = expect_message(control, COUNTERS)
            (size,) = struct.unpack("<Q", body)
        try:
            memory = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        with memory:
            yield memory

    def _listens(self):
        """Its socket's file is there a moment before it takes connections."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            return control.connect_ex(str(self.socket_path)) == 0

    def _start(self, name):
        with open(self.scratch / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen(self.commands[name], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def _wait(self, condition, seconds, what, found=lambda: ""):
        deadline = time.monotonic() + seconds
        while not condition():
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name}: ended with {process.returncode}\n{self._log(name)}")
            if time.monotonic() > deadline:
                logs = "\n".join(f"{name}: {self._log(name)}" for name in self.processes)
                raise RuntimeError(f"waited {seconds} s for {what}; {found()}\n{logs}")
            time.sleep(POLL_S)

    def _end(self):
        """SIGTERM to both, control plane first; -> exit codes."""
        codes = {}
        for name, process in reversed(self.processes.items()):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                codes[name] = process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                codes[name] = "none within %d s" % STOP_S
        return codes

    def _log(self, name):
        return (self.scratch / f"{name}.log").read_text(errors="replace").strip()[-2000:]


def expect_message(control, wanted):
    """-> (what follows the header, the descriptor that came with it or None)."""
    data, ancillary, *_ = control.recvmsg(512, socket.CMSG_SPACE(4))
    if len(data) < CONTROL_HEADER.size:
        raise RuntimeError("the dataplane closed its control socket")
    magic, version, kind, length, _ = CONTROL_HEADER.unpack_from(data)
    if (magic, version, kind, length) != (CONTROL_MAGIC, CONTROL_VERSION, wanted, len(data)):
        raise RuntimeError(f"control socket: message {magic:#x} {version} {kind} {length}, expected type {wanted}")
    descriptors = array.array("i")
    for _, _, content in ancillary:
        descriptors.frombytes(content)
    return data[CONTROL_HEADER.size :], (descriptors[0] if descriptors else None)
