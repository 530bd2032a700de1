#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Medians, and how far to believe them.

The interval is a bootstrap: the values are drawn again with replacement, many times, and the middle
90 % of the medians of such draws is the interval. The draws come from a fixed seed, so the same
values give the same interval. Fewer than five values give no interval worth the name: then it is
their range.
"""
import random
import statistics

DRAWS, SEED, CONFIDENCE, FEWEST = 4000, 20261125, 0.90, 5


def median(values):
    return statistics.median(values) if values else 0.0


def interval(values, confidence=CONFIDENCE):
    """(low, high) of the median of `values`."""
    if len(values) < FEWEST:
        return (min(values), max(values)) if values else (0.0, 0.0)
    dice = random.Random(SEED)
    medians = sorted(median(dice.choices(values, k=len(values))) for _ in range(DRAWS))
    cut = int((1 - confidence) / 2 * DRAWS)
    return medians[cut], medians[DRAWS - 1 - cut]


def sides(values):
    """How many of them lie below and above 1."""
    return sum(value < 1 for value in values), sum(value > 1 for value in values)
