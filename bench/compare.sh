#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Whether commit B is faster or slower than commit A, on this machine, today.
#
#   bench/compare.sh A B            A and B: anything git can name
#   bench/compare.sh A B --pairs N  pairs of runs (8)
#
# Builds both in worktrees of its own, which it removes, and runs them in turn: A, B, A again. It
# prints for every cell the median ratio B / A with its interval, and beside it A / A: how much the
# machine alone moves the figure. A difference is one only if its interval lies
# outside that. It never fails because something got slower.
set -euo pipefail
cd "$(dirname "$0")/.."

pairs=8 commits=()
while (($#)); do
    case $1 in
        --pairs) pairs=${2:?--pairs needs a number}; shift ;;
        --help) sed -n '4,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) echo "compare.sh: unknown argument \"$1\": see --help" >&2; exit 2 ;;
        *) commits+=("$1") ;;
    esac
    shift
done
((${#commits[@]} == 2)) || { echo "usage: bench/compare.sh A B [--pairs N]" >&2; exit 2; }

work=$(mktemp -d)
clean_up() {
    for side in a b; do git worktree remove --force "$work/$side" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT

build() {
    local side=$1 commit=$2
    git worktree add --quiet --detach "$work/$side" "$commit"
    (cd "$work/$side" && meson setup build -Dbench=true -Dtests=false -Dwerror=false) \
        >"$work/log" || { cat "$work/log" >&2; exit 1; }
    ninja -C "$work/$side/build" --quiet tools/weir bench/weir-bench
}
build a "${commits[0]}"
build b "${commits[1]}"

# measure SIDE FILE
measure() {
    "$work/$1/build/bench/weir-bench" --extent guard --rounds 1 --system weir \
        --weir "$work/$1/build/tools/weir" --json "$work/$2.json" >/dev/null 2>>"$work/log" ||
        echo "compare.sh: a run of ${1} failed; its pair is left out" >&2
}
for ((pair = 0; pair < pairs; ++pair)); do
    echo "pair $((pair + 1)) of $pairs" >&2
    measure a "$pair-a"
    measure b "$pair-b"
    measure a "$pair-a2"
done
echo "a = ${commits[0]}, b = ${commits[1]}, $pairs pairs"
python3 bench/report/compare.py "$work"
