# SPDX-License-Identifier: Apache-2.0
"""How long connections are remembered, and by which packets. Two generations with different backends tell entry from row."""
from traffic import Traffic, backend, config, service

KEEP = backend("10.20.0.31", drain="true")  # keeps what it has, takes nothing new
NEXT = backend("10.20.0.32")


def _after(*packets_before, **keys):
    """Traffic whose first backend drains once `packets_before` have come: entries then say .31, rows say .32."""
    traffic = Traffic.of(config(service(**keys)))
    for flags in packets_before:
        traffic.tcp(flags)
    traffic.adopt(config(service(backends=[KEEP, NEXT], **keys)))
    return traffic


def half_open_at_its_timeout():
    """A SYN alone is remembered for 30 s: after 30 s the connection is still there."""
    traffic = _after("S")
    traffic.wait(30)
    traffic.tcp("A")
    return traffic


def half_open_expired():
    """A SYN alone is forgotten after 31 s."""
    traffic = _after("S")
    traffic.wait(31)
    traffic.tcp("A")
    return traffic


def closing_at_its_timeout():
    """After a FIN the connection is remembered for 60 s, and acknowledgements do not restore it but prolong it."""
    traffic = _after("S", "A", "FA")
    traffic.wait(60)
    traffic.tcp("A")
    traffic.wait(60)
    traffic.tcp("A")
    traffic.wait(61)
    traffic.tcp("A")
    return traffic


def closing_expired():
    """After a FIN or RST the connection is forgotten after 61 s."""
    traffic = _after("S", "A", "R")
    traffic.wait(61)
    traffic.tcp("A")
    return traffic


def data_restores_closing():
    """A forged RST shortens the timeout, the data that goes on restores it: hours of silence later the connection is known."""
    traffic = _after("S", "A", "R")
    traffic.tcp("PA", b"goes on")
    traffic.wait(3600)
    traffic.tcp("A")
    return traffic


def established_for_hours():
    """An established connection without packets is remembered for 6 h, and no longer."""
    traffic = _after("S", "A")
    traffic.wait(6 * 3600)
    traffic.tcp("A")
    traffic.wait(6 * 3600 + 1)
    traffic.tcp("A")
    return traffic


def syn_on_a_live_connection():
    """A SYN on a live connection changes nothing; on a closing one it begins a new one, elsewhere if the backend takes none."""
    traffic = _after("S", "A")
    traffic.tcp("S")
    traffic.wait(3600)
    traffic.tcp("FA")
    traffic.tcp("S")
    traffic.wait(30)
    traffic.tcp("A")
    traffic.wait(3600)
    traffic.tcp("A")
    return traffic


def unknown_fin_and_rst():
    """FIN and RST of a connection that is not known go by the row and leave no entry behind."""
    traffic = Traffic.of(config(service()))
    for flags in ("FA", "FA", "R", "RA", "A", "A"):
        traffic.tcp(flags)
    return traffic


def udp_timeout():
    """A UDP flow is remembered for 60 s after its last datagram, from its second on."""
    keys = {"name": "dns", "port": 53, "protocol": "udp"}
    traffic = Traffic.of(config(service(**keys)))
    traffic.udp(b"1")
    traffic.udp(b"2")
    traffic.adopt(config(service(backends=[KEEP, NEXT], **keys)))
    for seconds in (60, 60, 61):
        traffic.wait(seconds)
        traffic.udp(b"again")
    return traffic


def udp_single_datagram():
    """A flow of one datagram is half-open, like a SYN: a flood of them pushes out nobody."""
    keys = {"name": "dns", "port": 53, "protocol": "udp"}
    traffic = Traffic.of(config(service(**keys)))
    traffic.udp(b"1")
    traffic.adopt(config(service(backends=[KEEP, NEXT], **keys)))
    traffic.wait(31)
    traffic.udp(b"again")
    return traffic


def timeouts_of_a_service():
    """Timeouts given for a service hold for it, each for its state."""
    traffic = _after("S", timeouts={"half_open": "2s", "established": "5s", "closing": "3s"})
    traffic.wait(2)
    traffic.tcp("A")
    traffic.wait(5)
    traffic.tcp("FA")
    traffic.wait(3)
    traffic.tcp("A")
    traffic.wait(4)
    traffic.tcp("A")
    return traffic


def any_port_timeout():
    """Flows of a service for any port expire as the others do."""
    traffic = Traffic.of(config(service(port="any")))
    for port in (80, 443):
        traffic.tcp("S", port=port)
    traffic.tcp("A", port=443)
    traffic.adopt(config(service(port="any", backends=[KEEP, NEXT])))
    traffic.wait(31)
    for port in (80, 443):
        traffic.tcp("A", port=port)
    return traffic


def clock_that_steps_back():
    """Timestamps that go back are the latest time seen: nothing expires by them, nothing lives longer."""
    traffic = _after("S")
    traffic.wait(20)
    traffic.tcp("A", client_port=40001)
    traffic.now_ns -= 3600 * 10**9
    traffic.tcp("S", client_port=40002)
    traffic.now_ns += 3600 * 10**9 + 11 * 10**9
    traffic.tcp("A")
    return traffic
