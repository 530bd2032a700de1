#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What pairs of runs of two builds say.

    compare.py FOLDER       with FOLDER/N-a.json, N-b.json and N-a2.json for N = 0, 1, 2, ...

Each pair gives one ratio b / a for every cell, and one a2 / a: the same build against itself, whose
interval is how much the machine alone moves a figure. A difference is one only if its interval lies
outside that. For latencies, less is better; for messages per second, more.
"""
import json
import pathlib
import sys

import intervals


def figures(path):
    """{(scenario, system, size, mode, figure): value} of one run."""
    found = {}
    for entry in json.loads(path.read_text()):
        if entry["goal"] is not None or not entry["available"]:
            continue
        key = (entry["scenario"], entry["system"], entry["size"], entry["mode"])
        if entry["latency_ns"]:
            found[key + ("p50",)] = entry["latency_ns"]["p50"]
        elif entry["msgs_per_s"]:
            found[key + ("msgs/s",)] = entry["msgs_per_s"]
    return found


def ratios(folder, other):
    """{cell: [ratio of each pair]} of N-other over N-a."""
    collected = {}
    number = 0
    while (folder / f"{number}-a.json").is_file():
        base, changed = folder / f"{number}-a.json", folder / f"{number}-{other}.json"
        number += 1
        if not changed.is_file():
            continue
        ours, theirs = figures(base), figures(changed)
        for cell in ours.keys() & theirs.keys():
            collected.setdefault(cell, []).append(theirs[cell] / ours[cell])
    return collected


def verdict(figure, change, noise):
    """In words, of two intervals."""
    if change[0] > max(noise[1], 1):
        return "slower" if figure == "p50" else "faster"
    if change[1] < min(noise[0], 1):
        return "faster" if figure == "p50" else "slower"
    return "no difference seen"


def table(folder):
    changed, same = ratios(folder, "b"), ratios(folder, "a2")
    rows = []
    for cell in sorted(changed):
        scenario, system, size, mode, figure = cell
        change = intervals.interval(changed[cell])
        noise = intervals.interval(same.get(cell, []))
        below, above = intervals.sides(changed[cell])
        rows.append(
            f"{scenario:<12} {system:<24} {size:>8} {mode:<5} {figure:<6} "
            f"b/a {intervals.median(changed[cell]):.3f} [{change[0]:.3f}, {change[1]:.3f}] "
            f"({below} below 1, {above} above)   "
            f"a/a {intervals.median(same.get(cell, [])):.3f} [{noise[0]:.3f}, {noise[1]:.3f}]   "
            f"{verdict(figure, change, noise)}")
    return rows


def main(folder):
    rows = table(pathlib.Path(folder))
    if not rows:
        print("compare: no pair of runs has a cell in common", file=sys.stderr)
        return 1
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: compare.py FOLDER")
    sys.exit(main(sys.argv[1]))
