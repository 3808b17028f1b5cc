# SPDX-License-Identifier: Apache-2.0
"""The cases: each a function that makes the traffic of tests/packet/cases/NAME, its docstring the description."""
import cases_backends
import cases_malformed
import cases_plain
import cases_second_chance
import cases_time

CASES = {}
for module in (cases_plain, cases_malformed, cases_backends, cases_time, cases_second_chance):
    for name, function in vars(module).items():
        if not name.startswith("_") and getattr(function, "__module__", None) == module.__name__:
            CASES[name] = function
