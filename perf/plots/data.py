# SPDX-License-Identifier: Apache-2.0
"""What perf/plot draws, read from the results and checked: points and bars, no drawing. Needs nothing but Python.

Times are nanoseconds a packet, rates are millions of packets a second, sizes are bytes of an Ethernet frame with its CRC.
"""

import collections
import json
import math
import statistics

FRAME_OVERHEAD = 20  # bytes on the wire beside each frame: preamble and start (8), gap (12); IEEE 802.3
LINK_RATES_GBIT = (10, 25, 100)
IMIX_SIZES = (64,) * 7 + (594,) * 4 + (1518,)  # as perf/pktgen sends it
BASE_SIZE = 64

# Of another machine than any that is drawn beside them: one core of a Zen 4 virtual machine (2.6 GHz TSC), small TCP packets of
# established flows drawn at random, at these numbers of flows; measured once, by Fairlead's authors. Net, the making of the packets
# taken off: of VPP its packet generator (53 to 63 at one flow), of Katran, run by BPF_PROG_TEST_RUN, what that takes.
REFERENCE_FLOWS = (1, 1_000, 100_000, 1_000_000, 10_000_000)
REFERENCES = {
    "VPP lb plugin (GRE)": (58, 60, 107, 135, 157),
    "Katran (XDP, IPIP)": (138, 147, 557, 624, 1139),
}

# What a run was asked for, with what it means not to have said so. A line of a plot varies one of them.
PARAMETERS = {
    "pipeline": "all", "flows": None, "size": None, "new_flows_percent": 0, "services": None, "backends": None,
    "forwarding": "gue", "headers": "warm", "workers": 1, "updates_per_second": 0, "build": None,
}

# The steps that a packet takes, of those that perf/bench/bench_steps measures.
PATHS = {
    "in mid-flow": ("parse", "hash", "service_lookup", "connection_hit", "encapsulate_gue"),
    "new flow": ("parse", "hash", "service_lookup", "connection_miss", "row_lookup", "connection_insert", "encapsulate_gue"),
}
PLACES = {"in_cache": "in cache", "out_of_cache": "out of cache"}
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


class ResultsError(Exception):
    """What is wrong with a file of results, and where: `file:line: field: what`."""


Series = collections.namedtuple("Series", "name points")  # points: (x, y), by x
Chart = collections.namedtuple("Chart", "series parameters machine seconds rounds")
Bar = collections.namedtuple("Bar", "name parts")  # parts: (step, value), in the order of the path


def line_rate_mpps(gbit, size):
    """Frames of `size` bytes that a link carries: 14.88 million a second of 64 bytes at 10 Gbit/s."""
    return gbit * 1e3 / ((size + FRAME_OVERHEAD) * 8)


def frame_size(size):
    """Bytes of a frame; of IMIX, on average."""
    return statistics.mean(IMIX_SIZES) if size == "imix" else size


def number(record, field, where, may_be_zero=False):
    """The positive number in `field` ("machine.cores" is a field of a field)."""
    value = field_of(record, field, where)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0 or (value == 0 and not may_be_zero):
        raise ResultsError(f"{where}: {field}: a number {'from' if may_be_zero else 'above'} 0, not {json.dumps(value)}")
    return value


def text(record, field, where):
    value = field_of(record, field, where)
    if not isinstance(value, str) or not value:
        raise ResultsError(f"{where}: {field}: a text, not {json.dumps(value)}")
    return value


def field_of(record, field, where):
    value = record
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            raise ResultsError(f"{where}: {field}: is missing")
        value = value[name]
    return value


