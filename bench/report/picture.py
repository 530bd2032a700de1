#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Results as pictures: three SVG files from one JSON file, by hand, with the standard library only.

    picture.py RESULTS.json FOLDER

  latency.svg      round trips of 64 B by percentile, one line per system, logarithmic
  throughput.svg   bytes per second by size, one to one, one line per system, both logarithmic
  ratios.svg       how many times the messages per second of each peer Weir passes, a bar per peer
"""
import json
import math
import pathlib
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 920, 520, 80, 250, 50, 60
COLOURS = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22",
           "#17becf", "#ff7f0e", "#393b79", "#637939", "#843c39", "#7b4173", "#3182bd", "#31a354"]
PERCENTILES = ["p50", "p99", "p99.9", "p99.99", "max"]


class Axis:
    """A logarithmic axis from values to pixels."""

    def __init__(self, values, begin, end):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self.begin, self.end = begin, end

    def at(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    def decades(self):
        return [10.0 ** exponent for exponent in range(self.low, self.high + 1)]


def short(value, unit):
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g} {letter}{unit}"
    return f"{value:g} {unit}"


def duration(nanoseconds):
    for limit, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "us")):
        if nanoseconds >= limit:
            return f"{nanoseconds / limit:g} {unit}"
    return f"{nanoseconds:g} ns"


def size_text(size):
    for limit, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= limit:
            return f"{size >> (20 if unit == 'MiB' else 10)} {unit}"
    return f"{size} B"


def text(x, y, words, anchor="start", size=12, more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {more}>'
            f"{escape(words)}</text>")


def line(x1, y1, x2, y2, colour="#ddd", width=1):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"/>')


def frame(title, note, parts, height=HEIGHT):
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'font-family="sans-serif"><rect width="{WIDTH}" height="{height}" fill="white"/>')
    return "\n".join([head, text(LEFT, 24, title, size=16), text(LEFT, height - 8, note, size=10),
                      *parts, "</svg>"]) + "\n"


def curves(series, places, names, scale, label):
    """Lines over named places; `series` is {name: {place: value}}."""
    values = [value for points in series.values() for value in points.values()]
    axis = Axis(values, HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / max(len(places) - 1, 1)
    x_of = {place: LEFT + index * step for index, place in enumerate(places)}
    parts = []
    for decade in axis.decades():
        parts.append(line(LEFT, axis.at(decade), WIDTH - RIGHT, axis.at(decade)))
        parts.append(text(LEFT - 6, axis.at(decade) + 4, scale(decade), "end"))
    for place, x in x_of.items():
        parts.append(line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(text(x, HEIGHT - BOTTOM + 18, names(place), "middle"))
    parts.append(text(LEFT, TOP - 8, label, size=11))
    last = sorted(series, key=lambda name: -list(series[name].values())[-1])
    for index, name in enumerate(last):
        colour = "#d62728" if name.startswith("weir") else COLOURS[1 + index % (len(COLOURS) - 1)]
        points = [(x_of[place], axis.at(value)) for place, value in series[name].items()]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        width = 3 if name.startswith("weir") else 1.5
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                     f'stroke-width="{width}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        y = TOP + 14 * index
        parts.append(line(WIDTH - RIGHT + 20, y, WIDTH - RIGHT + 40, y, colour, width))
        parts.append(text(WIDTH - RIGHT + 46, y + 4, name, size=11))
    return parts


def latency_picture(cells, note):
    series = {}
    for cell in cells:
        if cell["scenario"] == "ping_pong" and cell["size"] == 64 and cell["latency_ns"]:
            points = {p: cell["latency_ns"][p] for p in PERCENTILES if cell["latency_ns"][p] > 0}
            if points:
                series[f"{cell['system']}, {cell['mode']}"] = points
    if not series:
        return None
    return frame("Round trip of 64 B, by percentile", note,
                 curves(series, PERCENTILES, str, duration, "there and back, logarithmic"))


def throughput_picture(cells, note):
    series = {}
    for cell in cells:
        if cell["scenario"] == "one_to_one" and cell["bytes_per_s"]:
            points = series.setdefault(cell["system"], {})
            points[cell["size"]] = max(points.get(cell["size"], 0), cell["bytes_per_s"])
    if not series:
        return None
    series = {name: dict(sorted(points.items())) for name, points in series.items()}
    sizes = sorted({size for points in series.values() for size in points})
    return frame("One to one, payload bytes per second by size of a message", note,
                 curves(series, sizes, size_text, lambda value: short(value, "B/s"),
                        "the better way of waiting, logarithmic"))


def best_rates(cells, size):
    rates = {}
    for cell in cells:
        if cell["scenario"] == "one_to_one" and cell["size"] == size and cell["msgs_per_s"]:
            rates[cell["system"]] = max(rates.get(cell["system"], 0), cell["msgs_per_s"])
    return rates


def ratio_picture(cells, note):
    bars = []
    for size in (64, 1024, 65536):
        rates = best_rates(cells, size)
        ours = rates.pop("weir", None)
        if ours:
            bars += [(size, name, ours / rate) for name, rate in sorted(rates.items())]
    if not bars:
        return None
    height = TOP + BOTTOM + 16 * len(bars)
    axis = Axis([ratio for _, _, ratio in bars] + [1.0], 300, WIDTH - 80)
    parts = []
    for decade in axis.decades():
        parts.append(line(axis.at(decade), TOP - 4, axis.at(decade), height - BOTTOM + 4))
        parts.append(text(axis.at(decade), height - BOTTOM + 18, f"{decade:g}", "middle"))
    for index, (size, name, ratio) in enumerate(bars):
        y, one, end = TOP + 16 * index, axis.at(1), axis.at(ratio)
        colour = "#2ca02c" if ratio >= 1 else "#7f7f7f"
        parts.append(text(292, y + 11, f"{name}, {size_text(size)}", "end", 11))
        parts.append(f'<rect x="{min(one, end):.1f}" y="{y}" width="{max(abs(end - one), 1):.1f}" '
                     f'height="12" fill="{colour}"/>')
        parts.append(text(max(one, end) + 4, y + 11, f"{ratio:.3g}", size=11))
    parts.append(line(axis.at(1), TOP - 4, axis.at(1), height - BOTTOM + 4, "#000"))
    return frame("Weir's messages per second as a multiple of each other system's, one to one",
                 note, parts, height)


def main(results, folder):
    entries = json.loads(pathlib.Path(results).read_text())
    cells = [entry for entry in entries if entry["goal"] is None and entry["available"]]
    if not cells:
        print("picture: there is no cell to draw", file=sys.stderr)
        return 1
    first = cells[0]
    doubtful = sum(not cell["trusted"] for cell in cells)
    note = f"commit {first['commit']}, {first['machine']}"
    if doubtful:
        note += f"; {doubtful} of {len(cells)} cells are not to be trusted"
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for name, draw in (("latency", latency_picture), ("throughput", throughput_picture),
                       ("ratios", ratio_picture)):
        drawn = draw(cells, note)
        if drawn:
            (target / f"{name}.svg").write_text(drawn)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: picture.py RESULTS.json FOLDER")
    sys.exit(main(sys.argv[1], sys.argv[2]))
