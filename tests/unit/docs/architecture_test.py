#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds ARCHITECTURE.md and README.md to the code.

  - every `path/to/file.ext:name` in them names a function or type that stands in that file;
  - every `path` in them that looks like one of ours exists, and every relative link leads somewhere;
  - the tables of drop reasons are those that dataplane/wire/drop_reasons.h makes.

`architecture_test.py --write` writes the tables anew.
"""

import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DOCUMENTS = ["README.md", "ARCHITECTURE.md"]
TOP_LEVEL = ("dataplane/", "controlplane/", "bpf/", "scripts/", "tests/", "perf/")
LISTS = {"dataplane": "FAIRLEAD_DROP_REASONS", "steer": "FAIRLEAD_STEER_OUTCOMES", "backend": "FAIRLEAD_BACKEND_OUTCOMES"}


def reasons(macro):
    """The (name, text, mend) triples of one X-macro list."""
    header = (ROOT / "dataplane/wire/drop_reasons.h").read_text()
    body = re.search(r"#define " + macro + r"\(X\) \\\n((?:.*\\\n)*.*)\n", header).group(1)
    return re.findall(r'X\((\w+), "([^"]*)",\s*(?:\\\s*)?"([^"]*)"\)', body)


def table(macro):
    rows = ["| name | what happened | what to look at |", "| --- | --- | --- |"]
    rows += [f"| `{name}` | {text} | {mend or '-'} |" for name, text, mend in reasons(macro)]
    return "\n".join(rows)


def marked(text, name):
    """The span of text between the markers of one generated table."""
    begin, end = f"<!-- begin {name} -->\n", f"\n<!-- end {name} -->"
    start = text.index(begin) + len(begin)
    return start, text.index(end, start)


class Documents(unittest.TestCase):
    def test_named_functions_exist(self):
        found = 0
        for document in DOCUMENTS:
            for path, name in re.findall(r"`([\w./-]+\.(?:cpp|hpp|h|c|sh|py)):([A-Za-z_][\w:]*)`", (ROOT / document).read_text()):
                found += 1
                file = ROOT / path
                self.assertTrue(file.is_file(), f"{document}: {path} does not exist")
                last = name.split("::")[-1]
                self.assertRegex(file.read_text(), rf"\b{last}\b", f"{document}: {path} has no {name}")
        self.assertGreater(found, 15, "the walks name functions")

    def test_paths_exist(self):
        for document in DOCUMENTS:
            text = (ROOT / document).read_text()
            for path in re.findall(r"`([\w./-]+/[\w./-]*)`", text):
                if path.startswith(TOP_LEVEL):
                    self.assertTrue((ROOT / path).exists(), f"{document}: {path} does not exist")
            for link in re.findall(r"\]\(([^)#]+)\)", text):
                if "://" not in link:
                    self.assertTrue((ROOT / link).exists(), f"{document}: link to {link}")

    def test_reason_tables_are_current(self):
        text = (ROOT / "ARCHITECTURE.md").read_text()
        for name, macro in LISTS.items():
            self.assertGreater(len(reasons(macro)), 2)
            start, end = marked(text, name)
            self.assertEqual(text[start:end], table(macro), f"run {pathlib.Path(__file__).name} --write")


def write():
    path = ROOT / "ARCHITECTURE.md"
    text = path.read_text()
    for name, macro in LISTS.items():
        start, end = marked(text, name)
        text = text[:start] + table(macro) + text[end:]
    path.write_text(text)


if __name__ == "__main__":
    write() if sys.argv[1:] == ["--write"] else unittest.main()
