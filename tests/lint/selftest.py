#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows each lint what it must refuse, and what it must let pass.

A lint that cannot fail is a defect. Each file tests/lint/bad/LINT/*.txt is a small tree:

    --- io/ring.cpp
    #include "shm/page.hpp"
    --- expect
    io/ring.cpp:1: io may not include shm

The lint check_LINT.py has to refuse it and to print a line with each of the expected texts, and no
other line. `--- expect nothing` is a tree that has to pass. The rules that are kept by the
compiler and the linker are broken here too, with the compiler's command as this script's arguments.
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import tap  # noqa: E402  (from the folder above)

COMPILER = []


def sections(text):
    """(title, body) of each `--- title` section."""
    parts, title, body = [], None, []
    for line in text.splitlines(keepends=True):
        if line.startswith("--- "):
            if title is not None:
                parts.append((title, "".join(body)))
            title, body = line[4:].strip(), []
        else:
            body.append(line)
    return parts + [(title, "".join(body))]


def unpack(folder, parts):
    for name, body in parts:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body.replace("<TAB>", "\t").replace("<BLANK>", " "), encoding="utf-8")


class Lint(unittest.TestCase):
    """Its cases are made from the files below."""

    def check(self, lint, case):
        *parts, (verdict, expected) = sections(case.read_text(encoding="utf-8"))
        self.assertIn(verdict, ("expect", "expect nothing"))
        with tempfile.TemporaryDirectory() as folder:
            unpack(pathlib.Path(folder), parts)
            listed = [name for name, body in parts if lint == "headers" and "// listed" in body]
            ran = subprocess.run([sys.executable, str(HERE / f"check_{lint}.py"), folder, *listed],
                                 capture_output=True, text=True, check=False)
        self.assertEqual(ran.stderr, "")
        printed = ran.stdout.splitlines()
        for text in expected.splitlines():
            hit = next((line for line in printed if text in line), None)
            self.assertIsNotNone(hit, f"not printed: {text}\nprinted: {ran.stdout}")
            printed.remove(hit)
        self.assertEqual(printed, [], "printed, but not expected")
        self.assertEqual(ran.returncode, 0 if verdict == "expect nothing" else 1)


def add_cases():
    lints = sorted(path.stem.removeprefix("check_") for path in HERE.glob("check_*.py"))
    for lint in lints:
        cases = sorted((HERE / "bad" / lint).glob("*.txt"))
        verdicts = [case.read_text(encoding="utf-8").count("--- expect nothing") for case in cases]
        if 0 not in verdicts or 1 not in verdicts:
            sys.exit(f"check_{lint}.py has no case that it refuses, or none that it lets pass")
        for case in cases:
            setattr(Lint, f"test_{lint}: {case.stem.replace('_', ' ')}",
                    lambda self, lint=lint, case=case: self.check(lint, case))


class Compiler(unittest.TestCase):
    """The rules that are kept by compiling each header alone and by linking each library alone."""

    def run_compiler(self, text, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "bad.cpp"
            source.write_text(text, encoding="utf-8")
            command = [*COMPILER, "-std=c++20", *arguments, str(source), "-o", f"{folder}/out"]
            return subprocess.run(command, capture_output=True, text=True, check=False)

    def compile_alone(self, header):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "header.hpp"
            path.write_text(header, encoding="utf-8")
            alone = (HERE / "header_alone.cpp.in").read_text(encoding="utf-8")
            return self.run_compiler(alone.replace("@HEADER@", str(path)), "-c")

    def link_alone(self, library):
        return self.run_compiler(library, "-shared", "-fPIC", "-Wl,-z,defs")

    def test_refuses_a_header_that_needs_another_one_before_it(self):
        self.assertIn("string", self.compile_alone("inline std::string name;\n").stderr)

    def test_refuses_a_header_without_a_guard(self):
        self.assertIn("redefinition", self.compile_alone("struct Page {};\n").stderr)

    def test_takes_a_header_that_is_complete(self):
        ran = self.compile_alone("#ifndef A\n#define A\nstruct Page {};\n#endif\n")
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_refuses_a_library_that_needs_what_its_layer_does_not_list(self):
        ran = self.link_alone("void lower_layer(); void upper() { lower_layer(); }\n")
        self.assertNotEqual(ran.returncode, 0)
        self.assertIn("lower_layer", ran.stderr)

    def test_takes_a_library_that_needs_nothing(self):
        ran = self.link_alone("int upper() { return 1; }\n")
        self.assertEqual(ran.returncode, 0, ran.stderr)


if __name__ == "__main__":
    COMPILER[:] = sys.argv[1:] or ["c++"]
    add_cases()
    tap.main()
