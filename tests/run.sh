#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds Weir in every way it is tested in and runs every test. The last line is
# "N passed, M failed"; the exit code is 0 only if M is 0 and no build and no suite broke.
#
#   build/         g++, as users have it        lint, unit, stress, system, bench-smoke
#   build-clang/   clang, with kill points      unit, crash; everything compiles without a warning
#   build-asan/    addresses, undefined         unit, stress, crash
#   build-tsan/    threads over one mapping     what is tagged tsan
#
# A step that breaks counts as one failed case, and the others still run. What each run printed
# stays in its build directory's meson-logs.
set -euo pipefail
cd "$(dirname "$0")/.."

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# A sanitizer's finding ends the process, so that it cannot pass as a test.
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

finish() {
    if ! command -v python3 >/dev/null; then
        echo "0 passed, 1 failed"
        exit 1
    fi
    if python3 tests/tally.py "$results"; then exit 0; else exit 1; fi
}

# step NAME COMMAND...: notes a failed command; the result says whether to go on with what needs it.
step() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    if "$@"; then
        echo "== $name: $((SECONDS - start)) s"
        return 0
    fi
    echo "$name" >>"$results/steps.txt"
    echo "== $name: broken after $((SECONDS - start)) s" >&2
    return 1
}

# configure DIR CXX KIND OPTION...: takes an existing build directory; one that was made by another
# compiler or by another version of meson is set up anew.
configure() {
    local dir=$1 compiler=$2 kind=$3
    shift 3
    local options=(-Dtests=true -Dwerror=true -Dbuildtype=debugoptimized "$@")
    if [[ -f $dir/meson-private/coredata.dat ]]; then
        if meson introspect "$dir" --compilers 2>/dev/null | grep -q "\"id\": \"$kind\"" &&
            meson setup --reconfigure "$dir" "${options[@]}" >"$results/setup.log" 2>&1; then
            return 0
        fi
        rm -rf "$dir/meson-private" "$dir/meson-info" "$dir/build.ninja"
    fi
    CXX=$compiler meson setup "$dir" "${options[@]}" >"$results/setup.log" 2>&1 && return 0
    cat "$results/setup.log" >&2
    return 1
}

# build NAME DIR CXX KIND OPTION...
build() {
    local name=$1 dir=$2
    shift
    step "$name: configuring" configure "$@" || return 1
    step "$name: building" ninja -C "$dir" --quiet
}

# run NAME DIR TIMES SUITE...: meson's log of the run becomes RESULTS/NAME.json.
run() {
    local name=$1 dir=$2 times=$3 suites=() start=$SECONDS code=0
    shift 3
    for suite in "$@"; do suites+=(--suite "$suite"); done
    rm -f "$dir/meson-logs/$name.json"
    echo "== $name: running $*"
    # Its exit code says that a test failed, which the log says too. No log is another matter.
    meson test -C "$dir" --no-rebuild --logbase "$name" --timeout-multiplier "$times" \
        --print-errorlogs "${suites[@]}" || code=$?
    if [[ -s $dir/meson-logs/$name.json ]]; then
        cp "$dir/meson-logs/$name.json" "$results/$name.json"
        echo "== $name: running: $((SECONDS - start)) s"
    elif ((code == 0)); then
        echo "== $name: there is no test in $*"
    else
        echo "$name: running $*" >>"$results/steps.txt"
    fi
}

step setup tools/setup.sh --tests || finish

if build main build g++ gcc -Dbench=true -Dkill_points=false -Db_sanitize=none; then
    run main build 1 lint unit stress system bench-smoke
fi
# Half of the time goes into optimizing, of which the following runs have nothing; what is not
# optimized takes up to ten times as long.
if build clang build-clang clang++-19 clang -Dbench=true -Dkill_points=true -Db_sanitize=none \
    -Doptimization=0; then
    run clang build-clang 10 unit crash
fi
if build asan build-asan clang++-19 clang -Dbench=false -Dkill_points=true -Db_lundef=false \
    -Db_sanitize=address,undefined -Doptimization=1; then
    run asan build-asan 4 unit stress crash
fi
if build tsan build-tsan clang++-19 clang -Dbench=false -Dkill_points=true -Db_lundef=false \
    -Db_sanitize=thread -Doptimization=1; then
    run tsan build-tsan 8 tsan
fi
finish
