#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What perf/plot makes of results: which runs are a line, which steps a bar, what it says of a wrong file; and that it draws
the same file each time. Skipped (77) where there is no matplotlib."""

import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "perf/plots"))
sys.dont_write_bytecode = True

import data  # noqa: E402  found by the path above

MACHINE = {"cpu": "A CPU", "cores": 2, "kernel": "6.1", "hugepages": 0}


def run_of(**fields):
    return {"pipeline": "all", "flows": 1000, "size": 64, "mpps": 30.0, "ns_per_packet": 12.0, "gross_ns_per_packet": 33.0,
            "macswap_ns_per_packet": 20.0, "services": 1, "backends": 100, "machine": MACHINE, "seconds": 2, "rounds": 3} | fields


def step_of(name, ns, **fields):
    return {"name": name, "run_name": name, "run_type": "iteration", "real_time": 99.0, "time_unit": "ns", "ns_per_packet": ns} | fields


def setUpModule():
    """Matplotlib lists the machine's fonts the first time, takes its time, and says so."""
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True, capture_output=True)


class InDirectory(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def write(self, name, *records):
        path = self.directory / name
        path.write_text("\n".join(record if isinstance(record, str) else json.dumps(record) for record in records) + "\n")
        return path

    def error_of(self, function, path):
        with self.assertRaises(data.ResultsError) as raised:
            function(path)
        return str(raised.exception).replace(str(self.directory) + "/", "")


class Runs(InDirectory):
    def read(self, *records):
        return data.read_runs(self.write("mpps.jsonl", *records))

    def test_a_line_goes_through_the_medians_of_runs_that_differ_in_flows_alone(self):
        runs = self.read(*(run_of(flows=flows, ns_per_packet=ns) for flows, ns in ((1000, 12), (1000, 14), (1000, 90), (1, 10), (1_000_000, 30))),
                         run_of(flows=1000, ns_per_packet=500, new_flows_percent=50), run_of(size=1518, ns_per_packet=600),
                         run_of(pipeline="macswap", ns_per_packet=700))
        chart = data.flows_chart(runs)
        self.assertEqual([line.name for line in chart.series], ["warm", "gross", "macswap"])
        self.assertEqual(chart.series[0].points, [(1, 10), (1000, 14), (1_000_000, 30)])
        self.assertEqual(chart.parameters["new_flows_percent"], 0)
        self.assertEqual(chart.machine, "A CPU, 2 cores, Linux 6.1")

    def test_cold_headers_are_a_line_of_their_own(self):
        chart = data.flows_chart(self.read(*(run_of(flows=flows, headers=headers) for flows in (1, 10) for headers in ("cold", "warm"))))
        self.assertEqual([line.name for line in chart.series][:2], ["warm", "cold"])

    def test_runs_of_two_machines_are_not_one_line(self):
        other = MACHINE | {"cpu": "another"}
        chart = data.flows_chart(self.read(run_of(flows=1), run_of(flows=2), run_of(flows=3, machine=other)))
        self.assertEqual(chart.series[0].points, [(1, 12.0), (2, 12.0)])

    def test_one_number_of_flows_is_no_line(self):
        self.assertIsNone(data.flows_chart(self.read(run_of(), run_of())))
        self.assertIsNone(data.sizes_chart(self.read(run_of(size="imix"), run_of())))

    def test_imix_stands_at_its_mean_size(self):
        chart = data.sizes_chart(self.read(run_of(), run_of(size=1518, mpps=29), run_of(size="imix", mpps=31)))
        self.assertEqual({line.name: line.points for line in chart.series},
                         {"warm": [(64, 30.0), (1518, 29)], "imix warm": [((7 * 64 + 4 * 594 + 1518) / 12, 31)]})

    def test_optional_fields_may_be_missing(self):
        bare = {"flows": 1, "size": 64, "mpps": 1, "ns_per_packet": 1, "machine": MACHINE}
        chart = data.flows_chart(self.read(bare, bare | {"flows": 2}))
        self.assertEqual([line.name for line in chart.series], ["warm"])

    def test_one_pipeline_by_itself_has_no_net_time_and_is_in_no_line(self):
        runs = self.read(run_of(), run_of(flows=2), *(run_of(pipeline="macswap", flows=flows, ns_per_packet=None) for flows in (1, 2, 3)))
        self.assertEqual(data.flows_chart(runs).series[0].points, [(2, 12.0), (1000, 12.0)])

    def test_an_error_names_file_line_and_field(self):
        without = run_of()
        del without["ns_per_packet"]
        for records, error in (
            ((run_of(), without), "mpps.jsonl:2: ns_per_packet: is missing"),
            ((run_of(), "", run_of(flows="many")), 'mpps.jsonl:3: flows: a number above 0, not "many"'),
            ((run_of(ns_per_packet=None),), "mpps.jsonl:1: ns_per_packet: a number above 0, not null"),
            ((run_of(mpps=0),), "mpps.jsonl:1: mpps: a number above 0, not 0"),
            ((run_of(mpps=float("nan")),), "mpps.jsonl:1: mpps: a number above 0, not NaN"),
            ((run_of(machine={"cpu": "A CPU", "cores": 2}),), "mpps.jsonl:1: machine.kernel: is missing"),
            ((run_of(size="big"),), 'mpps.jsonl:1: size: a number above 0, not "big"'),
            (("{",), "mpps.jsonl:1: is no JSON: Expecting property name enclosed in double quotes at column 2"),
            ((run_of(headers=5),), "mpps.jsonl:1: headers: a text, not 5"),
            ((run_of(workers=[]),), "mpps.jsonl:1: workers: a number from 0, not []"),
            (("[]",), "mpps.jsonl:1: a JSON object, not []"),
            (("",), "mpps.jsonl: holds no run; perf/mpps.sh --json prints one a line"),
        ):
            self.assertEqual(self.error_of(data.read_runs, self.write("mpps.jsonl", *records)), error)

    def test_line_rates_are_those_of_ethernet(self):
        self.assertAlmostEqual(data.line_rate_mpps(10, 64), 14.88, places=2)
        self.assertAlmostEqual(data.line_rate_mpps(100, 1518), 8.127, places=3)


class Steps(InDirectory):
    def read(self, *entries):
        return data.read_steps(self.write("steps.json", {"context": {"num_cpus": 2}, "benchmarks": entries}))[0]

    def test_time_is_the_counter_or_the_rate_or_the_iteration(self):
        by_rate, by_time = step_of("b/in_cache", 1, items_per_second=1e8), step_of("c/in_cache", 1, real_time=3, time_unit="us")
        del by_rate["ns_per_packet"], by_time["ns_per_packet"]
        self.assertEqual(self.read(step_of("a/in_cache", 2.5), by_rate, by_time),
                         {("a", "in_cache"): 2.5, ("b", "in_cache"): 10, ("c", "in_cache"): 3000})

    def test_of_repetitions_the_median_counts(self):
        aggregates = [step_of("b/in_cache", ns, run_type="aggregate", aggregate_name=name) | {"name": f"b/in_cache_{name}"}
                      for name, ns in (("mean", 9), ("median", 7), ("stddev", 0.1))]
        steps = self.read(*(step_of("a/in_cache/manual_time", ns) for ns in (1, 50, 2)), *aggregates, step_of("else", 4))
        self.assertEqual(steps, {("a", "in_cache"): 2, ("b", "in_cache"): 7})

    def test_a_bar_has_the_steps_of_a_path_and_no_others(self):
        steps = {(step, "in_cache"): 1 for path in data.PATHS.values() for step in path}
        steps |= {("encapsulate_ipip", "in_cache"): 1, ("parse", "out_of_cache"): 1}
        bars = data.step_bars(steps)
        self.assertEqual([bar.name for bar in bars], ["in mid-flow, in cache", "new flow, in cache"])
        self.assertEqual([step for step, _ in bars[0].parts], list(data.PATHS["in mid-flow"]))

    def test_steps_of_no_known_path_are_a_bar_too(self):
        self.assertEqual(data.step_bars({("look", "in_cache"): 1, ("leap", "in_cache"): 2}), [data.Bar("in cache", [("look", 1), ("leap", 2)])])

    def test_instructions_of_one_way_or_two(self):
        one = self.write("instructions.json", {"steps": {"parse": 48, "reset": 0}, "total": 48})
        self.assertEqual(data.read_instructions(one), [data.Bar("a packet", [("parse", 48), ("reset", 0)])])
        two = self.write("instructions.json", {"established": {"steps": {"parse": 1}}, "new": {"steps": {"parse": 2}}})
        self.assertEqual([bar.parts for bar in data.read_instructions(two)], [[("parse", 1)], [("parse", 2)]])

    def test_an_error_names_file_and_field(self):
        for function, record, error in (
            (data.read_steps, {}, "steps.json: benchmarks: is missing"),
            (data.read_steps, {"benchmarks": []}, "steps.json: benchmarks: none is named STEP/in_cache or STEP/out_of_cache"),
            (data.read_steps, {"benchmarks": [step_of("a/in_cache", -1)]}, "steps.json: benchmarks[0]: ns_per_packet: a number above 0, not -1"),
            (data.read_instructions, {"steps": {"parse": "48"}}, 'steps.json: steps: parse: a number from 0, not "48"'),
            (data.read_instructions, {"total": 3}, "steps.json: steps: is missing"),
            (data.read_instructions, {"steps": {}}, "steps.json: steps: an object of numbers, not {}"),
            (data.read_steps, {"benchmarks": 5}, "steps.json: benchmarks: a list, not 5"),
            (data.read_steps, {"benchmarks": [5]}, "steps.json: benchmarks[0]: an object, not 5"),
            (data.read_steps, {"benchmarks": [step_of("a/in_cache", 1)], "context": {"caches": [5]}}, "steps.json: context: caches[0]: level: is missing"),
        ):
            self.assertEqual(self.error_of(function, self.write("steps.json", record)), error)


class Plot(InDirectory):
    def plot(self, *arguments):
        return subprocess.run([sys.executable, ROOT / "perf/plot", "--results", self.directory, *arguments], capture_output=True, text=True)

    def test_draws_well_formed_files_the_same_each_time(self):
        self.write("mpps.jsonl", run_of(), run_of(flows=10), run_of(size=512), run_of(size="imix"))
        self.write("steps.json", {"benchmarks": [step_of("parse/in_cache", 2)]})
        self.write("instructions.json", {"steps": {"parse": 48, "count": 15}, "total": 63})
        drawn = []
        for name in ("once", "again"):
            done = self.plot("--output", str(self.directory / name))
            self.assertEqual(done.returncode, 0, done.stderr)
            drawn.append({path.name: path.read_bytes() for path in (self.directory / name).iterdir()})
        self.assertEqual(sorted(drawn[0]), ["mpps_by_size.svg", "ns_per_packet.svg", "steps.svg"])
        self.assertEqual(drawn[0], drawn[1])
        for content in drawn[0].values():
            xml.etree.ElementTree.fromstring(content)

    def test_a_wrong_file_is_one_line_of_error(self):
        self.write("mpps.jsonl", {"flows": 1})
        done = self.plot()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr, f"plot: {self.directory}/mpps.jsonl:1: mpps: is missing\n")

    def test_a_file_that_is_no_text_is_one_line_of_error(self):
        for name in ("mpps.jsonl", "steps.json"):
            (self.directory / name).write_bytes(b"{\"\xff\"}")
            done = self.plot()
            self.assertEqual((done.returncode, done.stderr.splitlines()[-1]), (1, f"plot: {self.directory}/{name}: is no UTF-8 text: byte 2"))
            (self.directory / name).unlink()

    def test_results_that_are_not_there_are_not_made(self):
        done = subprocess.run([sys.executable, ROOT / "perf/plot", "--results", self.directory / "resluts"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (1, f"plot: --results {self.directory}/resluts: is no directory\n"))
        self.assertFalse((self.directory / "resluts").exists())

    def test_nothing_to_draw_fails(self):
        done = self.plot()
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"no {self.directory}/mpps.jsonl", done.stderr)


if __name__ == "__main__":
    if importlib.util.find_spec("matplotlib") is None:
        print("skipped: no matplotlib; scripts/packages.sh test installs it")
        sys.exit(77)
    unittest.main()
