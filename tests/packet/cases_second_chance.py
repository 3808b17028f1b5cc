# SPDX-License-Identifier: Apache-2.0
"""Connections without state: the row's owner first, with those that owned the row before as hops."""
from cases_backends import FOUR
from traffic import Traffic, backend, config, service


def _drained(address):
    return backend(address, drain="true")


def _passed_on(**keys):
    """Traffic of a service whose one backend that takes new flows was .31, then .32, .33 and .34; the others drain."""
    traffic = Traffic.of(config(service(backends=FOUR[:1], **keys)))
    traffic.tcp("S", client_port=50001)
    for count in (2, 3, 4):
        traffic.adopt(config(service(backends=[*map(_drained, FOUR[: count - 1]), FOUR[count - 1]], **keys)))
        traffic.tcp("S", client_port=50000 + count)
    return traffic


def second_chance():
    """A packet without an entry goes to the row's owner with its former owners as hops, latest first; so does all of its flow."""
    traffic = _passed_on()
    for flags in ("A", "PA", "S", "FA", "A", "R"):
        traffic.tcp(flags)
    traffic.tcp("S", client_port=40001)
    traffic.tcp("A", client_port=40001)
    for flags in ("FA", "R", "A"):  # the first two leave no entry
        traffic.tcp(flags, client_port=40002)
    return traffic


def second_chance_forgotten():
    """A balancer that has lost its table finds connections again by hops."""
    traffic = Traffic.of(config(service()))
    for flags in ("S", "A"):
        traffic.tcp(flags)
    traffic.adopt(config(service(backends=[_drained(FOUR[0]), FOUR[1]])))
    traffic.tcp("PA", b"sure")
    traffic.forget()
    traffic.tcp("PA", b"unsure")
    return traffic


def second_chance_living_only():
    """A backend that was removed is no hop; one that returns is one again, for its set is remembered."""
    traffic = _passed_on()
    traffic.adopt(config(service(backends=[_drained(FOUR[0]), _drained(FOUR[2]), FOUR[3]])))
    traffic.tcp("A")
    traffic.adopt(config(service(backends=[FOUR[1], _drained(FOUR[2]), _drained(FOUR[3])])))
    traffic.tcp("A", client_port=40001)
    return traffic


def second_chance_owner_changes():
    """An unsure flow keeps its first choice; the hops are those of the generation, its row's present owner first."""
    traffic = Traffic.of(config(service()))
    traffic.tcp("A")
    traffic.adopt(config(service(backends=[_drained(FOUR[0]), FOUR[1]])))
    traffic.tcp("A")
    traffic.adopt(config(service(backends=[_drained(FOUR[0]), _drained(FOUR[1]), FOUR[2]])))
    traffic.tcp("A")
    traffic.adopt(config(service(backends=[_drained(FOUR[1]), FOUR[2]])))  # its first choice is gone
    traffic.tcp("A")
    return traffic


def second_chance_all_drain():
    """When all drain, a connection without an entry goes to who had its row last; a new one drops."""
    traffic = _passed_on()
    traffic.adopt(config(service(backends=[*map(_drained, FOUR)])))
    traffic.tcp("A")
    traffic.tcp("S", client_port=40001)
    return traffic


def second_chance_off():
    """Without it a packet without an entry goes by its row, as if it began the connection."""
    traffic = _passed_on(second_chance="false")
    for flags in ("A", "PA"):
        traffic.tcp(flags)
    return traffic


def second_chance_ipip():
    """IPIP has no room for hops: there is none."""
    traffic = _passed_on(forwarding="ipip")
    for flags in ("A", "PA"):
        traffic.tcp(flags)
    return traffic
