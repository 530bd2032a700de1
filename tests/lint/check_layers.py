#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a file includes a layer it may not use. The tables ARE the architecture.

What a layer may include is what it may know. `shm` and `io` do not know each other; client and
broker meet in `protocol` and in bytes; a command of the program knows only what its row says.
"""
import pathlib
import re
import sys

import house

PUBLIC = "<weir/...>"                   # the public headers, the client library's whole API
PUBLIC_FOLDER = "core/client/include/weir"

ALLOWED = {                             # layer: what it may include, besides itself
    "core/base":      set(),
    "shm":            {"core/base"},
    "io":             {"core/base"},
    "core/protocol":  {"core/base", "shm"},
    PUBLIC_FOLDER:    {"core/base", "shm", PUBLIC},
    "core/client":    {"core/base", "shm", "core/protocol", PUBLIC},
    "core/broker":    {"core/base", "shm", "io", "core/protocol"},
    "core/inspect":   {"core/base", "shm", "core/protocol"},
    "bench/probes":   {"core/base"},
    "bench":          {"core/base", "shm", "io", "bench/probes", PUBLIC},
    "tools":          {"core/base", PUBLIC},  # what commands share; the commands follow
}

COMMANDS = {                            # tools/NAME.cpp and tools/NAME_*: what they may include
    "main":   {"core/base", "core/protocol"},
    "broker": {"core/base", "core/protocol", "core/broker"},
    "stop":   {"core/base", "core/protocol", "core/broker"},
    "send":   {"core/base", PUBLIC},
    "recv":   {"core/base", PUBLIC},
    "stat":   {"core/base", "core/protocol", "core/inspect"},
    "top":    {"core/base", "core/protocol", "core/inspect"},
    "doctor": {"core/base", "core/protocol", "core/inspect"},
    "plan":   {"core/base", "core/broker"},
    "policy": {"core/base", "core/protocol", "core/broker"},
    "purge":  {"core/base", "core/protocol", "core/broker"},
    "rm":     {"core/base", "core/protocol", "core/broker"},
    "bench":  {"core/base", "bench", "bench/probes", "core/inspect", PUBLIC},
}

LAYERS = sorted(ALLOWED, key=len, reverse=True)
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:(["<])([^">]+)[">]|(\S.*))')
DEPENDENCY = re.compile(r"\b(\w+)_(?:dep|lib)\b")
LAYER_OF_DEPENDENCY = {layer.split("/")[-1]: layer for layer in ALLOWED if layer != PUBLIC_FOLDER}


def layer_of(path):
    return next((layer for layer in LAYERS if path.startswith(layer + "/")), None)


def command_of(name):
    """The command whose rights a file of tools/ has; none for what all of them share."""
    stem = pathlib.PurePosixPath(name).name.split(".")[0]
    if name == f"tools/{stem}.hpp" and stem in COMMANDS:
        return None                     # how a command is called: everybody may include it
    return next((c for c in COMMANDS if stem == c or stem.startswith(c + "_")), None)


def rights_of(name):
    layer = layer_of(name)
    if layer == "tools" and command_of(name):
        return f"weir {command_of(name)}", COMMANDS[command_of(name)]
    return layer, ALLOWED[layer]


def refusal(root, name, quote, target):
    """Why `name` may not include `target`; nothing if it may."""
    who, allowed = rights_of(name)
    shown = ", ".join(sorted(allowed)) or "nothing"
    if target.startswith("weir/"):
        if PUBLIC not in allowed:
            return f"{who} may not include {PUBLIC} (allowed: {shown})"
        if target.startswith("weir/detail/") and not name.startswith("core/client/"):
            return f"{who} may not include weir/detail: it is not the public API"
        return None
    if target.startswith(".") or "/./" in target or "/../" in target:
        return f"relative include of {target}: name it from the project's root"
    layer = layer_of(target)
    if layer is None:
        if quote == '"':
            return f'"{target}" is in no layer: name it from the root, foreign ones in <>'
        return None
    if not (root / target).is_file():
        return f"{target} does not exist"
    if layer == "tools" and layer_of(name) == "tools":
        other = command_of(target)
        if other and other != command_of(name):
            return f"{who} may not include what belongs to weir {other}"
        return None
    if layer == layer_of(name) or layer in allowed:
        return None
    return f"{who} may not include {layer} (allowed: {shown})"


def check_code(root, name):
    for number, line in enumerate(house.read(root, name).splitlines(), 1):
        hit = INCLUDE.match(line)
        if not hit:
            continue
        if hit.group(3):
            yield f"{name}:{number}: computed include of {hit.group(3)}: it hides the layer"
            continue
        why = refusal(root, name, hit.group(1), hit.group(2))
        if why:
            yield f"{name}:{number}: {why}"


def check_build(root, layer):
    """A layer's meson.build may name only the dependencies of its row."""
    name = f"{layer}/meson.build"
    if layer in ("bench", "tools") or not (root / name).is_file():
        return
    for number, line in enumerate(house.read(root, name).splitlines(), 1):
        for word in DEPENDENCY.findall(line.partition("#")[0]):
            other = LAYER_OF_DEPENDENCY.get(word)
            if other and other != layer and other not in ALLOWED[layer]:
                yield f"{name}:{number}: {layer} may not link {other}"


def main(root):
    problems = []
    for name in house.code_files(root, ["core", "shm", "io", "bench", "tools"]):
        if layer_of(name):
            problems += check_code(root, name)
        else:
            problems.append(f"{name}:1: belongs to no layer of the table")
    for layer in ALLOWED:
        problems += check_build(root, layer)
    return house.report(problems)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
