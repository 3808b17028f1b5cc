#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Traffic for attach_test.sh and second_chance_test.sh: a server on a VIP, clients of it, and a minimal balancer between them.

The balancer reads what the client's kernel routes into a TUN device and sends it on encapsulated, so
that inner packets, both ends and the answers' direct way back are the kernel's own.
"""
import argparse
import fcntl
import os
import socket
import struct
import sys
import threading

TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_PREFIX = 0x1001
MESSAGE_SIZE = 1000


def ready():
    print("ready", flush=True)


def balance(arguments):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", arguments.tun.encode(), IFF_TUN_WITHOUT_PREFIX))
    if arguments.encapsulation == "ipip":
        out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP)
        header, port = b"", 0
    else:
        private = b"\xa5" * (4 * arguments.private_words)
        if arguments.hops:  # dataplane/wire/packet.h: GueHops
            private = struct.pack("!HBB", 0, 0, len(arguments.hops)) + b"".join(map(socket.inet_aton, arguments.hops))
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        header, port = struct.pack("!BBH", len(private) // 4, socket.IPPROTO_IPIP, 0) + private, arguments.gue_port
    out.bind((arguments.source, 0))
    ready()
    while True:
        packet = os.read(tun, 65536)
        if packet[0] >> 4 == 4:
            out.sendto(header + packet, (arguments.backend, port))


def serve(arguments):
    def echo_datagrams():
        while True:
            message, client = udp.recvfrom(65536)
            udp.sendto(message, client)

    def echo_stream(connection):
        with connection:
            while message := connection.recv(65536):
                connection.sendall(message)

    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((arguments.address, arguments.port))
    tcp = socket.create_server((arguments.address, arguments.port))
    threading.Thread(target=echo_datagrams, daemon=True).start()
    ready()
    while True:
        threading.Thread(target=echo_stream, args=(tcp.accept()[0],), daemon=True).start()


def message_of(number):
    return struct.pack("!I", number) + bytes((number + i) % 251 for i in range(MESSAGE_SIZE - 4))


def ask(arguments):
    """Prints how many of the messages came back whole."""
    kind = socket.SOCK_DGRAM if arguments.protocol == "udp" else socket.SOCK_STREAM
    answered = 0
    with socket.socket(socket.AF_INET, kind) as server:
        server.settimeout(arguments.timeout)
        try:
            server.connect((arguments.address, arguments.port))
            for number in range(arguments.count):
                server.sendall(message_of(number))
                answer = b""
                try:
                    while len(answer) < MESSAGE_SIZE and (part := server.recv(MESSAGE_SIZE - len(answer))):
                        answer += part
                except TimeoutError:
                    pass
                answered += answer == message_of(number)
        except OSError as error:
            print(error, file=sys.stderr)
    print(answered)


def hold(arguments):
    """Keeps one connection. For each line on standard input, a number: sends so many messages, and says how many
    came back whole, or the error that ended it."""
    with socket.create_connection((arguments.address, arguments.port), timeout=arguments.timeout) as server:
        ready()
        for line in sys.stdin:
            try:
                answered = 0
                for number in range(int(line)):
                    server.sendall(message_of(number))
                    answer = b""
                    while len(answer) < MESSAGE_SIZE and (part := server.recv(MESSAGE_SIZE - len(answer))):
                        answer += part
                    answered += answer == message_of(number)
                print(answered, flush=True)
            except OSError as error:
                print(error.strerror or error, flush=True)


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("balance")
    command.add_argument("--tun", required=True)
    command.add_argument("--encapsulation", choices=("gue", "ipip"), required=True)
    command.add_argument("--private-words", type=int, default=0)
    command.add_argument("--hops", nargs="+", default=[])
    command.add_argument("--gue-port", type=int, default=6080)
    command.add_argument("--source", required=True)
    command.add_argument("--backend", required=True)
    command.set_defaults(run=balance)
    command = commands.add_parser("serve")
    command.add_argument("address")
    command.add_argument("port", type=int)
    command.set_defaults(run=serve)
    command = commands.add_parser("ask")
    command.add_argument("protocol", choices=("udp", "tcp"))
    command.add_argument("address")
    command.add_argument("port", type=int)
    command.add_argument("--count", type=int, default=20)
    command.add_argument("--timeout", type=float, default=2)
    command.set_defaults(run=ask)
    command = commands.add_parser("hold")
    command.add_argument("address")
    command.add_argument("port", type=int)
    command.add_argument("--timeout", type=float, default=20)
    command.set_defaults(run=hold)
    arguments = parser.parse_args()
    arguments.run(arguments)


main()
