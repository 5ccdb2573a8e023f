#!/usr/bin/env python3
"""Judges an Autobahn|Testsuite report: check.py INDEX_JSON

Stricter than the suite's own colours: NON-STRICT is a failure, and so is a case that is missing or has not ended
cleanly. Every failing case is named; exits 1 if there is one.
"""

import json
import sys

# Chapters 1 to 7, 9 and 10; there is no chapter 8, and 12 and 13 are about compression.
CASES = 301

# These report whatever they see and judge nothing: how a close behind 256 KiB of data is met, and two close codes
# of which the RFC says nothing. Any other case that says INFORMATIONAL has changed its mind, and fails.
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def main(path):
    with open(path, encoding="utf-8") as file:
        agents = json.load(file)
    if len(agents) != 1:
        sys.exit(f"autobahn: one agent expected in {path}, found {len(agents)}")
    (cases,) = agents.values()

    failed = sorted((case for case in cases if not passed(case, cases[case])), key=number)
    for case in failed:
        result = cases[case]
        print(f"autobahn: case {case}: behavior {result['behavior']}, close {result['behaviorClose']},"
              f" see {result['reportfile']}")

    informational = len(INFORMATIONAL & cases.keys() - set(failed))
    ok = len(cases) - len(failed) - informational
    print(f"autobahn: {len(cases)} cases: {ok} OK, {informational} INFORMATIONAL, {len(failed)} failed")
    if len(cases) != CASES:
        sys.exit(f"autobahn: {CASES} cases expected, {len(cases)} ran")
    if failed:
        sys.exit(1)


def passed(case, result):
    wanted = "INFORMATIONAL" if case in INFORMATIONAL else "OK"
    return result["behavior"] == wanted and result["behaviorClose"] == wanted


def number(case):
    return [int(part) for part in case.split(".")]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
