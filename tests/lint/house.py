# SPDX-License-Identifier: Apache-2.0
"""What the lints share: which files there are, and C++ with its comments told apart from its code.

No lint parses C++. They see lines, comments, brackets and statements, which is enough for rules
that the sources keep anyway; what fools them is written more simply rather than parsed better.
"""
import pathlib
import re
import subprocess

CODE_SUFFIXES = (".hpp", ".cpp", ".h", ".c", ".cc", ".hh", ".ipp", ".inc")
BAD_INPUTS = "tests/lint/bad/"          # what the lints must refuse: never part of a normal scan

RAW_STRING = re.compile(r'R"([^()\\ ]{0,16})\(')


def files(root):
    """All files that belong to the project, as paths relative to its root."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=False)
    own_repository = (root / ".git").exists()
    if listed.returncode == 0 and own_repository:
        names = [name for name in listed.stdout.split("\0") if name]
    else:                               # an unpacked release: all but what a build makes
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        names = [name for name in names
                 if not re.match(r"build(-[^/]*)?/", name) and "__pycache__/" not in name]
    return sorted(name for name in names
                  if not name.startswith(BAD_INPUTS) and (root / name).is_file())


def code_files(root, folders):
    return [name for name in files(root)
            if name.endswith(CODE_SUFFIXES) and name.startswith(tuple(f + "/" for f in folders))]


class Source:
    """A C++ file as lines of code (strings emptied, comments blanked) and lines of comment."""

    def __init__(self, text):
        count = text.count("\n") + 1
        self.code = [""] * count
        self.comments = [""] * count
        self._split(text)

    def _split(self, text):
        at, line = 0, 0
        while at < len(text):
            two = text[at:at + 2]
            raw = RAW_STRING.match(text, at)
            if text[at] == "\n":
                end, kind = at + 1, "newline"
            elif two == "//":
                end, kind = self._end_of(text, "\n", at, include=False), "comment"
            elif two == "/*":
                end, kind = self._end_of(text, "*/", at + 2), "comment"
            elif raw:
                end, kind = self._end_of(text, ")" + raw.group(1) + '"', raw.end()), "string"
            elif text[at] == '"' or (text[at] == "'" and not self._separates_digits(text, at)):
                end, kind = self._end_of_quoted(text, at), "string"
            else:
                end, kind = at + 1, "code"
            line = self._keep(text[at:end], kind, line)
            at = end

    def _keep(self, piece, kind, line):
        if kind == "code":
            self.code[line] += piece
        elif kind == "string":
            self.code[line] += piece if piece == '"memory"' else '""'  # what asm says it orders
        for number, part in enumerate(piece.split("\n")):
            if number:
                line += 1
            if kind == "comment":
                self.comments[line] += part.strip("/* ") + " "
        return line

    @staticmethod
    def _end_of(text, mark, start, include=True):
        found = text.find(mark, start)
        return len(text) if found < 0 else found + (len(mark) if include else 0)

    @staticmethod
    def _end_of_quoted(text, start):
        at = start + 1
        while at < len(text) and text[at] not in (text[start], "\n"):
            at += 2 if text[at] == "\\" else 1
        return min(at + 1, len(text)) if at < len(text) and text[at] != "\n" else at

    @staticmethod
    def _separates_digits(text, at):
        return at > 0 and (text[at - 1].isalnum() or text[at - 1] == "_") and \
            re.search(r"\b\d[\w']*$", text[max(0, at - 40):at]) is not None


class Statement:
    """Code up to a `;`, `{` or `}` outside round brackets. Lines count from 0."""

    def __init__(self, first, last, code, end):
        self.first, self.last, self.code, self.end = first, last, code, end

    def why(self, source):
        """The comment lines directly above, and all comments on or between its own lines."""
        top = self.first
        while top > 0 and source.comments[top - 1] and not source.code[top - 1].strip():
            top -= 1
        return " ".join(source.comments[top:self.last + 1]).strip()


BLOCK_BEFORE = re.compile(r"[)\]]\s*$|\b(?:const|noexcept|override|final|mutable|else|do|try)\s*$"
                          r"|->\s*[\w:<>&* ]+$")
VALUE_BEFORE = re.compile(r"(?<![=!<>])=(?!=)|^\s*(?:return|co_return|throw)\b")


def opens_block(code, stack):
    """Whether the `{` behind `code` begins a block; else it begins the values of something."""
    if BLOCK_BEFORE.search(code):
        return True
    return not (stack and stack[-1] != "{") and not VALUE_BEFORE.search(code)


def statements(source):
    stack, code, first = [], "", None   # of the brackets that are open: ( [ { and v for values
    for number, line in enumerate(source.code):
        if line.lstrip().startswith("#"):
            if "define" not in line:
                continue                # a macro's body is code like any other
            line = re.sub(r"^\s*#\s*define\s+\w+", "", line)
        for sign in line + " ":
            if first is None and not sign.isspace():
                first = number
            ends = sign == ";" and (not stack or stack[-1] == "{")
            if sign in "([":
                stack.append(sign)
            elif sign == "{":
                ends = opens_block(code, stack)
                stack.append("{" if ends else "v")
            elif sign in ")]}" and stack:
                ends = stack.pop() == "{"
            code += sign
            if ends:
                yield Statement(first, number, code, sign)
                code, first = "", None
    if code.strip():
        yield Statement(first, len(source.code) - 1, code, "")


def read(root, name):
    return (pathlib.Path(root) / name).read_text(encoding="utf-8")


def report(problems):
    """Prints what was found; the lint's exit code."""
    for problem in problems:
        print(problem)
    return 1 if problems else 0
