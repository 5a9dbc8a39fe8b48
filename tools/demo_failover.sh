#!/bin/sh
# The failover demo: a guest that survives the death of the machine that it runs on, twice.
# A client has a counter incremented a thousand times. The primary is killed in the middle of it, the backup goes on; a
# new backup joins, and the second machine is killed too. In the end the client must have seen every value once and in
# order. Exits with 0 only if so. `make demo-failover` calls it. It needs no KVM.
# Usage: tools/demo_failover.sh [BUILD]
set -u
build=${1:-build}
encore=$build/encore
guest=$build/guests/kv
count=1000
work=$(mktemp -d) || exit 1 # of mode 0700, so that its sockets need no key
pids=
trap 'kill -9 $pids 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n== %s\n' "$1"; }
fail() {
    printf '\ndemo: FAILED: %s\n' "$1"
    for side in A B C; do
        [ -s "$work/$side.err" ] && sed "s/^/  $side: /" "$work/$side.err"
    done
    exit 1
}
address() { echo "ipc://$work/$1.sock"; }

# One field of what `encore status` said last, or says of a side; empty when nobody answered.
known() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\).*/\1/p" "$work/status"; } # NAME
field() { # SIDE NAME
    "$encore" status --json "$(address "$1")" >"$work/status" 2>/dev/null
    known "$2"
}

# Starts side $1; the rest is the command. What it says is shown as it says it.
start() {
    side=$1
    shift
    printf '$ encore %s\n' "$(echo "$*" | sed "s|$work/||g; s|$build/||g")"
    "$encore" "$@" 2>>"$work/$side.err" &
    eval "pid_$side=$!"
    pids="$pids $!"
}

await() { # SIDE STATE: until `encore status` says so, ten seconds at most
    tries=0
    until [ "$(field "$1" state)" = "$2" ]; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || fail "$1 did not become: $2"
        sleep 0.05
    done
}

seen() { grep -c '^VALUE' "$work/client.out" 2>/dev/null; }

# Shows one line of the present state, again and again on a terminal, until the client has seen $2 values; $1 runs the
# guest. It fits into 80 columns.
watch_until() {
    while [ "$(seen)" -lt "$2" ]; do
        kill -0 "$client" 2>/dev/null || break
        "$encore" status --json "$(address "$1")" >"$work/status" 2>/dev/null
        [ -t 1 ] && printf '\r\033[K  %s: %s, epoch %s | client %s of %s | backup lag %s ms | output held %s B' "$1" \
            "$(known state)" "$(known epoch)" "$(seen)" $count "$(known lag_ms | cut -c1-4)" "$(known output_held_bytes)"
        sleep 0.1
    done
    [ -t 1 ] && printf '\r\033[K'
    printf '  %s runs the guest: %s, epoch %s; the client has seen %s of %s\n' "$1" "$(field "$1" state)" \
        "$(field "$1" epoch)" "$(seen)" $count
}

kill_side() { # SIDE WHO_GOES_ON
    say "kill -9 $1, which runs the guest: $2 is to notice the silence, win the next epoch, and go on"
    eval "kill -9 \$pid_$1"
    eval "wait \$pid_$1" 2>/dev/null
}

# What a side has said since the last time, in its own words.
words() { # SIDE
    sed "s/^encore [a-z]*: /  $1: /" "$work/$1.err"
    : >"$work/$1.err"
}

# What the client types, whether or not the answers come.
type_lines() {
    n=0
    while [ $n -lt $count ]; do
        echo "INCR counter"
        n=$((n + 1))
        sleep 0.004
    done
}

say "two sides: A runs the guest, B follows in lockstep; a file is the arbiter of who goes on"
start A primary --engine soft --listen "$(address A)" --arbiter "file:$work/arbiter" "$guest"
await A alone
start B backup --connect "$(address A)" --listen "$(address B)" --arbiter "file:$work/arbiter"
await A primary
words A
words B

say "a client increments a counter $count times; no value leaves A before B can go on from there"
all="$(address A),$(address B),$(address C)"
printf '$ encore console --all A.sock,B.sock,C.sock\n'
type_lines | "$encore" console --all "$all" >"$work/client.out" 2>"$work/client.err" &
client=$!
pids="$pids $client"
watch_until A $((count * 3 / 10))

kill_side A B
await B alone
words B
watch_until B $((count * 5 / 10))

say "a new backup, C, joins B while the guest runs"
start C backup --connect "$(address B)" --listen "$(address C)" --arbiter "file:$work/arbiter"
await B primary
words B
printf '  the guest stood still for %s ms\n' "$(field B join_pause_ms | cut -c1-4)"
watch_until B $((count * 8 / 10))

kill_side B C
await C alone
words C
watch_until C $count
wait $client
code=$?

say "what the client saw"
sed 's/\r//g; s/^/  client: /; /^  client: $/d' "$work/client.err"
[ $code -eq 0 ] || fail "the client ended with exit code $code"
sed -n 's/\r$//; s/^VALUE //p' "$work/client.out" >"$work/got"
i=1
while [ $i -le $count ]; do
    echo $i
    i=$((i + 1))
done >"$work/wanted"
cmp -s "$work/got" "$work/wanted" || fail "the values are not 1 to $count, once each and in order"
printf '  %s values, from 1 to %s, each once and in order, from three machines\n' "$(wc -l <"$work/got")" $count
printf '\ndemo: all as it should be\n'
