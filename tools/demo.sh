#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The demonstration: every file under /usr/include passes through Weir and arrives bit for bit.
#
#   tools/demo.sh            installs what is missing, builds into build/, runs
#
# A broker with 64 MiB of direct memory, four producer processes, and twice the same files:
#
#   queue   four producers -> two consumers that share them and write them out
#   topic   four producers -> three subscribers, each of which gets every file
#   disk    nobody reads while ten times the memory is sent; then consumers come and take it all
#
# It can be run again, beside other brokers and as any user. Whatever happens, it leaves nothing
# behind: no process, no shared memory, no socket, no file but the build.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

source_dir=/usr/include
producers=4
consumers=2
direct_bytes=$((64 << 20))
subscribers=3

say() { printf '%s\n' "demo: $*"; }
die() {
    printf '%s\n' "demo: $*" >&2
    exit 1
}

case "${1:-}" in
    '') ;;
    --help)
        sed -n '4,14s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        echo "demo: unknown argument \"$1\": there are none" >&2
        exit 2
        ;;
esac

tools/setup.sh
[[ -f build/build.ninja ]] || meson setup build
ninja -C build tools/weir
weir=$PWD/build/tools/weir

work=$(mktemp -d)
export WEIR_NAME=demo-$$
own_runtime_dir=
if ((EUID != 0)) && [[ ! -d ${XDG_RUNTIME_DIR:-} ]]; then
    own_runtime_dir=$work/run  # a login sets it; a bare shell or a container may not
    mkdir -m 700 "$own_runtime_dir"
    export XDG_RUNTIME_DIR=$own_runtime_dir
fi
clients=()
broker=

