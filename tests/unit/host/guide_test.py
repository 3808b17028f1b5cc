#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds docs/bare-metal.md to the programs: the messages that it explains are theirs, the options that it names exist, its links lead
somewhere."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs/bare-metal.md").read_text()
HOST = ROOT / "scripts/host.sh"


def sources():
    files = [HOST, *(ROOT / "scripts/host").glob("*.sh"), *(ROOT / "dataplane").rglob("*.[ch]*")]
    return "\n".join(file.read_text() for file in files)


class Guide(unittest.TestCase):
    def test_messages_are_the_programs_own(self):
        """Of each message in the last table, what no machine fills in: runs of words without numbers, addresses and names."""
        text = sources()
        rows = [row for row in GUIDE.split("## When something goes wrong")[1].splitlines() if row.startswith("| ")][2:]
        self.assertGreater(len(rows), 15)
        looked_at = 0
        for row in rows:
            for message in re.findall(r"`([^`]+)`", row.split(" | ")[0]):
                runs = re.split(r"'[^']*'|\([^)]*\)|\S*[0-9./]\S*|\.\.\.|: ", message)
                for run in (run.strip(" ,:;()") for run in runs):
                    if len(run.split()) >= 2 or re.fullmatch(r"[a-z]+_[a-z_]+", run):
                        looked_at += 1
                        words = run.split()
                        # What a program fills in may be among the words: half of them in a row must be its own.
                        least = (len(words) + 1) // 2
                        parts = [" ".join(words[i:i + least]) for i in range(len(words) - least + 1)]
                        self.assertTrue(any(part in text for part in parts), f"nobody says '{run}' of '{message}'")
        self.assertGreater(looked_at, 20)

    def test_options_exist(self):
        usage = subprocess.run([HOST, "--help"], capture_output=True, text=True, check=True).stdout
        for command, rest in re.findall(r"(?:scripts/host\.sh|\$host_sh) (check|hugepages|bind|unbind|cores|boot)([^\n`|#;]*)", GUIDE):
            for option in re.findall(r"--[a-z-]+", rest):
                self.assertIn(option, usage, command + rest)

    def test_links_lead_somewhere(self):
        headings = {re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in GUIDE.splitlines() if line.startswith("#")}
        for link in re.findall(r"\]\(#([^)]+)\)", GUIDE):
            self.assertIn(link, headings)


if __name__ == "__main__":
    unittest.main()
