#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a header is missing in its layer's list of headers, or listed without existing.

Each listed header is compiled alone (tests/lint/meson.build). One that nobody listed would pass
that check by not taking part in it. Arguments: the root, then every listed header.
"""
import pathlib
import sys

import house

FOLDERS = ["core", "shm", "io", "bench", "tools"]


def main(root, listed):
    there = {name for name in house.code_files(root, FOLDERS) if name.endswith(".hpp")}
    problems = [f"{name}:1: not in the *_headers of its folder's meson.build"
                for name in sorted(there - set(listed))]
    problems += [f"{name}:1: listed in *_headers, but does not exist"
                 for name in sorted(set(listed) - there)]
    return house.report(problems)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2:]))
