#!/bin/bash
# A recording with checkpoints, its replay, and a pair of machines of which the primary dies, with a command that was built
# with ThreadSanitizer: no process reports a race, and the client sees every value once and in order.
. tests/lib.sh
ENCORE=$(realpath "$ENCORE") GUESTS=$(realpath "$GUESTS")
cd "$WORK" || exit 1
chmod 700 .

no_race() { # NAME FILE...
    local name=$1
    shift
    if grep -q 'WARNING: ThreadSanitizer' "$@"; then
        not_ok "threads: $name" "$(grep -h -A 30 'WARNING: ThreadSanitizer' "$@" | head -n 60)"
    else
        ok "threads: $name"
    fi
}

wait_for() { # WHAT COMMAND...
    local what=$1
    shift
    for _ in $(seq 300); do
        "$@" && return
        sleep 0.1
    done
    not_ok "threads: $what" "$(tail -n 5 ./*.err)"
    finish
}

printf 'wait "kv ready"\nrepeat 50\nline INCR a\nwait "VALUE %%d"\nend\nline QUIT\n' >script
timeout 120 "$ENCORE" record --engine soft -o run.enc --input script --checkpoint-every 20ms "$GUESTS/kv" \
    >record.out 2>record.err </dev/null
timeout 120 "$ENCORE" replay --verify run.enc >replay.out 2>replay.err
check "threads: the recording replays" grep -q identical replay.out
no_race "recording and replaying" record.err replay.err

pair="--arbiter file:$WORK/arbiter --suspect-after 1s"
# shellcheck disable=SC2086
{
    "$ENCORE" primary --engine soft --listen ipc://"$WORK"/a $pair "$GUESTS/kv" >a.out 2>a.err </dev/null &
    primary=$!
    wait_for "the primary listens" test -S a
    "$ENCORE" backup --connect ipc://"$WORK"/a --listen ipc://"$WORK"/b $pair >b.out 2>b.err </dev/null &
}
backup=$!
trap 'kill -9 $primary $backup 2>/dev/null; rm -rf "$WORK"' EXIT
wait_for "the backup follows" grep -q follows a.err
{
    for _ in $(seq 100); do echo INCR c; sleep 0.02; done
    kill -9 $primary
    for _ in $(seq 100); do echo INCR c; sleep 0.02; done
    sleep 3
    echo QUIT
    sleep 2
} | timeout 120 "$ENCORE" console ipc://"$WORK"/a,ipc://"$WORK"/b >console.out 2>console.err
wait $backup
check "threads: every value once and in order" \
    cmp <(grep -o 'VALUE [0-9]*' console.out) <(seq -f 'VALUE %g' 200)
no_race "a primary, its backup and a console" a.err b.err console.err
finish