def content_of(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ResultsError(f"{path}: is no UTF-8 text: byte {error.start}") from None


def parse_json(content, where):
    try:
        record = json.loads(content)
    except json.JSONDecodeError as error:
        raise ResultsError(f"{where}: is no JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ResultsError(f"{where}: is no JSON of results: too deep") from None
    if not isinstance(record, dict):
        raise ResultsError(f"{where}: a JSON object, not {json.dumps(record)[:40]}")
    return record


def read_runs(path):
    """The runs in a file of JSON lines that perf/mpps.sh --json printed, each checked for what the plots need."""
    runs = []
    for count, line in enumerate(content_of(path).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}:{count}"
        run = parse_json(line, where)
        for field in ("flows", "mpps"):
            number(run, field, where)
        # One pipeline by itself has nothing to be taken off from.
        if run.get("pipeline", "all") == "all" or field_of(run, "ns_per_packet", where) is not None:
            number(run, "ns_per_packet", where)
        if run.get("size") != "imix":
            number(run, "size", where)
        for field in ("gross_ns_per_packet", "macswap_ns_per_packet"):
            if run.get(field) is not None:
                number(run, field, where)
        number(run, "machine.cores", where)
        for field in ("machine.cpu", "machine.kernel"):
            text(run, field, where)
        for name, default in PARAMETERS.items():
            run.setdefault(name, default)
        for name in ("pipeline", "forwarding", "headers", "build"):
            if run[name] is not None:
                text(run, name, where)
        for name in ("services", "backends", "workers", "new_flows_percent", "updates_per_second", "seconds", "rounds"):
            if run.get(name) is not None:
                number(run, name, where, may_be_zero=True)
        runs.append(run)
    if not runs:
        raise ResultsError(f"{path}: holds no run; perf/mpps.sh --json prints one a line")
    return runs


def machine_of(run):
    return f"{run['machine']['cpu']}, {run['machine']['cores']} cores, Linux {run['machine']['kernel']}"


def widest_group(runs, axis, lines):
    """The runs that differ in `axis` and `lines` alone, of those groups the one with most values of `axis`, then most runs."""
    groups = collections.defaultdict(list)
    for run in runs:
        key = [(name, run[name]) for name in PARAMETERS if name not in (axis, lines)]
        groups[json.dumps([key, machine_of(run)])].append(run)
    return max(sorted(groups.items()), key=lambda group: (len({run[axis] for run in group[1]}), len(group[1])))[1]


def series_of(runs, name, x, y):
    """A line through the medians of the runs at each x; runs without that y are left out."""
    values = collections.defaultdict(list)
    for run in runs:
        if run.get(y) is not None:
            values[x(run)].append(run[y])
    return Series(name, [(place, statistics.median(found)) for place, found in sorted(values.items())])


def chart_of(runs, series):
    parameters = {name: runs[0][name] for name in PARAMETERS}
    return Chart([line for line in series if line.points], parameters, machine_of(runs[0]), runs[0].get("seconds"), runs[0].get("rounds"))


def by_headers(runs):
    """The runs by whether packets come with their headers in the cache: (warm or cold, runs)."""
    kinds = sorted({run["headers"] for run in runs}, reverse=True)  # warm before cold
    return [(kind, [run for run in runs if run["headers"] == kind]) for kind in kinds]


def flows_chart(runs):
    """Nanoseconds a packet against flows; None if no runs vary in flows alone. Series are named by their headers, and
    macswap, what the framework and the making of packets cost."""
    runs = widest_group([run for run in runs if run["pipeline"] == "all" and run["size"] == BASE_SIZE] or runs, "flows", "headers")
    if len({run["flows"] for run in runs}) < 2:
        return None
    flows = lambda run: run["flows"]
    series = [series_of(some, kind, flows, "ns_per_packet") for kind, some in by_headers(runs)]
    first = by_headers(runs)[0][1]
    series.append(series_of(first, "gross", flows, "gross_ns_per_packet"))
    series.append(series_of(first, "macswap", flows, "macswap_ns_per_packet"))
    return chart_of(first, series)


def sizes_chart(runs):
    """Mpps against the size of a frame; None if no runs vary in size alone. The series `imix` is a point at the mean size."""
    runs = widest_group([run for run in runs if run["pipeline"] == "all"] or runs, "size", "headers")
    if len({run["size"] for run in runs if run["size"] != "imix"}) < 2:
        return None
    series = []
    for kind, some in by_headers(runs):
        if len({run["size"] for run in some}) < 2:
            continue
        size = lambda run: frame_size(run["size"])
        series.append(series_of([run for run in some if run["size"] != "imix"], kind, size, "mpps"))
        series.append(series_of([run for run in some if run["size"] == "imix"], f"imix {kind}", size, "mpps"))
    return chart_of(runs, series)


def read_steps(path):
    """What Google Benchmark wrote of STEP/in_cache and STEP/out_of_cache: {(step, place): ns}, and its context. Of
    repetitions, their median."""
    record = parse_json(content_of(path), path)
    benchmarks = field_of(record, "benchmarks", path)
    values = collections.defaultdict(list)
    medians = {}
    if not isinstance(benchmarks, list):
        raise ResultsError(f"{path}: benchmarks: a list, not {json.dumps(benchmarks)[:40]}")
    for index, entry in enumerate(benchmarks):
        where = f"{path}: benchmarks[{index}]"
        if not isinstance(entry, dict):
            raise ResultsError(f"{where}: an object, not {json.dumps(entry)[:40]}")
        parts = text({"name": entry.get("run_name") or entry.get("name")}, "name", where).split("/")
        if len(parts) < 2 or parts[1] not in PLACES or entry.get("error_occurred"):
            continue
        key = (parts[0], parts[1])
        if entry.get("run_type") != "aggregate":
            values[key].append(step_ns(entry, where))
        elif entry.get("aggregate_name") == "median":
            medians[key] = step_ns(entry, where)
    steps = {key: statistics.median(found) for key, found in values.items()} | medians
    if not steps:
        raise ResultsError(f"{path}: benchmarks: none is named STEP/in_cache or STEP/out_of_cache")
    return steps, checked_context(record.get("context", {}), f"{path}: context")


def checked_context(context, where):
    """What of Google Benchmark's context is drawn, where it is there."""
    if not isinstance(context, dict):
        raise ResultsError(f"{where}: an object, not {json.dumps(context)[:40]}")
    if "cpu" in context:
        text(context, "cpu", where)
    for name in ("num_cpus", "mhz_per_cpu"):
        if name in context:
            number(context, name, where, may_be_zero=True)
    caches = context.get("caches", [])
    if not isinstance(caches, list):
        raise ResultsError(f"{where}: caches: a list, not {json.dumps(caches)[:40]}")
    for index, cache in enumerate(caches):
        for name in ("level", "size"):
            number(cache, name, f"{where}: caches[{index}]", may_be_zero=True)
    return context


def step_ns(entry, where):
    """By the counter of that name, else by items a second, else by the time of an iteration."""
    if "ns_per_packet" in entry:
        return number(entry, "ns_per_packet", where)
    if "items_per_second" in entry:
        return 1e9 / number(entry, "items_per_second", where)
    unit = entry.get("time_unit", "ns")
    if not isinstance(unit, str) or unit not in NANOSECONDS:
        raise ResultsError(f"{where}: time_unit: one of {', '.join(NANOSECONDS)}, not {json.dumps(unit)}")
    return number(entry, "real_time", where) * NANOSECONDS[unit]


def step_bars(steps):
    """A bar for each path and place whose steps were all measured; if there is none, one for each place with what was."""
    bars = [Bar(f"{path}, {PLACES[place]}", [(step, steps[step, place]) for step in path_steps])
            for path, path_steps in PATHS.items() for place in PLACES if all((step, place) in steps for step in path_steps)]
    return bars or [Bar(PLACES[place], parts) for place in PLACES
                    if (parts := [(step, value) for (step, where), value in steps.items() if where == place])]


def read_instructions(path):
    """Bars of instructions a packet, by step: an established flow's, and a new one's if it was counted."""
    record = parse_json(content_of(path), path)
    ways = {"in mid-flow": "established", "new flow": "new"}
    if "established" not in record:
        ways = {"a packet": None}
    bars = []
    for name, way in ways.items():
        if way and way not in record:
            continue
        field = f"{way}.steps" if way else "steps"
        steps = field_of(record, field, path)
        if not isinstance(steps, dict) or not steps:
            raise ResultsError(f"{path}: {field}: an object of numbers, not {json.dumps(steps)[:40]}")
        bars.append(Bar(name, [(step, number(steps, step, f"{path}: {field}", may_be_zero=True)) for step in steps]))
    return bars


def family(step):
    """What colours a step: `connection_hit` is the connection table's, `service lookup` and `service_lookup` are one."""
    words = step.replace("_", " ")
    for name in ("parse", "hash", "service", "connection", "encapsulate", "count", "pipeline"):
        if words.startswith(name):
            return name
    return "select" if words.startswith(("select", "row")) else "other"
