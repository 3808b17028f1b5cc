# SPDX-License-Identifier: Apache-2.0
"""Several backends, and backends that come, drain and go while connections are open."""
from traffic import Traffic, backend, config, service

FOUR = [f"10.20.0.{31 + i}" for i in range(4)]


def _flows(count):
    return [(f"203.0.113.{1 + i // 100}", 32768 + 7 * i) for i in range(count)]


def _each(traffic, flows, flags, **keys):
    for client, port in flows:
        traffic.tcp(flags, client=client, client_port=port, **keys)


def _spread(algorithm):
    traffic = Traffic.of(config(service(algorithm=algorithm, backends=FOUR)))
    flows = _flows(60)
    for flags in ("S", "A", "PA", "FA"):
        _each(traffic, flows, flags)
    return traffic


def several_backends():
    """Rendezvous over four backends: a SYN and what follows go to one of them."""
    return _spread("rendezvous")


def maglev():
    """Maglev over four backends: a SYN and what follows go to one of them."""
    return _spread("maglev")


def spread_by_weight():
    """1,000 flows over backends of weight 100, 200 and 300 and one of weight 0, and a packet more of each."""
    weights = {"10.20.0.31": 100, "10.20.0.32": 200, "10.20.0.33": 300, "10.20.0.34": 0}
    traffic = Traffic.of(config(service(backends=[backend(a, weight=w) for a, w in weights.items()])))
    flows = _flows(1000)
    _each(traffic, flows, "S")
    _each(traffic, flows, "A")
    traffic.shares = {address: weight / 600 for address, weight in weights.items()}
    traffic.shares_tolerance = 0.05  # three standard deviations of a share of 1,000 independent choices
    return traffic


def no_backends():
    """A service without backends: packets of any kind drop under their service's name."""
    traffic = Traffic.of(config(service(backends=[])))
    for flags in ("S", "A", "PA", "FA", "R"):
        traffic.tcp(flags)
    return traffic


def weight_zero():
    """Weight 0 takes no new flows: beside another backend, and alone."""
    idle, busy = backend("10.20.0.31", weight=0), backend("10.20.0.32")
    traffic = Traffic.of(config(service("web", backends=[idle, busy]), service("alt", port=8080, backends=[idle])))
    for i in range(20):
        traffic.tcp("S", client_port=40000 + i)
    traffic.tcp("S", port=8080)
    return traffic


def drain():
    """A drained backend keeps its connections and takes no new ones; undone, it takes new ones again."""
    up = config(service())
    drained = config(service(backends=[backend("10.20.0.31", drain="true"), backend("10.20.0.32")]))
    traffic = Traffic.of(up)
    _each(traffic, _flows(10), "S")
    traffic.adopt(drained)
    _each(traffic, _flows(10), "A")
    _each(traffic, _flows(12)[10:], "S")
    traffic.adopt(config(service(backends=[backend("10.20.0.31", drain="true")])))
    _each(traffic, _flows(10), "PA", payload=b"still here")
    _each(traffic, _flows(12)[10:], "A")  # its backend is removed, the other takes nothing new
    traffic.adopt(up)
    _each(traffic, _flows(14)[12:], "S")
    return traffic


def weight_zero_while_open():
    """Weight 0 given to a backend with connections is as draining it."""
    traffic = Traffic.of(config(service()))
    _each(traffic, _flows(5), "S")
    traffic.adopt(config(service(backends=[backend("10.20.0.31", weight=0), backend("10.20.0.32", weight=1)])))
    _each(traffic, _flows(5), "A")
    _each(traffic, _flows(8)[5:], "S")
    return traffic


def backend_removed():
    """Connections of a removed backend go to one that lives; those of the others stay where they are."""
    traffic = Traffic.of(config(service(backends=FOUR)))
    flows = _flows(40)
    _each(traffic, flows, "S")
    traffic.adopt(config(service(backends=FOUR[:3])))
    _each(traffic, flows, "A")
    _each(traffic, flows, "PA", payload=b"x")
    return traffic


def backend_added():
    """A backend more changes no open connection, whatever the rows say now; new flows may go to it."""
    traffic = Traffic.of(config(service(backends=FOUR[:3])))
    open_flows, new_flows = _flows(60)[:40], _flows(60)[40:]
    _each(traffic, open_flows, "S")
    traffic.adopt(config(service(backends=FOUR)))
    _each(traffic, open_flows, "A")
    _each(traffic, new_flows, "S")
    _each(traffic, open_flows + new_flows, "PA", payload=b"x")
    return traffic


def removed_and_added_again():
    """A backend that was removed and is back is another: its old connections are not believed."""
    up, down = config(service(), service("alt", port=81, backends=["10.20.0.33"])), config(service("alt", port=81, backends=["10.20.0.33"]))
    traffic = Traffic.of(up)
    traffic.tcp("S")
    traffic.tcp("S", port=81)
    traffic.adopt(config(service(backends=[]), service("alt", port=81, backends=["10.20.0.33"])))
    traffic.tcp("A", client_port=40001)
    traffic.adopt(up)
    traffic.tcp("A")  # by the row, though an entry of the old tenant is there
    traffic.tcp("A")
    traffic.tcp("A", port=81)
    traffic.adopt(down)
    traffic.tcp("A")  # the service is gone, its VIP is still another's
    traffic.adopt(up)
    traffic.tcp("A")
    traffic.tcp("A", port=81)
    return traffic


def forgotten():
    """All connections lost: with unchanged backends everything goes where it went, by the rows."""
    traffic = Traffic.of(config(service(backends=FOUR)))
    flows = _flows(40)
    _each(traffic, flows, "S")
    traffic.forget()
    _each(traffic, flows, "A")
    _each(traffic, flows, "PA", payload=b"x")
    return traffic


def options_changed_while_open():
    """Outer source, DSCP, GUE port, next hop and forwarding mode change between two packets of a connection; its backend does not."""
    traffic = Traffic.of(config(service()))
    traffic.tcp("S")
    traffic.adopt(config(service(forwarding="ipip"), source_address="10.20.0.12", next_hop_mac="02:00:00:00:00:fd"))
    traffic.tcp("A")
    traffic.adopt(config(service(), dscp=10, gue_port=6081))
    traffic.tcp("PA", b"x")
    return traffic
