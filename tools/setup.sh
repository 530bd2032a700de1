#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that Weir is built from, and only those that are missing.
#
#   tools/setup.sh           what building and the demonstration need
#   tools/setup.sh --tests   that, and what only the tests need
#
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

wanted=("${build_packages[@]}")
case "${1:-}" in
    '') ;;
    --tests) wanted+=("${test_packages[@]}") ;;
    --help) sed -n '4,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "setup: unknown argument \"$1\": only --tests is known" >&2; exit 2 ;;
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
install=("${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}")
# The package lists may be absent or too old: fetch them only when the first attempt needs it.
if ! "${install[@]}"; then
    "${as_root[@]}" apt-get update || give_up "the package lists cannot be fetched"
    "${install[@]}" || give_up "the packages cannot be installed"
fi
echo "setup: installed: ${missing[*]}"
