#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is made of results: intervals, comparisons, the Markdown table, the pictures."""
import json
import pathlib
import sys
import tempfile
import unittest
import xml.dom.minidom

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[3]
sys.path[:0] = [str(ROOT / "bench" / "report"), str(ROOT / "tests")]

import compare  # noqa: E402
import headline  # noqa: E402
import intervals  # noqa: E402
import picture  # noqa: E402
import tap  # noqa: E402


def cell(scenario, system, size, msgs=None, p50=None, trusted=True):
    latency = p50 and {"p50": p50, "p99": 2 * p50, "p99.9": 3 * p50, "p99.99": 4 * p50,
                       "max": 9 * p50, "samples": 10}
    return {"scenario": scenario, "system": system, "size": size, "mode": "spin",
            "msgs_per_s": msgs, "bytes_per_s": msgs and msgs * size, "latency_ns": latency,
            "raw_rtt_ns": {"before": 100, "after": 101}, "rounds": 5, "available": True,
            "trusted": trusted, "commit": "abc", "machine": "one <fast> machine", "goal": None,
            "ratio": None, "met": None}


def goal(met, ratio=1.05, near=1.1, bound=1.1, absolute=False):
    return cell("ping_pong", "weir", 64, p50=210) | {
        "what": "round trip", "against": "the lane", "reference": "hand lane", "goal": bound,
        "goal_near": near, "goal_is": "at most", "absolute": absolute, "unit": "ms",
        "value": ratio, "ratio": ratio, "met": met,
        "interval": {"low": 1.0, "high": 1.2, "confidence": 0.94}}


class Intervals(unittest.TestCase):
    def test_hold_the_median_and_lie_within_the_values(self):
        """an interval holds the median and lies within the values"""
        values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 9.0]
        low, high = intervals.interval(values)
        self.assertLessEqual(low, intervals.median(values))
        self.assertGreaterEqual(high, intervals.median(values))
        self.assertGreaterEqual(low, 1.0)
        self.assertLess(high, 9.0)
        self.assertEqual((low, high), intervals.interval(values))

    def test_few_values_give_their_range(self):
        """fewer than five values give their range"""
        self.assertEqual(intervals.interval([3.0, 1.0, 2.0]), (1.0, 3.0))
        self.assertEqual(intervals.interval([]), (0.0, 0.0))


class Comparisons(unittest.TestCase):
    def folder(self, factor, pairs=6):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for pair in range(pairs):
            drift = 1 + 0.5 * pair
            for name, speed in (("a", 1), ("b", factor), ("a2", 1.01)):
                entries = [cell("one_to_one", "weir", 64, msgs=1e6 * drift * speed),
                           cell("ping_pong", "weir", 64, p50=200 / drift / speed)]
                (folder / f"{pair}-{name}.json").write_text(json.dumps(entries))
        return folder

    def test_a_faster_build_is_seen_through_a_machine_that_drifts(self):
        """a faster build is seen through a machine that drifts"""
        rows = compare.table(self.folder(1.3))
        self.assertEqual(len(rows), 2)
        for row in rows:
            self.assertIn("faster", row)

    def test_a_slower_build_is_seen(self):
        """a slower build is seen"""
        for row in compare.table(self.folder(0.8)):
            self.assertIn("slower", row)

    def test_an_interval_that_reaches_into_the_noise_is_no_difference(self):
        """an interval that reaches into the noise on either side is no difference"""
        for change in ((0.8, 1.0), (1.0, 1.3), (0.8, 1.3)):
            self.assertEqual(compare.verdict("msgs/s", change, (0.95, 1.05)), "no difference seen")

    def test_what_the_machine_alone_does_is_no_difference(self):
        """what the machine alone does is no difference"""
        for row in compare.table(self.folder(1.01)):
            self.assertIn("no difference seen", row)


class Headline(unittest.TestCase):
    def test_says_met_and_not_met(self):
        """the table says which goals were met"""
        lines = headline.headline([goal(True), goal(False, bound=0.9)]).splitlines()
        self.assertTrue(lines[-2].endswith("| yes |"), lines[-2])
        self.assertIn("**no**", lines[-1])
        self.assertIn("far; near 1.1", lines[-1])
        self.assertIn("abc", lines[0])

    def test_what_was_not_measured_has_no_figure(self):
        """what was not measured has no figure"""
        self.assertIn("not measured", headline.headline([goal(None)]))

    def test_replaces_only_what_is_between_the_marks(self):
        """only what is between the marks is replaced"""
        text = f"before\n{headline.BEGIN}\nold\n{headline.END}\nafter\n"
        self.assertEqual(headline.replaced(text, "new"),
                         f"before\n{headline.BEGIN}\nnew\n{headline.END}\nafter\n")
        self.assertIsNone(headline.replaced("no marks", "new"))


class Pictures(unittest.TestCase):
    def draw(self, entries):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "results.json").write_text(json.dumps(entries))
        self.assertEqual(picture.main(folder / "results.json", folder), 0)
        return {path.stem: path.read_text() for path in folder.glob("*.svg")}

    def test_are_well_formed_and_name_every_system(self):
        """three well-formed pictures name every system, the commit and the doubts"""
        drawn = self.draw([cell("ping_pong", "weir", 64, p50=210),
                           cell("ping_pong", "pipe", 64, p50=9000, trusted=False),
                           cell("one_to_one", "weir", 64, msgs=1e8),
                           cell("one_to_one", "weir", 1024, msgs=1e7),
                           cell("one_to_one", "pipe", 64, msgs=1e6)])
        self.assertEqual(set(drawn), {"latency", "throughput", "ratios"})
        for name, text in drawn.items():
            xml.dom.minidom.parseString(text)
            self.assertIn("pipe", text, name)
            self.assertIn("abc, one &lt;fast&gt; machine; 1 of 5 cells are not", text, name)
        self.assertIn(">100</text>", drawn["ratios"])

    def test_without_round_trips_there_is_no_latency_picture(self):
        """what was not measured is not drawn"""
        self.assertEqual(set(self.draw([cell("one_to_one", "weir", 64, msgs=1e8)])), {"throughput"})


if __name__ == "__main__":
    tap.main()
