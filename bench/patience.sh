#!/bin/bash
# How long a silence is borne, by round trip, loss and bandwidth of the link (docs/replication.md has the table): a pair
# with the default --suspect-after whose client increments a counter all the time, for SECONDS_EACH (15), over TCP between
# network namespaces (tests/tools/wire.c), as root; for the bandwidth through tests/tools/link_proxy.c.
#
#     bench/patience.sh [BUILD]      "round trip ms, loss %, kbit/s: measured round trip, patience in use, sides lost"
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

measure() { # ROUND-TRIP LOSS KBIT
    arbiter=file:$WORK/arbiter-$1-$2-$3
    order "delay $(($1 / 2))"
    [ "$2" = 0 ] || order "loss $2"
    launch a primary --engine soft --listen "$(address a)" --arbiter "$arbiter" --key "$WORK/key" "$GUESTS/kv"
    local told=$said to
    to=$(address a)
    await "$told" . || sleep 0.5
    if [ "$3" != 0 ]; then
        mkfifo "$WORK/proxy"
        in_host b "$BUILD/tests/tools/link_proxy" 4005 4000 <"$WORK/proxy" &
        exec 9>"$WORK/proxy"
        echo "rate $3" >&9
        to=tcp://127.0.0.1:4005
    fi
    launch b backup --connect "$to" --arbiter "$arbiter" --key "$WORK/key"
    if await "$said" 'ready to take over'; then
        { echo 'wait "kv ready"'; echo 'repeat 100000'; echo 'line INCR counter'; echo 'wait "VALUE %d"'; echo end; } \
            >"$WORK/script"
        in_host c timeout "${SECONDS_EACH:-15}" "$ENCORE" console --key "$WORK/key" --input "$WORK/script" "$(address a)" \
            >/dev/null 2>&1
        printf '%s ms, %s %%, %s kbit/s: %.1f ms, %.0f ms, %s\n' "$1" "$2" "$3" "$(field round_trip_ms)" \
            "$(field suspect_after_ms)" "$(cat "$told" "$said" | grep -c 'asking the arbiter')"
    else
        echo "$1 ms, $2 %, $3 kbit/s: no pair: $(tail -n 1 "$told" "$said" | tr '\n' ' ')"
    fi
    for side in a b; do
        kill -KILL "${pid[$side]}" 2>/dev/null
        wait "${pid[$side]}" 2>/dev/null
    done
    order mend
}

open_network 1 || { echo "bench/patience.sh: no network" >&2; exit 1; }
for row in ${ROWS:-0:0:0 4:0:0 40:0:0 100:0:0 4:1:0 4:5:0 40:1:0 40:5:0}; do
    IFS=: read -r trip loss kbit <<<"$row"
    measure "$trip" "$loss" "$kbit"
done
