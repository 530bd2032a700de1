#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that Weir is built from, and only those that are missing.
#
#   tools/setup.sh           what building and the demonstration need
#   tools/setup.sh --tests   that, and what only the tests need
#   tools/setup.sh --bench   what building needs, and the peers that bench/ sets beside Weir
#
# Servers that come with peers are not started: the benchmark starts its own.
# It changes nothing else. Root or sudo is needed only if a package is missing.
set -euo pipefail

build_packages=(
    g++ meson ninja-build pkg-config python3
    libboost-dev            # Boost.Interprocess, headers only
    liburing-dev libxxhash-dev
    libfmt-dev libspdlog-dev
    libcli11-dev libtomlplusplus-dev nlohmann-json3-dev
)
test_packages=(
    libgtest-dev libgmock-dev libbenchmark-dev
    clang-19 libclang-rt-19-dev  # the second compiler, and its sanitizers
    clang-format
)

bench_packages=(
    libbenchmark-dev
    libzmq3-dev libnng-dev
    iceoryx libiceoryx-posh-dev
    redis-server libhiredis-dev
    nats-server libnats-dev
)

wanted=("${build_packages[@]}")
case "${1:-}" in
    '') ;;
    --tests) wanted+=("${test_packages[@]}") ;;
    --bench) wanted+=("${bench_packages[@]}") ;;
    --help) sed -n '4,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "setup: unknown argument \"$1\": only --tests and --bench are known" >&2; exit 2 ;;
esac

give_up() {
    echo "setup: $1" >&2
    echo "setup: install by hand what these Debian packages hold: ${missing[*]}" >&2
    exit 1
}

if ! command -v dpkg-query >/dev/null; then
    missing=("${wanted[@]}")
    give_up "this is not a Debian system"
fi

missing=()
for package in "${wanted[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done

if ((${#missing[@]} == 0)); then
    echo "setup: all ${#wanted[@]} packages are installed"
    exit 0
fi
echo "setup: missing: ${missing[*]}"

as_root=(env DEBIAN_FRONTEND=noninteractive)
if ((EUID != 0)); then
    command -v sudo >/dev/null || give_up "neither root nor sudo: run this script as root once"
    as_root=(sudo "${as_root[@]}")
fi
# Debian asks this file before it starts a service of a package that it installs.
policy=/usr/sbin/policy-rc.d
if [[ ${1:-} == --bench && ! -e $policy ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
install=("${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}")
# The package lists may be absent or too old: fetch them only when the first attempt needs it.
if ! "${install[@]}"; then
    "${as_root[@]}" apt-get update || give_up "the package lists cannot be fetched"
    "${install[@]}" || give_up "the packages cannot be installed"
fi
echo "setup: installed: ${missing[*]}"
