#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the test cases of several runs of `meson test` and says how it went.

    tests/tally.py RESULTS

RESULTS holds NAME.json, meson's log of each run, and steps.txt with a line for each step of
tests/run.sh that broke. A case is a case of GoogleTest or of TAP, else the whole test. A program
that failed otherwise than by a failed case (it crashed, it took too long, its leaks were found)
counts as one failed case more, and so does one whose cases are not as many as it announced.

The last line is "N passed, M failed". With CI=true a skipped test that tests/expected_skips.txt
does not list is a failed one.
"""
import json
import os
import pathlib
import re
import sys

EXPECTED_SKIPS = pathlib.Path(__file__).resolve().parent / "expected_skips.txt"

GTEST_CASE = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] ([\w/]+\.[\w/]+)")
GTEST_COUNT = re.compile(r"\[==========\] (\d+) tests? from \d+ test (?:suites?|cases?) ran\.")
TAP_CASE = re.compile(r"^(ok|not ok)\s+\d+(?:\s+-)?\s*([^#\n]*)(#\s*skip)?",
                      re.IGNORECASE | re.MULTILINE)
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
VERDICT = {"OK": PASSED, "FAILED": FAILED, "SKIPPED": SKIPPED}
MESON_GOOD = {"OK", "EXPECTEDFAIL"}


def gtest_cases(output):
    cases = {}
    for verdict, name in GTEST_CASE.findall(output):
        if cases.get(name) != FAILED:   # the summary at the end repeats what failed and was skipped
            cases[name] = VERDICT[verdict]
    announced = GTEST_COUNT.search(output)
    return cases, int(announced.group(1)) if announced else None


def tap_cases(output):
    cases = {}
    for verdict, name, skip in TAP_CASE.findall(output):
        name = name.strip()
        while name in cases:
            name += "'"
        cases[name] = FAILED if verdict == "not ok" else SKIPPED if skip else PASSED
    return cases, None


def cases_of(test):
    """{case: verdict} of one test program."""
    output, result = test.get("stdout") or "", test["result"]
    is_gtest = "[==========]" in output or "[ RUN " in output
    cases, announced = gtest_cases(output) if is_gtest else tap_cases(output)
    if result == "SKIP":
        return cases if SKIPPED in cases.values() else {"": SKIPPED}
    if result in MESON_GOOD:
        if announced is not None and announced != len(cases):
            cases[f"(announced {announced} cases, reported {len(cases)})"] = FAILED
        return cases or {"": PASSED}
    ended_early = is_gtest and (announced is None or test.get("returncode") != 1)
    if ended_early or FAILED not in cases.values():
        cases[f"(the program: {result.lower()}, exit {test.get('returncode')})"] = FAILED
    return cases


def read_run(path):
    """[(name of the case, verdict)] of one run of meson."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        test = json.loads(line)
        name = test["name"].split(" / ")[-1]
        for case, verdict in cases_of(test).items():
            found.append((f"{path.stem}: {name} {case}".rstrip(), verdict))
    return found or [(f"{path.stem}: no test was run", FAILED)]


def expected_skips():
    lines = EXPECTED_SKIPS.read_text(encoding="utf-8").splitlines()
    return {line.partition("#")[0].strip() for line in lines} - {""}


def report_skips(cases):
    """Lists what was skipped; how many of it nobody expected."""
    expected, unexpected = expected_skips(), 0
    for name, verdict in cases:
        if verdict == SKIPPED:
            known = name in expected or name.partition(": ")[2] in expected
            unexpected += not known
            print(f"skipped{'' if known else ', not expected'}: {name}")
    return unexpected


def main(results):
    cases = []
    for path in sorted(results.glob("*.json")):
        run = read_run(path)
        cases += run
        counts = [sum(verdict == kind for _, verdict in run) for kind in (PASSED, FAILED, SKIPPED)]
        print("{}: {} passed, {} failed, {} skipped".format(path.stem, *counts))
    steps = results / "steps.txt"
    if steps.exists():
        cases += [(step, FAILED) for step in steps.read_text(encoding="utf-8").splitlines()]

    unexpected = report_skips(cases)
    for name, verdict in cases:
        if verdict == FAILED:
            print(f"failed: {name}")
    passed = sum(verdict == PASSED for _, verdict in cases)
    failed = sum(verdict == FAILED for _, verdict in cases)
    failed += unexpected if os.environ.get("CI") == "true" else 0
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