# Ends what still runs, by its id, and removes the rest.
clean_up() {
    local code=$? id
    trap - EXIT
    for id in "${clients[@]}"; do kill "$id" 2>/dev/null || true; done
    [[ -z $broker ]] || "$weir" stop >/dev/null 2>&1 || kill "$broker" 2>/dev/null || true
    rm -rf "$work"
    exit "$code"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start LOG COMMAND...: in the background, its id in `started`.
start() {
    local log=$1
    shift
    "$@" >/dev/null 2>"$log" &
    started=$!
    clients+=("$started")
}

# await WHAT ID...: all must end with 0.
await() {
    local what=$1 id
    shift
    for id in "$@"; do
        wait "$id" || die "a $what failed (exit code $?): $(cat "$work"/*.log)"
    done
}

# Until so many consumers are attached: a topic's subscriber gets only what is sent after that.
await_consumers() {
    local wanted=$1 deadline=$((SECONDS + 30)) there
    while :; do
        there=$("$weir" stat --json | python3 -c '
import json, sys
print(sum(each["consumers"] for each in json.load(sys.stdin)["destinations"]))')
        ((there < wanted)) || return 0
        ((SECONDS < deadline)) || die "only $there of $wanted consumers attached within 30 s"
        sleep 0.05
    done
}

# compare FOLDER...: each folder holds a part, all together exactly the list, bit for bit.
compare() {
    python3 - "$source_dir" "$work/list" "$@" <<'PY'
import filecmp, os, sys
source, listed, folders = sys.argv[1], sys.argv[2], sys.argv[3:]
wanted = {line.rstrip(b"\n") for line in open(listed, "rb")}
arrived = {}
for folder in folders:
    root = os.fsencode(folder)
    for path, _, names in os.walk(root):
        for name in names:
            relative = os.path.relpath(os.path.join(path, name), root)
            if relative in arrived:
                sys.exit(f"demo: {os.fsdecode(relative)} arrived twice")
            arrived[relative] = os.path.join(path, name)
if wanted != set(arrived):
    missing, foreign = sorted(wanted - set(arrived)), sorted(set(arrived) - wanted)
    sys.exit(f"demo: {len(missing)} files are missing {missing[:3]}, "
             f"{len(foreign)} are foreign {foreign[:3]}")
for relative, path in arrived.items():
    if not filecmp.cmp(os.path.join(os.fsencode(source), relative), path, shallow=False):
        sys.exit(f"demo: {os.fsdecode(relative)} differs")
PY
}

# stream SCHEME RECEIVER...: sends all files to SCHEME://include and waits for all receivers.
stream() {
    local scheme=$1 part senders=() receivers=("${@:2}")
    await_consumers "${#receivers[@]}"
    local began_ms=${EPOCHREALTIME/./}
    for part in "$work"/part.*; do
        start "$work/send.${part##*.}.log" \
            env -C "$source_dir" "$weir" send "$scheme://include" --files-from "$part"
        senders+=("$started")
    done
    await producer "${senders[@]}"
    if [[ $scheme == queue ]]; then
        await_empty
        kill -TERM "${receivers[@]}"
    fi
    await consumer "${receivers[@]}"
    took_us=$((${EPOCHREALTIME/./} - began_ms))
}

# await_empty [DESTINATION]: until everything sent there, or anywhere, has been acknowledged.
await_empty() {
    local deadline=$((SECONDS + 100)) left
    while :; do
        left=$("$weir" stat --json | python3 -c '
import json, sys
print(sum(each["depth_messages"] for each in json.load(sys.stdin)["destinations"]
          if each["name"] in (sys.argv[1:] or [each["name"]])))' "$@")
        ((left > 0)) || return 0
        ((SECONDS < deadline)) || die "$left files are still in the queue after 100 s"
        sleep 0.05
    done
}

# What `weir stat` says at a path of keys: stat_at direct used
stat_at() {
    "$weir" stat --json | python3 -c '
import json, sys
value = json.load(sys.stdin)
for key in sys.argv[1:]: value = value[key]
print(value)' "$@"
}

# Nobody reads while ten times the direct memory is sent, over and over the same files; then
# consumers come and take everything.
flow_to_disk() {
    local rounds=$(((10 * direct_bytes + bytes - 1) / bytes)) round part senders receivers
    local began_ms=${EPOCHREALTIME/./}
    for round in $(seq "$rounds"); do
        senders=()
        for part in "$work"/part.*; do
            start "$work/send.${part##*.}.log" \
                env -C "$source_dir" "$weir" send "queue://kept-$round" --files-from "$part"
            senders+=("$started")
        done
        await producer "${senders[@]}"
    done
    local sent_us=$((${EPOCHREALTIME/./} - began_ms))
    say "disk: $((rounds * bytes >> 20)) MiB sent in $((sent_us / 1000)) ms, nobody read:" \
        "$(($(stat_at direct used) >> 20)) of $((direct_bytes >> 20)) MiB of memory are in use," \
        "$(($(stat_at disk used) >> 20)) MiB on disk"
    for round in $(seq "$rounds"); do
        receivers=()
        for part in $(seq "$consumers"); do
            start "$work/kept.$part.log" \
                "$weir" recv "queue://kept-$round" --follow --out-dir "$work/kept.$round.$part"
            receivers+=("$started")
        done
        await_empty "queue://kept-$round"
        kill -TERM "${receivers[@]}"
        await consumer "${receivers[@]}"
        compare "$work/kept.$round".*
        rm -rf "$work/kept.$round".*
    done
    (($(stat_at direct peak) <= direct_bytes)) || die "more memory was used than there may be"
    local deadline=$((SECONDS + 30))
    while [[ -n $(ls -A "$work/spill") ]]; do
        ((SECONDS < deadline)) || die "spill files are left: $(ls "$work/spill")"
        sleep 0.1
    done
    say "disk: $((rounds * files)) messages came back unchanged, the spill directory is empty"
}

# report WHAT COPIES: how much and how fast.
report() {
    python3 - "$1" "$2" "$files" "$bytes" "$took_us" <<'PY'
import sys
what, copies, files, size, took_us = sys.argv[1], *map(int, sys.argv[2:])
seconds = max(took_us, 1) / 1e6
print(f"demo: {what}: {files} messages, {size / 2**20:.1f} MiB sent in {seconds:.2f} s; delivered "
      f"{copies * files / seconds:.0f} messages/s, {copies * size / 2**20 / seconds:.1f} MiB/s")
PY
}

# What is streamed: regular files that can be read, by their path below the source, one a line.
[[ -d $source_dir ]] || die "there is no $source_dir on this machine"
streamed=("$source_dir" -type f -readable ! -name $'*\n*')
find "${streamed[@]}" -printf '%P\n' | sort >"$work/list"
read -r files bytes largest < <(find "${streamed[@]}" -printf '%s\n' |
    awk '{ n++; sum += $1; if ($1 > max) max = $1 } END { printf "%d %d %d\n", n, sum, max }')
((files >= 1)) || die "there is no file under $source_dir"
split -n "r/$producers" "$work/list" "$work/part."

largest_message=$((16 << 20))
if ((largest + 65536 > largest_message)); then
    die "the largest file has $largest bytes; 64 MiB of direct memory carry up to 16 MiB a message"
fi

mkdir "$work/spill"
"$weir" broker --direct $direct_bytes --spill-dir "$work/spill" --largest-message 16M \
    >"$work/broker.out"
broker=$("$weir" stat --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["broker"]["pid"])')
say "broker $WEIR_NAME runs with 64 MiB; $files files, the largest has $largest bytes"

receivers=()
for number in $(seq "$consumers"); do
    start "$work/queue.$number.log" \
        "$weir" recv queue://include --follow --out-dir "$work/queue.$number"
    receivers+=("$started")
done
stream queue "${receivers[@]}"
compare "$work"/queue.?
report "queue, $producers producers, $consumers consumers" 1
rm -rf "$work"/queue.?

receivers=()
for number in $(seq "$subscribers"); do
    start "$work/topic.$number.log" \
        "$weir" recv topic://include --count "$files" --timeout 60s --out-dir "$work/topic.$number"
    receivers+=("$started")
done
stream topic "${receivers[@]}"
for number in $(seq "$subscribers"); do compare "$work/topic.$number"; done
report "topic, $producers producers, $subscribers subscribers" "$subscribers"

flow_to_disk

say "the memory books:"
"$weir" stat
"$weir" stop
broker=
# `stop` answers when the broker has let go of everything; look, rather than believe.
for left in /dev/shm/*"$WEIR_NAME"* "${XDG_RUNTIME_DIR:-/run}/weir/$WEIR_NAME".*; do
    [[ ! -e $left ]] || die "$left was left behind"
done
say "every file arrived unchanged: $files by the queue, $subscribers x $files by the topic," \
    "ten times the memory by the disk"
