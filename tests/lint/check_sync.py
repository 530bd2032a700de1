#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every atomic access states its order, and every order states its reason.

In the comment above an access, or behind it on its line:

  acquire, release, acq_rel, seq_cst    SYNC(edge), perhaps `SYNC(edge) release:` where the access
                                        has both sides and the edge means one
  relaxed                               relaxed: why
  a fence, a compiler barrier, membarrier    SYNC(edge) or barrier: why

One comment explains the accesses of the lines directly below it, if it says "both", "all", "each".

Over the whole tree every edge has a release and an acquire side and stands in a table of edges
(below a heading with the word "edges", the name in the first column) in shm/LAYOUT.md, or for the
probes of the benchmarks in their README; the tables have no edge that the code lacks. A SYNC
comment that belongs to no access is refused: its access is gone.

What this cannot see: an order that travels in a variable is refused rather than followed, and an
implicit load or a store by `=` is seen only where the name is an atomic's everywhere in the tree.
"""
import pathlib
import re
import sys

import house

FOLDERS = ["shm", "io", "core", "bench", "tools"]
TABLES = ["shm/LAYOUT.md", "bench/README.md", "bench/probes/README.md",
          "bench/scenarios/README.md"]

CALL = re.compile(r"(?:\.|->)\s*(load|store|exchange|fetch_\w+|compare_exchange_\w+|test_and_set"
                  r"|wait)\s*\(")
RECEIVER = re.compile(r"(\w+)\s*$")
DECLARATION = re.compile(r"\b(?:void|bool)\s+(?:compiler_barrier|barrier_everywhere)\b|_REGISTER_")
SEVERAL = re.compile(r"\b(?:both|all|each)\b")
FENCE = re.compile(r"\b(?:atomic_thread_fence|atomic_signal_fence|compiler_barrier"
                   r"|barrier_everywhere|(?:SYS|__NR)_membarrier)\b"
                   r"|\b(?:asm|__asm__)\b.*\"memory\"", re.DOTALL)
FREE = re.compile(r"\b(atomic_(?:load|store|exchange|fetch_\w+|compare_exchange_\w+|flag_\w+|wait)"
                  r"(?:_explicit)?|__atomic_\w+|__sync_\w+)\s*\(")
ORDER = re.compile(r"\bmemory_order(?:_|::)(\w+)")
TAG = re.compile(r"SYNC\((\w+)\)(?:\s+(acquire|release)\b)?")
DECLARED = re.compile(r"(?:\batomic|\bAtom(?:ic)?)\s*<[^;{}()=*]*>\s*&?\s*(\w+)"
                      r"|\batomic_flag\s+(\w+)")
POINTER = re.compile(r"(?:\batomic|\bAtom(?:ic)?)\s*<[^;{}()=]*>\s*(?:const\s*)?\*"
                     r"\s*(?:const\s+)?(\w+)")
PLAIN = re.compile(r"(?:\b(?:auto|bool|char|int|long|short|unsigned|double|float|u?int\d+_t|size_t)"
                   r"|\b[A-Z]\w*(?:<[\w:, ]*>)?)\s*[&*]?\s+[&*]?(\w+)\s*(?=[;=,){\[])")

SIDES = {"acquire": {"acquire"}, "release": {"release"},
         "acq_rel": {"acquire", "release"}, "seq_cst": {"acquire", "release"}}


class Edges:
    """Both sides of every edge, over all files."""

    def __init__(self):
        self.sides = {}
        self.where = {}

    def note(self, edge, sides, place):
        self.sides.setdefault(edge, set()).update(sides)
        self.where.setdefault(edge, place)


def sides_of(call, orders):
    """What an access can be to an edge: a load never releases, a store never acquires."""
    sides = set().union(*(SIDES.get(order, set()) for order in orders))
    if call in ("load", "wait"):
        return sides & {"acquire"}
    return sides & {"release"} if call == "store" else sides


def note_tags(why, sides, place, edges):
    for edge, stated in TAG.findall(why):
        if stated and stated not in sides:
            yield f"{place}: SYNC({edge}) {stated}, but this access has no {stated} side"
        edges.note(edge, {stated} if stated else sides, place)


def receiver(code):
    """The last name of the expression that `code` ends with, behind its arguments or its index."""
    depth = 0
    for at in range(len(code) - 1, -1, -1):
        depth += (code[at] in ")]") - (code[at] in "([")
        if depth <= 0 and code[at] not in "([)] \n":
            hit = RECEIVER.search(code[:at + 1])
            return hit.group(1) if hit else ""
    return ""


def calls_in(code, atomics):
    """(receiver, operation) of each access; wait() is one only where the receiver is an atomic."""
    found = [(receiver(code[:hit.start()]), hit.group(1)) for hit in CALL.finditer(code)]
    return [(who, call) for who, call in found if call != "wait" or who in atomics]


def check_access(code, why, calls, place, edges):
    orders = ORDER.findall(code)
    if len(orders) < len(calls):
        yield f"{place}: {calls[0][0]}.{calls[0][1]} without an explicit memory order"
    for order in orders:
        if order == "relaxed" and "relaxed:" not in why:
            yield f"{place}: relaxed without '// relaxed: why'"
        elif order != "relaxed" and order not in SIDES:
            yield f"{place}: {order} is no order of this house"
        elif order in SIDES and not TAG.search(why):
            yield f"{place}: {order} without '// SYNC(edge)'"
    sides = set().union(*(sides_of(call, orders) for _, call in calls))
    yield from note_tags(why, sides, place, edges)


def check_fence(why, place, edges):
    if not TAG.search(why) and "barrier:" not in why:
        yield f"{place}: a barrier without '// SYNC(edge)' or '// barrier: why'"
    yield from note_tags(why, {"acquire", "release"}, place, edges)


def implicit_uses(name):
    """Reading or writing an atomic without a call, which is seq_cst and says nothing."""
    member = rf"(?:\.|->)\s*{name}\b(?:\[[^\]]*\])?"
    return re.compile(
        rf"{member}\s*(?:=(?!=)|[-+|&^]=|\+\+|--|==|!=|<(?!<)|>=|\+(?!\+))"
        rf"|(?:\+\+|--|!)\s*[\w.>\-\[\]]*{member}\s*(?![.\w\-])"
        rf"|(?:\breturn|==|!=|(?<![&])\s=)\s+[\w.>\-\[\]]*{member}\s*[;)]"
        rf"|\b(?:if|while)\s*\(\s*!?\s*[\w.>\-\[\]]*{member}\s*(?:\)|&&|\|\|)")


def check_implicit(code, patterns, place):
    for name, pattern in patterns.items():
        hit = name in code and pattern.search(code)
        if hit and not re.search(rf"&\s*\w+\s*=\s*[^;]*\b{name}\b", code):
            yield f"{place}: {name} is atomic: write load or store with an order"


def check_file(name, source, atomics, patterns, edges):
    explained, above, above_last = set(), "", -2
    for statement in house.statements(source):
        code, why = statement.code, statement.why(source)
        # One comment may explain a run of relaxed accesses, if it says so: "relaxed: both are ..."
        if not why and statement.first == above_last + 1 and SEVERAL.search(above):
            why = above if not TAG.search(above) else ""
        above, above_last = why, statement.last
        place = f"{name}:{statement.first + 1}"
        calls = calls_in(code, atomics)
        fence = FENCE.search(code) and not DECLARATION.search(code)
        if FREE.search(code):
            yield f"{place}: {FREE.search(code).group(1)}: write it as a member call with an order"
        if calls:
            yield from check_access(code, why, calls, place, edges)
        elif fence:
            yield from check_fence(why, place, edges)
        elif ORDER.search(code):
            yield f"{place}: a memory order outside an access: orders do not hide behind names"
        if calls or fence:
            explained.update(TAG.findall(why))
        yield from check_implicit(code, patterns, place)
    for number, comment in enumerate(source.comments, 1):
        for tag in TAG.findall(comment):
            if tag not in explained:
                yield f"{name}:{number}: SYNC({tag[0]}) belongs to no access"


def edges_in_table(root, table):
    """Names in the first column of the tables below a heading that has the word 'edges'."""
    listed, inside, rows = {}, False, 0
    for number, line in enumerate(house.read(root, table).splitlines(), 1):
        if line.startswith("#"):
            inside = "edges" in line.lower()
        rows = rows + 1 if line.startswith("|") else 0
        hit = re.match(r"\|\s*`?(\w+)`?\s*\|", line)
        if inside and hit and rows > 2:  # behind the table's head and its rule
            listed[hit.group(1)] = f"{table}:{number}"
    return listed


def check_edges(edges, listed):
    for edge, sides in sorted(edges.sides.items()):
        for missing in sorted({"acquire", "release"} - sides):
            yield f"{edges.where[edge]}: SYNC({edge}) has no {missing} side in the whole tree"
        if edge not in listed:
            yield f"{edges.where[edge]}: SYNC({edge}) is in no table of edges ({TABLES[0]})"
    for edge, place in sorted(listed.items()):
        if edge not in edges.sides:
            yield f"{place}: the edge {edge} is not in the code"


def main(root):
    sources = {name: house.Source(house.read(root, name))
               for name in house.code_files(root, FOLDERS)}
    texts = ["\n".join(source.code) for source in sources.values()]
    atomics = {one or two for text in texts for one, two in DECLARED.findall(text)}
    plain = {name for text in texts for name in PLAIN.findall(text) + POINTER.findall(text)}
    patterns = {name: implicit_uses(name) for name in sorted(atomics - plain)}
    edges, problems = Edges(), []
    for name, source in sources.items():
        problems += check_file(name, source, atomics, patterns, edges)
    listed = {}
    for table in TABLES:
        if (root / table).is_file():
            listed |= edges_in_table(root, table)
    problems += check_edges(edges, listed)
    return house.report(problems)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
