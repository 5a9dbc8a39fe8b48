#!/bin/bash
# How a backup joins (tests/tools/replication.sh has the oracle): over a link that is slow, with a guest that changes its
# memory faster than the link takes it. CASES='...' runs only these.
# (tests/run: alone)
. tests/lib.sh
. tests/tools/replication.sh
PATIENCE=90

# As await_words, but for so many seconds.
await_long() { # SIDE TEXT SECONDS
    local until=$((SECONDS + $3))
    while [ $SECONDS -lt $until ]; do
        says "$1" "$2" && return
        sleep 0.1
    done
    return 1
}
# A pair over a link with so many kbit/s; the primary's options follow.
start_joining() { # KBIT [OPTION...]
    over_tcp
    open_proxy 5 $((port + 5)) $port
    order "rate $1"
    start_primary A "${@:2}"
    # shellcheck disable=SC2086
    launch_side B "$ENCORE" backup --connect tcp://127.0.0.1:$((port + 5)) --listen "$(address B)" \
        --arbiter "$arbiter" $key --suspect-after $suspect
}

# judge_joining SECONDS WHAT
judge_joining() {
    if await_long B 'ready to take over' "$1"; then
        ok "replication: $case_name: $2"
    else
        not_ok "replication: $case_name: $2" "$(tail -n 20 "$case"/[AB].err)"
    fi
    joins=$(field A joins)
    if [ "${joins:-99}" -le 2 ]; then
        ok "replication: $case_name: the join does not begin anew again and again"
    else
        not_ok "replication: $case_name: the join does not begin anew again and again" "$joins joins"
    fi
}

if new_case join-1-mbit; then
    suspect=75ms
    start_joining 1000 --cmdline ballast=1
    judge_joining 60 "a backup joins over 1 Mbit/s"
    expect_words A 'a backup joins: .* MB sent, round 1, at most .* MB to go'
    expect_words B 'joining: .* MB received, round 1, at most .* MB to go'
    end_link
fi

# Two backups that come at once must not take the place from each other for ever.
if new_case join-of-two; then
    suspect=75ms
    start_joining 2000 --cmdline ballast=1
    await_words A 'a backup joins'
    launch_side C "$ENCORE" backup --connect tcp://127.0.0.1:$((port + 5)) --listen "$(address C)" --arbiter "$arbiter" \
        --suspect-after $suspect
    judge_joining 60 "of two backups that come at once one joins"
    expect_words C 'the primary refuses: another backup is joining this primary'
    end_link
fi

# A guest that changes its memory as fast as it can, and much faster than the link takes it.
if new_case join-while-all-changes; then
    suspect=75ms
    start_joining 10000 --mem 64M --cmdline 'ballast=8 rate=4000'
    judge_joining 60 "a backup joins a guest that changes its memory all the time, over 10 Mbit/s"
    # A checkpoint waits in memory until it is whole, and a page may stand in it four times.
    peak=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$pid_B/status")
    if [ "${peak:-999999999}" -lt $((5 * 64 * 1024 + 100 * 1024)) ]; then
        ok "replication: $case_name: the backup's memory is bounded"
    else
        not_ok "replication: $case_name: the backup's memory is bounded" "$peak kB"
    fi
    end_link
fi
finish
