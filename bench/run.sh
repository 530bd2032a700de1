#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The whole table and its pictures with one command: installs what is missing, builds, measures
# Weir beside the machine's own limits and its peers, prints figures and goals.
#
#   bench/run.sh                 peers at 64 B, 1 KiB and 64 KiB in short cells; under 20 minutes
#   bench/run.sh --full          every size and every way of waiting; about an hour
#   bench/run.sh --json FILE     the results as a list of objects, too
#   bench/run.sh --pictures DIR  where the pictures go (bench/results)
#   bench/run.sh --rounds N      rounds at most (7)
#   bench/run.sh --readme        also the table of goals into README.md, the pictures beside it
#
# Results are also kept in the pictures' folder, named after the commit. Close other programs first:
# what runs beside it is in the figures, and the report says so.
set -euo pipefail
cd "$(dirname "$0")/.."

extent=table budget=780 rounds=7 json='' pictures=bench/results readme=no
start_dir=$OLDPWD
absolute() { case $1 in /*) echo "$1" ;; *) echo "$start_dir/$1" ;; esac; }
while (($#)); do
    case $1 in
        --full) extent=full budget=3600 ;;
        --json) json=$(absolute "${2:?--json needs a file}"); shift ;;
        --pictures) pictures=$(absolute "${2:?--pictures needs a folder}"); shift ;;
        --rounds) rounds=${2:?--rounds needs a number}; shift ;;
        --readme) readme=yes ;;
        --help) sed -n '4,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "run.sh: unknown argument \"$1\": see --help" >&2; exit 2 ;;
    esac
    shift
done

tools/setup.sh --bench

build=build-bench
options=(-Dbench=true -Dtests=false -Dwerror=false -Dbuildtype=debugoptimized)
if [[ -f $build/meson-private/coredata.dat ]] &&
    meson setup --reconfigure "$build" "${options[@]}" >"$build/setup.log" 2>&1; then :; else
    rm -rf "$build"
    mkdir -p "$build"
    meson setup "$build" "${options[@]}" >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
    rm -f "$build.log"
fi
ninja -C "$build" --quiet tools/weir bench/weir-bench

commit=$(git describe --always --dirty 2>/dev/null || echo unknown)
mkdir -p "$pictures"
results=$pictures/$extent-$commit.json
code=0
"$build/bench/weir-bench" --extent "$extent" --weir "$build/tools/weir" --rounds "$rounds" \
    --budget "$budget" --commit "$commit" --json "$results" || code=$?
[[ -s $results ]] || exit 1
[[ -z $json ]] || cp "$results" "$json"
python3 bench/report/picture.py "$results" "$pictures"
if [[ $readme == yes ]]; then
    python3 bench/report/headline.py "$results" --into README.md
    cp "$pictures"/{latency,throughput,ratios}.svg bench/report/
fi
echo
echo "results: $results"
echo "pictures: $pictures/latency.svg $pictures/throughput.svg $pictures/ratios.svg"
exit "$code"
