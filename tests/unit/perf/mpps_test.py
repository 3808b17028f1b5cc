#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the meter for an instant and holds what it prints to what must be so on any machine: figures that belong together,
nothing lost, nothing broken, and one clear line for what it cannot do; and perf/mpps.sh around it. How fast anything is, is no
business of a test's."""

import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
METER = os.environ["FAIRLEAD_MPPS"]
SHORT = ["--table", "65536", "--seconds", "0.3", "--rounds", "3"]  # an odd number: a median is one round's figure


def run(*arguments):
    return subprocess.run([METER, *arguments], capture_output=True, text=True, timeout=120)


class Meter(unittest.TestCase):
    def measure(self, *arguments):
        ran = run("--json", *SHORT, *arguments)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout)

    def test_established_flows(self):
        m = self.measure("--flows", "5000")
        self.assertEqual((m["pipeline"], m["flows"], m["size"], m["headers"], m["forwarding"]), ("all", 5000, 64, "warm", "gue"))
        self.assertEqual((m["lost"], m["broken"]), (0, 0))
        self.assertGreater(m["packets"], 1000)
        self.assertEqual(m["by_connection"], 1.0)
        self.assertAlmostEqual(m["mpps"], 1000 / m["gross_ns_per_packet"], delta=0.01 * m["mpps"])
        for key in ("ns_per_packet", "io_ns_per_packet", "macswap_ns_per_packet", "full_to_macswap"):
            self.assertIsNotNone(m[key], key)

    def test_new_flows_are_recorded_round_after_round(self):
        m = self.measure("--flows", "1000", "--new-flows", "1")
        self.assertEqual((m["lost"], m["broken"]), (0, 0))
        self.assertGreater(m["new_flows_per_second"], 100)
        self.assertAlmostEqual(m["by_connection"], 0.99, delta=0.005)

    def test_generations_under_load_break_nothing(self):
        m = self.measure("--flows", "5000", "--updates-per-second", "50", "--backends", "20")
        self.assertEqual((m["lost"], m["broken"]), (0, 0))
        self.assertIsNotNone(m["update_cost_percent"])
        self.assertLess(m["reach_p99_us"], 1_000_000)
        self.assertEqual(m["generations"], 15)  # 50 a second in 0.3 s

    def test_every_round_sees_generations_or_none_is_measured(self):
        m = json.loads(run("--json", "--table", "65536", "--seconds", "0.6", "--updates-per-second", "12").stdout)
        self.assertEqual((m["rounds"], m["generations"]), (3, 6))
        for rounds in ([], ["--rounds", "15"]):
            ran = run("--seconds", "1.5", "--updates-per-second", "3", *rounds)
            self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (64, 1), ran.stderr)
            self.assertIn("--seconds", ran.stderr)

    def test_work_of_others_is_told(self):
        self.assertGreaterEqual(self.measure()["foreign_percent"], 0)
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            self.assertGreater(self.measure()["foreign_percent"], 20)
            self.assertIn("the machine was busy", run(*SHORT).stdout)
        finally:
            other.kill()
            other.wait()

    def test_words_say_what_was_measured(self):
        said = run(*SHORT).stdout
        for words in ("-march=", "commit", "the median of the rounds' own differences"):
            self.assertIn(words, said)

    def test_many_services_sizes_and_cold_headers(self):
        for arguments in (["--services", "20", "--backends", "60"], ["--imix"], ["--size", "1518", "--forwarding", "ipip"], ["--headers", "cold"]):
            m = self.measure("--flows", "1000", *arguments)
            self.assertEqual((m["lost"], m["broken"]), (0, 0), arguments)

    def test_one_pipeline_alone(self):
        m = self.measure("--pipeline", "macswap", "--flows", "100")
        self.assertIsNone(m["gross_ns_per_packet"])
        self.assertAlmostEqual(m["mpps"], 1000 / m["macswap_ns_per_packet"], delta=0.01 * m["mpps"])

    def test_what_it_cannot_do_is_one_line(self):
        for arguments, code, words in (
            (["--flows", "60000", "--table", "65536"], 64, "--table"),
            (["--services", "10", "--backends", "5"], 64, "--services"),
            (["--pipeline", "io", "--updates-per-second", "5"], 64, "--updates-per-second"),
            (["--size", "63"], 64, "--size"),
            (["--pipeline", "ful"], 64, "--pipeline"),
            (["--workers", "16", "--lcores", "0"], 78, "--workers"),
            (["--lcores", "0-x"], 78, "--lcores"),
            (["--seconds", "nan"], 64, "--seconds: takes 0.1..3600, not 'nan'"),
            (["--seconds", "inf"], 64, "--seconds: takes 0.1..3600, not 'inf'"),
            (["--workers"], 64, "--workers: takes a value"),
            (["--forwarding", "\x1b[31m\n"], 64, "--forwarding: takes gue|ipip, not '\\x1b[31m\\x0a'"),
        ):
            ran = run(*arguments)
            self.assertEqual(ran.returncode, code, (arguments, ran.stderr))
            self.assertEqual(len(ran.stderr.strip().splitlines()), 1, ran.stderr)
            self.assertIn(words, ran.stderr)
            self.assertEqual(ran.stdout, "")

    def test_memory_that_is_not_there_is_refused_before_it_is_taken(self):
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        entries = min(memory // 16 * 2, 2**31)
        if entries * 16 < memory:
            self.skipTest("the largest table fits into this machine")
        ran = run("--hugepages-needed", "--table", str(entries))
        self.assertEqual((ran.returncode, ran.stdout, len(ran.stderr.splitlines())), (78, "", 1), ran.stderr)
        self.assertIn("--table", ran.stderr)

    def test_help_shows_the_words_alone(self):
        said = run("--help").stdout
        self.assertIn("--pipeline all|full|macswap|io", said)
        for leak in ("ENUM", "UINT", "FLOAT", "->"):
            self.assertNotIn(leak, said)

    def test_a_report_that_cannot_be_written_fails(self):
        with open("/dev/full", "w") as full:
            ran = subprocess.run([METER, *SHORT, "--json"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (74, 1), ran.stderr)


class Tree(unittest.TestCase):
    """A tree with the scripts, whose build-perf/ has the meter under test."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.tree = pathlib.Path(place.name)
        for name in ("perf", "build-perf/perf/mpps"):
            (self.tree / name).mkdir(parents=True)
        for name in ("perf/mpps.sh", "perf/mpps", "perf/results.sh", "perf/compare", "scripts"):
            (self.tree / name).symlink_to(ROOT / name)
        (self.tree / "build-perf/perf/mpps/mpps").symlink_to(METER)

    def hold_lock(self):
        """So that no mpps.sh measures; if somebody does, that is as good."""
        lock = open("/run/lock/fairlead-mpps", "a")
        self.addCleanup(lock.close)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass


class Script(Tree):
    def start(self, *arguments):
        return subprocess.Popen(["bash", self.tree / "perf/mpps.sh", "--no-build", "--table", "65536", *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def test_one_measurement_at_a_time(self):
        self.hold_lock()
        for arguments in ((), ("--no-hugepages",)):
            ran = self.start(*arguments)
            out, error = ran.communicate(timeout=30)
            self.assertEqual((ran.returncode, out), (78, ""), error)
            self.assertEqual(error, "mpps: another measurement runs on this machine: wait until it has ended\n")

    def test_a_signal_to_the_script_ends_the_meter_at_once(self):
        script = self.start("--no-hugepages", "--seconds", "600")
        deadline = time.monotonic() + 60
        while not (meters := self.meters_of(script.pid)):
            if script.poll() is not None and "another measurement" in (said := script.communicate()[1]):
                self.skipTest(said)
            self.assertIsNone(script.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        script.send_signal(signal.SIGTERM)
        out, error = script.communicate(timeout=20)
        self.assertEqual((script.returncode, out), (143, ""), error)
        self.assertFalse(pathlib.Path(f"/proc/{meters[0]}").exists())

    @staticmethod
    def meters_of(script):
        """Those that measure."""
        children = subprocess.run(["pgrep", "-P", str(script)], capture_output=True, text=True).stdout.split()
        found = []
        for child in children:
            try:
                words = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"/mpps") and b"--hugepages-needed" not in words:
                found.append(child)
        return found

    def test_what_only_the_script_can_refuse(self):
        for arguments, words in ((["--cpu"], "mpps: --cpu takes a level: native"), (["--cpu", "z80"], "mpps: --cpu takes native, x86-64-v3 or x86-64-v2, not z80")):
            ran = self.start(*arguments)
            error = ran.communicate(timeout=30)[1]
            self.assertEqual((ran.returncode, len(error.splitlines())), (64, 1), error)
            self.assertIn(words, error)


class Results(Tree):
    def setUp(self):
        super().setUp()
        self.output, self.scratch = self.tree / "results", self.tree / "scratch"
        for directory in (self.output, self.scratch, self.tree / "build-perf/perf/bench", self.tree / "build-perf/perf/instructions"):
            directory.mkdir()
        (self.output / "mpps.jsonl").write_text("as it was\n")
        for name in ("bench/bench_steps", "instructions/count_path"):  # looked for, and not come to
            (self.tree / "build-perf/perf" / name).symlink_to(METER)

    def end_of_run(self, act):
        """The exit code of a run that does not get as far as its results, and its errors."""
        self.hold_lock()
        ran = subprocess.Popen(["bash", self.tree / "perf/results.sh", "--no-build", "--output", self.output], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(self.scratch)})
        act(ran)
        error = ran.communicate(timeout=30)[1]
        self.assertEqual({path.name: path.read_text() for path in self.output.iterdir()}, {"mpps.jsonl": "as it was\n"})
        self.assertEqual(list(self.scratch.iterdir()), [])
        return ran.returncode, error

    def test_a_measurement_that_fails_leaves_the_results(self):
        code, error = self.end_of_run(lambda ran: None)
        self.assertEqual(code, 78, error)
        self.assertIn("another measurement runs", error)

    def test_a_signal_ends_it_at_once_and_leaves_the_results(self):
        def end(ran):
            while not subprocess.run(["pgrep", "-P", str(ran.pid), "sleep"], stdout=subprocess.PIPE).stdout:
                self.assertIsNone(ran.poll())
                time.sleep(0.01)
            ran.send_signal(signal.SIGTERM)

        self.assertEqual(self.end_of_run(end)[0], 143)

    def test_words_that_measure_nothing_leave_the_results(self):
        results = lambda: {path.name: path.stat().st_mtime_ns for path in (ROOT / "perf/results").iterdir()}
        before = results()
        for arguments, code, words in ((["--help"], 0, "usage: perf/results.sh"), (["--halp"], 2, "unknown argument --halp"), (["--output"], 2, "--output takes"),
                                       (["--output", "/proc/none"], 73, "/proc/none")):
            ran = subprocess.run([ROOT / "perf/results.sh", *arguments], capture_output=True, text=True, timeout=30)
            self.assertEqual(ran.returncode, code, ran.stderr)
            self.assertIn(words, ran.stdout if code == 0 else ran.stderr)
        self.assertEqual(results(), before)


class Hugepages(unittest.TestCase):
    """Lent and given back, with files in the place of the kernel's."""

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.count, self.record, self.meminfo = (pathlib.Path(place.name) / name for name in ("count", "record", "meminfo"))
        self.meminfo.write_text("HugePages_Total: 10\nHugePages_Free: 10\nHugePages_Rsvd: 0\n")
        self.count.write_text("10\n")

    def bash(self, script):
        ran = subprocess.run(["bash", "-c", f"set -euo pipefail; source {ROOT}/perf/mpps/hugepages.sh\n"
                              f"hugepages_count={self.count} hugepages_record={self.record}\n{script}"], capture_output=True, text=True, timeout=30)
        return ran.returncode, ran.stderr

    def counted(self):
        return int(self.count.read_text())

    def test_a_killed_run_s_are_given_back_by_the_next(self):
        self.assertEqual(self.bash(f"lend_hugepages 100 {self.meminfo}; kill -KILL $$"), (-9, ""))
        self.assertEqual(self.counted(), 100)
        self.assertEqual(self.bash("give_back_hugepages"), (0, ""))
        self.assertEqual((self.counted(), self.record.exists()), (10, False))

    def test_what_somebody_has_set_meanwhile_stays(self):
        self.assertEqual(self.bash(f"lend_hugepages 100 {self.meminfo}")[0], 0)
        self.count.write_text("300\n")
        code, said = self.bash("give_back_hugepages")
        self.assertEqual((code, self.counted(), self.record.exists()), (0, 300, False))
        self.assertEqual(len(said.splitlines()), 1)

    def test_too_few_are_not_kept(self):
        # The kernel gives 60 where 100 are asked for.
        code, said = self.bash(f"""cat() {{ local n; n=$(command cat "$@"); [ "$n" -le 60 ] || n=60; echo "$n" >"$1"; echo "$n"; }}
            lend_hugepages 100 {self.meminfo}""")
        self.assertEqual((code, self.counted(), self.record.exists()), (0, 10, False), said)
        self.assertIn("gives 50 of 90", said)

    def test_without_a_record_nothing_is_touched(self):
        self.assertEqual(self.bash("give_back_hugepages"), (0, ""))
        self.record.write_text("rubbish\n")
        self.assertEqual(self.bash("give_back_hugepages"), (0, ""))
        self.assertEqual(self.counted(), 10)


if __name__ == "__main__":
    unittest.main()
