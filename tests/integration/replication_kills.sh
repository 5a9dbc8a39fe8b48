#!/bin/bash
# SIGKILL of the machine that runs the guest, at points spread over the whole run: while a client works, while a backup
# joins, while it hands over. Whatever dies, the client sees every value once and in order (tests/tools/replication.sh).
# POINTS=100 tells how many points; CASES='...' runs only these. On a busy host a kill may come when the client is done
# already; few may.
# (tests/run: alone)
. tests/lib.sh
. tests/tools/replication.sh

POINTS=${POINTS:-100}
COUNT=400
SUSPECT=150ms
[ "${SANITIZED:-0}" = 1 ] && POINTS=10 COUNT=100 SUSPECT=1s

late=0
judge_kill() { # COUNT
    judge "$1"
    grep -q 'epoch 2:' "$case/client.err" || late=$((late + 1))
}

# While it works: when the client has seen so many values.
kill_at_work() { # N of how many
    new_case "kill-work-$1" || return
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen $((1 + ($1 - 1) * COUNT * 9 / 10 / $2))
    signal_side KILL A
    judge_kill $COUNT
    kill_all
}

# The same over a slow link: what the backup was not sent yet dies with the primary.
kill_on_slow_link() { # N of how many
    new_case "kill-slow-$1" || return
    over_tcp
    dice=1
    start_pair_by_link 'delay 10' --log "$case/B.enc"
    start_client 20 "$(address A)" "$(address B)"
    await_seen $((1 + ($1 - 1) * 34 / $2)) # of all lines
    signal_side KILL A
    judge_kill 20
    judge_history B
    end_link
}

# While a backup joins: the client is at work, and the primary dies so many milliseconds after the backup's start. The
# guest has memory to copy, and goes on writing it. If the backup was not a member yet, the machine is gone, and all that
# may be asked is that the backup does not go on.
kill_at_join() { # MS
    new_case "kill-join-$1" || return
    start_primary A --cmdline 'ballast=40 rate=40'
    start_client 1500 "$(address A)" "$(address B)"
    await_seen 5
    start_backup B A
    sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
    signal_side KILL A
    sleep 0.3
    if says B 'ready to take over'; then
        after=$((after + 1))
        judge_kill 1500
    elif says B 'won epoch'; then
        not_ok "replication: $case_name" "a backup went on that was not invited"
    else
        before=$((before + 1))
        ok "replication: $case_name (it had not joined, and did not go on)"
    fi
    kill_all
}

# While it hands over: whoever has the epoch goes on, and the client cannot tell.
kill_at_handover() { # MS
    new_case "kill-handover-$1" || return
    start_pair
    start_client 500 "$(address A)" "$(address B)"
    await_seen 20
    "$ENCORE" handover "$(address A)" >"$case/handover" 2>&1 &
    handover=$!
    sleep "0.$(printf %03d "$1")"
    signal_side KILL A
    judge_kill 500
    wait $handover 2>/dev/null
    kill_all
}

work=$((POINTS * 5 / 10)) slow=$((POINTS / 10)) join=$((POINTS * 3 / 10)) before=0 after=0
for point in $(seq 1 $work); do kill_at_work "$point" $work; done
for point in $(seq 1 $slow); do kill_on_slow_link "$point" $slow; done
for point in $(seq 1 $join); do kill_at_join $((point * 600 / join)); done
for point in $(seq 1 $((POINTS - work - slow - join))); do kill_at_handover "$point"; done
echo "# of the kills during a join, $before came before the backup was a member, $after after"
if [ $late -le $((POINTS / 5)) ]; then
    ok "replication: kills come while the client is at work ($late of $POINTS late)"
else
    not_ok "replication: kills come while the client is at work" "$late of $POINTS came after it was done"
fi
finish
