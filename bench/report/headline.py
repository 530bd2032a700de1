#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of goals as Markdown, with machine and commit.

    headline.py RESULTS.json                    prints it
    headline.py RESULTS.json --into README.md   replaces what stands between the two marks there

The marks are `<!-- bench: begin -->` and `<!-- bench: end -->`, each on a line of its own.
"""
import argparse
import json
import pathlib
import sys

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def figure(entry):
    """The subject's own figure, as a person would say it."""
    if entry["absolute"]:
        return f"{entry['value']:.3g} {entry['unit']}".strip()
    if entry["latency_ns"] and entry["goal_is"] == "at most":
        return f"{entry['latency_ns']['p50']:.0f} ns"
    if entry["size"] >= 1024 and entry["bytes_per_s"]:
        return f"{entry['bytes_per_s'] / 1e9:.1f} GB/s"
    if entry["msgs_per_s"]:
        return f"{entry['msgs_per_s'] / 1e6:.1f} M/s"
    return ""


def row(entry):
    goal = f"{entry['goal_is']} {entry['goal']:.3g}"
    if entry["goal"] != entry["goal_near"]:
        goal += f" (far; near {entry['goal_near']:g})"
    against = entry["against"]
    if entry["reference"] and entry["reference"] not in against:
        against += f" ({entry['reference']})"
    if entry["met"] is None:
        return f"| {entry['what']} | | {against} | | {goal} | not measured |"
    ratio = "" if entry["absolute"] else (
        f"{entry['ratio']:.3g} [{entry['interval']['low']:.3g}, {entry['interval']['high']:.3g}]")
    met = ("yes" if entry["met"] else "**no**") + ("" if entry["trusted"] else ", not trusted")
    return f"| {entry['what']} | {figure(entry)} | {against} | {ratio} | {goal} | {met} |"


def headline(entries):
    goals = [entry for entry in entries if entry["goal"] is not None]
    if not goals:
        return ""
    first = goals[0]
    raw = sorted(entry["raw_rtt_ns"]["before"] for entry in entries)[len(entries) // 2]
    rounds = max(entry["rounds"] for entry in entries)
    lines = [f"Commit {first['commit']}, {first['machine']}; {rounds} interleaved rounds, raw "
             f"round trip {raw:.0f} ns; ratios are medians over the rounds, with their interval.",
             "",
             "| what | figure | against | ratio | goal | met |",
             "|---|---|---|---|---|---|"]
    return "\n".join(lines + [row(entry) for entry in goals])


def replaced(text, between):
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        return None
    return text[:begin + len(BEGIN)] + "\n" + between + "\n" + text[end:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--into", type=pathlib.Path)
    arguments = parser.parse_args()
    text = headline(json.loads(arguments.results.read_text()))
    if not arguments.into:
        print(text)
        return 0
    changed = replaced(arguments.into.read_text(), text)
    if changed is None:
        print(f"headline: {arguments.into} has no lines {BEGIN} and {END}", file=sys.stderr)
        return 1
    arguments.into.write_text(changed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
