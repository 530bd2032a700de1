#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The form of a file: what a reader may rely on before having read it.

Sizes keep a subject on few screens; the licence line, the guard and the opening comment are where
everybody looks for them. Words that name nothing (utils, manager, helper) are refused as names.
"""
import ast
import pathlib
import re
import sys

import house

LINES_MAX, FUNCTION_LINES_MAX, COLUMNS_MAX, README_LINES_MAX = 500, 70, 100, 80
SPDX = "SPDX-License-Identifier: Apache-2.0"

SOURCES = house.CODE_SUFFIXES + (".hpp.in", ".cpp.in", ".py", ".sh", "meson.build",
                                 "meson_options.txt", ".ci/run")
UNFORMED = ("LICENSE",)                 # given text
BINARY = (".png", ".bin", ".gz")

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
EMPTY_NAME = re.compile(r"(?i)(?<![a-z])(utils?|managers?|helpers?|misc)(?![a-z])"
                        r"|\w(Utils?|Manager|Helper)\b")
# A namespace or a type, but not a function that returns one (`struct stat look() {`).
SCOPE = re.compile(r"(?:template\b.*?>\s*)?(?:inline\s+)?"
                   r"(?:namespace|class|struct|union|enum|extern|export)\b"
                   r"(?!.*\)\s*(?:const|noexcept|\s)*\{$)", re.DOTALL)
PLAIN_FOLDERS = re.compile(r"tests/(unit|stress|crash|model|system)/|core/client/include/|\.")


def check_head(name, lines, has_header):
    """The licence in the first two lines (a script's first one is its interpreter's), then theory.

    The theory of x.cpp may stand in x.hpp.
    """
    if not any(SPDX in line for line in lines[:2]):
        yield f"{name}:1: no '{SPDX}' in the first two lines"
    elif name.endswith((".hpp", ".cpp")) and not has_header:
        if len(lines) < 3 or lines[1].rstrip() != "//" or not lines[2].startswith("// "):
            yield f"{name}:2: does not open with the theory of its subject ('//', then a comment)"


def check_lines(name, lines):
    limit = None if name.endswith((".md", ".json", ".svg")) else COLUMNS_MAX
    for number, line in enumerate(lines, 1):
        if limit and len(line) > limit:
            yield f"{name}:{number}: {len(line)} columns, at most {limit}"
        if "\t" in line:
            yield f"{name}:{number}: a tab"
        if line != line.rstrip():
            yield f"{name}:{number}: blanks at the end"
        if UNFINISHED.search(line) and not name.startswith("tests/lint/"):
            yield f"{name}:{number}: {UNFINISHED.search(line).group()}: finish it or leave it out"


def guard_of(name):
    inner = name.removeprefix("core/client/include/")
    guard = re.sub(r"\W", "_", inner).upper()
    return guard if guard.startswith("WEIR_") else "WEIR_" + guard


def check_guard(name, lines):
    guard = guard_of(name)
    code = [line for line in lines if line.strip() and not line.startswith("//")]
    if code[:2] != [f"#ifndef {guard}", f"#define {guard}"]:
        yield f"{name}:1: the include guard is not {guard}"
    elif not code[-1].startswith("#endif"):
        yield f"{name}:{len(lines)}: something stands behind the include guard"


def check_names(name, source):
    for number, line in enumerate(source.code, 1):
        hit = None if line.lstrip().startswith("#") else EMPTY_NAME.search(line)
        if hit:
            words = re.finditer(r"\w+", line)
            whole = next(word.group() for word in words if word.end() >= hit.end())
            yield f"{name}:{number}: '{whole}' names nothing: say what it does"
        if "DISABLED_" in line:
            yield f"{name}:{number}: a disabled test: mend it, skip it with a reason, or remove it"
        if re.match(r"\s*using\s+namespace\b", line) and name.endswith(".hpp"):
            yield f"{name}:{number}: using namespace in a header"


def functions_cpp(source):
    """(first line, last line) of each block behind a `)`, outside of other functions."""
    open_blocks = []
    for statement in house.statements(source):
        if statement.end == "{":
            code = statement.code.strip()
            inside = any(function for _, function in open_blocks)
            function = not inside and ")" in code and not SCOPE.match(code)
            open_blocks.append((statement.first, function))
        elif statement.end == "}" and open_blocks:
            first, function = open_blocks.pop()
            if function:
                yield first, statement.last


def functions_python(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno - 1, node.end_lineno - 1


def functions_shell(text):
    first = None
    for number, line in enumerate(text.splitlines()):
        if re.match(r"(?:function\s+)?\w+\s*\(\)\s*[{(]\s*$", line):
            first = number
        elif re.match(r"[})]", line) and first is not None:
            yield first, number
            first = None


def check_functions(name, functions):
    for first, last in functions:
        count = last - first + 1
        if count > FUNCTION_LINES_MAX:
            yield f"{name}:{first + 1}: a function of {count} lines, at most {FUNCTION_LINES_MAX}"


def check_source(name, text, has_header):
    lines = text.splitlines()
    yield from check_head(name, lines, has_header)
    if len(lines) > LINES_MAX:
        yield f"{name}:{LINES_MAX + 1}: {len(lines)} lines, at most {LINES_MAX}"
    if EMPTY_NAME.search(pathlib.PurePosixPath(name).stem):
        yield f"{name}:1: the file's name says nothing about what is in it"
    if name.endswith(house.CODE_SUFFIXES):
        source = house.Source(text)
        yield from check_names(name, source)
        yield from check_functions(name, functions_cpp(source))
        if name.endswith(".hpp"):
            yield from check_guard(name, lines)
        elif name.endswith((".h", ".c", ".cc", ".hh", ".ipp", ".inc")):
            yield f"{name}:1: this house writes .hpp and .cpp"
    elif name.endswith(".py"):
        yield from check_functions(name, functions_python(text))
    elif name.endswith((".sh", ".ci/run")):
        yield from check_functions(name, functions_shell(text))


def check_readmes(names):
    folders = {str(pathlib.PurePosixPath(name).parent) for name in names
               if not name.endswith("meson.build")}
    for folder in sorted(folders - {"."}):
        if f"{folder}/README.md" not in names and not PLAIN_FOLDERS.match(folder + "/"):
            yield f"{folder}/README.md:1: missing: what it is, must never know, where to start"


def check_text(root, name):
    text = house.read(root, name)
    yield from check_lines(name, text.splitlines())
    if text and not text.endswith("\n"):
        yield f"{name}:{text.count(chr(10)) + 1}: no newline at the end"
    if name.endswith(SOURCES):
        has_header = name.endswith(".cpp") and (root / name).with_suffix(".hpp").is_file()
        yield from check_source(name, text, has_header)
    elif name.endswith("/README.md") and text.count("\n") > README_LINES_MAX:
        yield f"{name}:{README_LINES_MAX + 1}: more than one screen ({README_LINES_MAX} lines)"


def main(root):
    names = house.files(root)
    problems = []
    for name in names:
        if not name.endswith(BINARY) and name not in UNFORMED:
            problems += check_text(root, name)
    problems += check_readmes(names)
    return house.report(problems)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
