#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a man page's scdoc source of PAGE.scd: the line `%options PROGRAM WORD...` becomes what that program's --help says of its
options, `%usage PROGRAM` all of it, as it stands.

usage: page.py PAGE.scd VERSION PROGRAM=PATH...
"""

import re
import subprocess
import sys

COLUMN = 30  # where CLI11 begins descriptions


def escaped(text):
    return re.sub(r"([\\_*<>#~])", r"\\\1", text)


def entries(lines):
    """The (head, description) pairs of one section."""
    found = []
    for i, line in enumerate(lines):
        if line.startswith(" " * COLUMN):
            found[-1][1] = (found[-1][1] + " " + line.strip()).strip()
        elif i + 1 < len(lines) and lines[i + 1].startswith(" " * COLUMN):
            found.append([line.strip(), ""])
        else:
            found.append([line[:COLUMN].strip(), line[COLUMN:].strip()])
    return found


def sections(text):
    """The named sections of a help text, without their blank lines."""
    found, lines = {}, None
    for line in text.splitlines():
        if re.fullmatch(r"(Positionals|Options|Subcommands):", line):
            lines = found.setdefault(line[:-1], [])
        elif line and not line.startswith(" "):
            lines = None
        elif line and lines is not None:
            lines.append(line)
    return found


def value_of(kind):
    """(How the value is written, what else there is to say of it), of CLI11's TYPE:CHECK=DEFAULT."""
    kind, _, default = kind.partition("=") if "=" in kind else (kind, "", "")
    notes = [f"Default: {default}."] if default else []
    if match := re.match(r"ENUM:value in \{(.*?)\}", kind):
        return "|".join(each.split("->")[0] for each in match[1].split(",")), notes
    if match := re.match(r"\w+:\{(.*)\}", kind):
        return match[1].replace(",", "|"), notes
    if match := re.match(r"\w+:\w+ in \[(.*) - (.*)\]", kind):
        return "N", [f"From {match[1]} to {match[2]}."] + notes
    kind = kind.split(":", 1)[-1]
    return {"TEXT": "VALUE", "UINT": "N", "FLOAT": "N"}.get(kind, kind), notes


def entry(head, description):
    """One option or argument in scdoc."""
    notes = []
    for word in ("Excludes", "Needs"):
        if match := re.search(rf" {word}: (\S+)", head):
            notes.append(f"{'Not with' if word == 'Excludes' else 'Only with'} {match[1]}.")
            head = head.replace(match[0], "")
    for mark, note in ((" REQUIRED", "Required."), (" ...", "May be given several times.")):
        if mark in head:
            head = head.replace(mark, "")
            notes.insert(0, note)
    if match := re.search(r" \(Env:(\w+)\)", head):
        notes.append(f"The environment variable {match[1]} says it as well.")
        head = head.replace(match[0], "")
    names, _, kind = head.partition(" ")
    line = ", ".join(f"*{escaped(name)}*" if name.startswith("-") else f"_{escaped(name)}_" for name in names.split(","))
    if kind:
        value, more = value_of(kind)
        notes = more + notes
        if names.startswith("-"):
            line += f" _{escaped(value)}_"
    text = " ".join([description + ("" if description.endswith((".", "!", "?")) else ".")] + notes)
    return f"{line}\n\t{escaped(text)}\n"


def help_of(command, words):
    done = subprocess.run([command, *words, "--help"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        sys.exit(f"page: {command} {' '.join(words)} --help: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def options(command, words):
    found = sections(help_of(command, words))
    parts = [entry(*each) for name in ("Positionals", "Options") for each in entries(found.get(name, []))
             if not each[0].startswith(("-h,", "--version"))]
    return "\n".join(parts) or "No options.\n"


def main():
    page, version, *programs = sys.argv[1:]
    paths = dict(each.split("=", 1) for each in programs)
    with open(page, encoding="utf-8") as source:
        for line in source:
            if line.startswith("%options "):
                program, *words = line.split()[1:]
                print(options(paths[program], words), end="")
            elif line.startswith("%usage "):
                program = line.split()[1]
                print("```\n" + help_of(paths[program], []).replace(f"scripts/{program}", program) + "```")
            else:
                print(line.replace("@VERSION@", version), end="")


if __name__ == "__main__":
    main()
