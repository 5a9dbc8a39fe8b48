#!/bin/bash
# How long a silence is borne, by round trip, loss and bandwidth of the link (docs/replication.md has the table): a pair
# with the default --suspect-after whose client increments a counter all the time, for SECONDS_EACH (15), over TCP between
# network namespaces (tests/tools/wire.c), as root; the bandwidth by tests/tools/link_proxy.c, on loopback.
#
#     bench/patience.sh [BUILD]      "round trip ms, loss %: measured round trip, patience in use, sides lost"
cd "$(dirname "$0")/.." || exit 1
export BUILD=${1:-build}
. tests/lib.sh
. tests/tools/namespaces.sh
mkdir "$WORK/world"
arbiter=file:$WORK/arbiter
trap 'close_network; rm -rf "$WORK"' EXIT
[ -z "$(missing)" ] || { echo "bench/patience.sh: $(missing)" >&2; exit 1; }
"$ENCORE" keygen "$WORK/key"

field() { # NAME
    in_host a "$ENCORE" status --json --key "$WORK/key" "$(address a)" 2>/dev/null | sed -n "s/^  \"$1\": \([0-9.]*\).*/\1/p"
}
await() { for _ in $(seq 600); do grep -qs "$2" "$1" && return; sleep 0.05; done; return 1; }

measure() { # ROUND-TRIP LOSS
    arbiter=file:$WORK/arbiter-$1-$2
    order "delay $(($1 / 2))"
    [ "$2" = 0 ] || order "loss $2"
    launch a primary --engine soft --listen "$(address a)" --arbiter "$arbiter" --key "$WORK/key" "$GUESTS/kv"
    local told=$said
    sleep 1 # it listens, and says nothing
    launch b backup --connect "$(address a)" --arbiter "$arbiter" --key "$WORK/key"
    if await "$said" 'ready to take over'; then
        { echo 'wait "kv ready"'; echo 'repeat 100000'; echo 'line INCR counter'; echo 'wait "VALUE %d"'; echo end; } \
            >"$WORK/script"
        in_host c timeout "${SECONDS_EACH:-15}" "$ENCORE" console --key "$WORK/key" --input "$WORK/script" "$(address a)" \
            >/dev/null 2>&1
        printf '%s ms, %s %%: %.1f ms, %.0f ms, %s\n' "$1" "$2" "$(field round_trip_ms)" \
            "$(field suspect_after_ms)" "$(cat "$told" "$said" | grep -c 'asking the arbiter')"
    else
        echo "$1 ms, $2 %: no pair: $(tail -n 1 "$told" "$said" | tr '\n' ' ')"
    fi
    for side in a b; do
        kill -KILL "${pid[$side]}" 2>/dev/null
        wait "${pid[$side]}" 2>/dev/null
    done
    order mend
}

# Bandwidth is limited by a proxy, on loopback.
measure_rate() { # KBIT
    local at=tcp://127.0.0.1:4000 arbiter=file:$WORK/arbiter-rate-$1 ours
    mkfifo "$WORK/proxy"
    "$BUILD/tests/tools/link_proxy" 4005 4000 <"$WORK/proxy" &
    ours=$!
    exec 9>"$WORK/proxy"
    echo "rate $1" >&9
    "$ENCORE" primary --engine soft --listen $at --arbiter "$arbiter" "$GUESTS/kv" >/dev/null 2>"$WORK/a.err" </dev/null 9>&- &
    ours+=" $!"
    sleep 0.5
    "$ENCORE" backup --connect tcp://127.0.0.1:4005 --arbiter "$arbiter" >/dev/null 2>"$WORK/b.err" </dev/null 9>&- &
    ours+=" $!"
    await "$WORK/b.err" 'ready to take over' || echo "$1 kbit/s: no pair"
    { echo 'wait "kv ready"'; echo 'repeat 100000'; echo 'line INCR counter'; echo 'wait "VALUE %d"'; echo end; } >"$WORK/script"
    timeout "${SECONDS_EACH:-15}" "$ENCORE" console --input "$WORK/script" $at >/dev/null 2>&1 9>&-
    "$ENCORE" status --json $at >"$WORK/status" 2>/dev/null
    printf '0 ms, 0 %%, %s kbit/s: %.1f ms, %.0f ms, %s\n' "$1" "$(sed -n 's/.*"round_trip_ms": \([0-9.]*\).*/\1/p' "$WORK/status")" \
        "$(sed -n 's/.*"suspect_after_ms": \([0-9.]*\).*/\1/p' "$WORK/status")" \
        "$(cat "$WORK"/[ab].err | grep -c 'asking the arbiter')"
    exec 9>&-
    # shellcheck disable=SC2086
    kill -KILL $ours 2>/dev/null
    # shellcheck disable=SC2086
    wait $ours 2>/dev/null
    rm -f "$WORK/proxy"
}

open_network 1 || { echo "bench/patience.sh: no network" >&2; exit 1; }
for row in ${ROWS:-0:0 4:0 40:0 100:0 4:1 4:5 40:1 40:5}; do
    measure "${row%:*}" "${row#*:}"
done
for kbit in ${RATES:-1000 10000}; do
    measure_rate "$kbit"
done
