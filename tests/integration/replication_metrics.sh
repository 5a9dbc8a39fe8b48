#!/bin/bash
# What a side tells Prometheus (--metrics), while a client that says nothing is connected too; and encore status, as text
# and as JSON. `promtool check metrics` (Debian: prometheus) reads it.
. tests/lib.sh
. tests/tools/replication.sh

fetch() { # PORT
    exec 7<>"/dev/tcp/127.0.0.1/$1" || return
    printf 'GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n' >&7
    tr -d '\r' <&7 | sed '1,/^$/d'
    exec 7>&-
}
# await_metric PORT LINE
await_metric() {
    for _ in $(seq 500); do
        fetch "$1" >"$case/metrics" && grep -qx "$2" "$case/metrics" && break
        sleep 0.02
    done
    if grep -qx "$2" "$case/metrics"; then
        ok "replication: $case_name: $2"
    else
        not_ok "replication: $case_name: $2" "$(cat "$case/metrics")"
    fi
}
linted() { # of whom
    if ! command -v promtool >/dev/null; then
        skip "replication: $case_name: promtool check metrics, $1" "promtool is not installed (Debian: prometheus)"
    elif promtool check metrics <"$case/metrics" >"$case/lint" 2>&1 && [ ! -s "$case/lint" ]; then
        ok "replication: $case_name: promtool check metrics, $1"
    else
        not_ok "replication: $case_name: promtool check metrics, $1" "$(cat "$case/lint" "$case/metrics")"
    fi
}

new_case metrics
start_primary A --metrics tcp:127.0.0.1:$((port + 1))
start_backup B A --metrics tcp:127.0.0.1:$((port + 2))
await_words A 'output waits' && await_words B 'ready to take over'
exec 8<>/dev/tcp/127.0.0.1/$((port + 1)) # who says nothing
await_metric $((port + 1)) 'encore_state{state="primary"} 1'
await_metric $((port + 1)) 'encore_role{role="primary"} 1'
await_metric $((port + 1)) 'encore_arbiter_reachable 1'
await_metric $((port + 1)) 'encore_joins_total 1'
linted 'of the primary'
await_metric $((port + 2)) 'encore_role{role="backup"} 1'
linted 'of the backup'
for side in A B; do
    if "$ENCORE" status "$(address $side)" >"$case/text" && grep -q '^arbiter  answers$' "$case/text" &&
        grep -q ', epoch 1$' "$case/text"; then
        ok "replication: metrics: status of $side, for people"
    else
        not_ok "replication: metrics: status of $side, for people" "$(cat "$case/text")"
    fi
done
[ "$(field A role) $(field B role)" = 'primary backup' ] && ok "replication: metrics: status --json" ||
    not_ok "replication: metrics: status --json" "$("$ENCORE" status --json "$(address A)")"
signal_side KILL A
await_metric $((port + 2)) 'encore_takeovers_total 1'
await_metric $((port + 2)) 'encore_role{role="primary"} 1'
exec 8>&-
kill_all
check_exit 2 "replication: metrics: another address is refused" "$ENCORE" primary --engine soft \
    --listen "$(address A)" --arbiter "file:$case/other" --metrics http://127.0.0.1:80 "$GUESTS/kv"
finish
