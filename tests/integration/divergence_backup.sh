#!/bin/bash
# Each type of record in turn is the one with which a backup's machine disagrees, because a primary lied to it
# (tests/tools/lying_primary.c): the backup reports it, gives up its place, joins again and takes over, and the client
# notices nothing.
# (tests/run: alone)
. tests/lib.sh
. tests/tools/replication.sh
LIAR=$BUILD/tests/tools/lying_primary
COUNT=60

start_liar() { # TYPE [AFTER SO MANY INPUTS]
    honest=$ENCORE
    ENCORE=$LIAR
    export LIE=$1 LIE_AFTER=${2:-10}
    start_primary A
    unset LIE LIE_AFTER
    ENCORE=$honest
}
await_count() { # SIDE TEXT COUNT
    for _ in $(seq 1000); do
        [ "$(grep -c "$2" "$case/$1.err")" -ge "$3" ] && return
        sleep 0.02
    done
    return 1
}
# The one report of the case, in $report.
judge_report() { # TYPE
    report=$(find "$case" -name 'b.enc.divergence-*.txt')
    for part in "the replay diverged at record [0-9]* " "  record: .*: $1 " '  expected: ' '  got: ' \
        'registers at exit' 'r15' 'last inputs before it'; do
        if ! grep -q "$part" "$report" || ! grep -q "$part" "$case/B.err"; then
            not_ok "replication: $case_name: the report is complete" "it lacks: $part
$(cat "$case/B.err" "$report")"
            return
        fi
    done
    if LC_ALL=C grep -q '[^ -~]' "$report" || [ "$(wc -c <"$report")" -ge 8192 ]; then
        not_ok "replication: $case_name: the report is printable and short" "$(head -c 10000 "$report" | cat -v)"
        return
    fi
    ok "replication: $case_name: the report is complete"
}

for type in TIME CLOCK_READ CONSOLE_IN ENTROPY OPERATOR OUTPUT DIGEST CHECKPOINT FRAME_IN DISK_ERROR; do
    new_case "lie-$type" || continue
    start_liar $type
    start_backup B A --log "$case/b.enc"
    await_words B 'ready to take over'
    start_client $COUNT "$(address A)" "$(address B)"
    expect_words A "backup's machine differs"
    await_count B 'ready to take over' 2 || not_ok "replication: $case_name: it joins again" "$(cat "$case/B.err")"
    judge_report $type
    await_seen 40
    signal_side KILL A
    expect_words B 'won epoch 2: taking over'
    judge $COUNT
    kill_all
done

# The guest's own end, which the backup sees in another way. There is nothing left to join.
if new_case lie-END; then
    start_liar END 1
    start_backup B A --log "$case/b.enc"
    await_words B 'ready to take over'
    { for _ in $(seq 12); do echo 'INCR a'; sleep 0.01; done; echo QUIT; } |
        timeout $PATIENCE "$ENCORE" console --all "$(address A)" >"$case/quit" 2>&1
    expect_end A 1 'the guest ended'
    judge_report END
    await_count B 'gone\|ended\|cannot\|nobody' 1
    kill -0 "$pid_B" 2>/dev/null && signal_side TERM B
    end_of B
    case $code in
    1 | 7 | 130) ok "replication: lie-END: the backup ends with $code" ;;
    *) not_ok "replication: lie-END: the backup ends as it may" "exit code $code: $(cat "$case/B.err")" ;;
    esac
    kill_all
fi
finish
