#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The router's next hops for the VIPs: the balancers that are alive.

A balancer is alive when each of these answers within a probe's time:
  - its host, by ICMP echo over the link (what BFD tells a real router);
  - its dataplane, which must run a generation: the Hello on its control socket (what tells a real balancer's BGP speaker
    to announce the VIPs).
One that has its file of withdrawal (what tells a real balancer's BGP speaker to withdraw them) is taken out at once.
Three probes in a row without an answer take it out (after about half a second at the default interval), one with an answer puts it back.
The last next hop stays: without any, packets would be lost just the same, and connections refused on top.
"""
import argparse
import json
import os
import socket
import struct
import subprocess
import threading
import time

CONTROL_HEADER = struct.Struct("<IHHII")    # dataplane/wire/control_messages.h: ControlHeader
HELLO_GENERATION = struct.Struct("<Q")      # the first field after it in ControlHello
CONTROL_MAGIC = 0x4C464354
CONTROL_HELLO = 1
GROUP_ID = 1000
FAILURES_MAX = 3


def checksum(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


class HostProbe:
    """One ICMP echo at a time to one address."""

    def __init__(self, address, identifier):
        self.identifier = identifier
        self.sequence = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self.socket.connect((address, 0))

    def answers(self, deadline):
        self.sequence = (self.sequence + 1) & 0xFFFF
        echo = struct.pack("!BBHHH", 8, 0, 0, self.identifier, self.sequence)
        try:
            self.socket.send(struct.pack("!BBHHH", 8, 0, checksum(echo), self.identifier, self.sequence))
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                packet = self.socket.recv(2048)
                kind, _, _, identifier, sequence = struct.unpack_from("!BBHHH", packet, (packet[0] & 15) * 4)
                if (kind, identifier, sequence) == (0, self.identifier, self.sequence):
                    return True
        except OSError:
            pass
        return False


def dataplane_forwards(path, deadline):
    """Whether the dataplane that listens there says that it runs a generation."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        try:
            control.settimeout(max(0.01, deadline - time.monotonic()))
            control.connect(path)
            message = control.recv(512)
        except OSError:
            return False
    if len(message) < CONTROL_HEADER.size + HELLO_GENERATION.size:
        return False
    magic, _, kind, _, _ = CONTROL_HEADER.unpack_from(message)
    (generation,) = HELLO_GENERATION.unpack_from(message, CONTROL_HEADER.size)
    return magic == CONTROL_MAGIC and kind == CONTROL_HELLO and generation > 0


def find_trouble(hosts, path, deadline):
    """Why the balancer counts as dead, in words; empty if it is alive."""
    if not all(host.answers(deadline) for host in hosts):
        return "no answer from its host"
    if path and not dataplane_forwards(path, deadline):
        return "its dataplane does not forward"
    return ""


class Routes:
    """The kernel's next hops for the VIPs."""

    def __init__(self, network, ecmp):
        self.network = network
        self.ecmp = ecmp
        self.current = ()
        self.identifiers = {}

    def ip(self, *words):
        subprocess.run(["ip", *words], check=True)

    def set(self, addresses):
        addresses = tuple(addresses)
        if not addresses or addresses == self.current:
            return
        if self.ecmp == "plain":
            hops = [word for address in addresses for word in ("nexthop", "via", address)]
            self.ip("route", "replace", self.network, *hops)
        else:
            self.set_resilient(addresses)
        self.current = addresses

    def set_resilient(self, addresses):
        """A resilient group moves only the flows of a next hop that leaves, and back only what is idle."""
        for address in addresses:
            if address not in self.identifiers:
                identifier = len(self.identifiers) + 1
                self.ip("nexthop", "replace", "id", str(identifier), "via", address, "dev", "servers")
                self.identifiers[address] = identifier
        group = "/".join(str(self.identifiers[address]) for address in addresses)
        options = ["type", "resilient", "buckets", "256", "idle_timer", "2", "unbalanced_timer", "0"]
        self.ip("nexthop", "replace", "id", str(GROUP_ID), "group", group, *options)
        if not self.current:
            self.ip("route", "replace", self.network, "nhid", str(GROUP_ID))


class Watch:
    """All targets; a thread each, one writer of routes at a time."""

    def __init__(self, options):
        self.interval = options.interval
        self.targets = [(name, addresses.split(","), path, withdrawal)
                        for name, addresses, path, withdrawal in (target.split("=", 3) for target in options.target)]
        self.routes = Routes(options.network, options.ecmp)
        self.state_file = options.state_file
        self.alive = {name: False for name, *_ in self.targets}
        self.lock = threading.Lock()

    def report(self, name, alive, note):
        with self.lock:
            if self.alive[name] == alive:
                return
            now = {**self.alive, name: alive}
            self.routes.set([address for other, addresses, *_ in self.targets if now[other] for address in addresses])
            self.alive = now     # after the routes: if they could not be set, the next probe tries again
            print(f"{time.monotonic():.3f} {name} {'up' if alive else 'down'}: {note}; "
                  f"next hops: {', '.join(self.routes.current) or 'none'}", flush=True)
            # Written beside and renamed: `lab.sh status` never reads half of it.
            with open(self.state_file + ".new", "w", encoding="ascii") as file:
                json.dump({"alive": self.alive, "next_hops": self.routes.current}, file)
            os.replace(self.state_file + ".new", self.state_file)

    def follow(self, number, name, addresses, path, withdrawal):
        hosts = {}
        failures = 0
        last_good = time.monotonic()
        while True:
            started = time.monotonic()
            # Whatever goes wrong in one round must not end the probing: this balancer would keep its state for ever.
            try:
                for index, address in enumerate(addresses):
                    if address not in hosts:
                        hosts[address] = HostProbe(address, number * 16 + index)
                trouble = find_trouble(hosts.values(), path, started + self.interval * 0.9)
            except Exception as error:  # pylint: disable=broad-except
                trouble = f"its probe fails ({error!r})"
            try:
                if os.path.exists(withdrawal):
                    self.report(name, False, "withdrawn")
                elif not trouble:
                    failures = 0
                    last_good = started
                    self.report(name, True, "answers")
                else:
                    failures += 1
                    if failures >= FAILURES_MAX:
                        self.report(name, False, f"{trouble} for {(time.monotonic() - last_good) * 1000:.0f} ms")
            except Exception as error:  # pylint: disable=broad-except
                print(f"{time.monotonic():.3f} {name}: could not be reported: {error!r}", flush=True)
            time.sleep(max(0.0, started + self.interval - time.monotonic()))

    def run(self):
        threads = [threading.Thread(target=self.follow, args=(number, *target), daemon=True)
                   for number, target in enumerate(self.targets, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", required=True, help="the VIPs' network")
    parser.add_argument("--ecmp", choices=["resilient", "plain"], default="resilient")
    parser.add_argument("--interval", type=float, default=0.15, help="seconds between probes")
    parser.add_argument("--state-file", required=True, help="where to write what is alive, as JSON")
    parser.add_argument("--target", action="append", required=True, metavar="NAME=ADDRESS[,ADDRESS]...=SOCKET=FILE",
                        help="a balancer; an empty SOCKET asks its host alone, FILE is that of its withdrawal")
    Watch(parser.parse_args()).run()


if __name__ == "__main__":
    main()
