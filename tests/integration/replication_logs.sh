#!/bin/bash
# The logs that two sides keep (--log): on a disk that is full, and in segments (tests/tools/replication.sh has the oracle).
# CASES='...' runs only these.
. tests/lib.sh
. tests/tools/replication.sh
COUNT=1000
[ "${SANITIZED:-0}" = 1 ] && COUNT=200

# A disk that is full after some KiB is a limit on the size of files.
limited() { # KIB SIDE-STARTER...
    local limit=$1
    shift
    ulimit -S -f "$limit"
    "$@"
    ulimit -S -f unlimited
}
log_ended_so() { # SIDE: its log broke off, and what there is of it replays
    "$ENCORE" replay --verify --partial "$case/$1.enc" >"$case/replay.out" 2>"$case/replay.err"
    code=$?
    if [ $code -eq 0 ] && [ "$(field "$1" log_ended)" = true ]; then
        ok "replication: $case_name: what there is of the log replays, and status says that it ended"
    else
        not_ok "replication: $case_name: what there is of the log replays, and status says that it ended" \
            "exit code $code, log_ended $(field "$1" log_ended); $(cat "$case/replay.err" "$case/replay.out")"
    fi
}

if new_case full-disk-at-the-primary; then # the guest goes on, replicated
    limited 8 start_primary A --log "$case/A.enc"
    start_backup B A
    await_words B 'ready to take over'
    start_client $COUNT "$(address A)" "$(address B)"
    expect_words A 'the log ends here (.*A.enc'
    log_ended_so A
    signal_side KILL A
    expect_words B 'won epoch 2: taking over'
    judge $COUNT
    kill_all
fi

if new_case full-disk-at-the-backup; then # it keeps its place
    start_primary A
    limited 200 start_backup B A --log "$case/B.enc"
    await_words B 'ready to take over'
    start_client $((3 * COUNT)) "$(address A)" "$(address B)"
    expect_words B 'the log ends here (.*B.enc'
    if says A 'asking the arbiter'; then
        not_ok "replication: $case_name: the backup keeps its place" "$(cat "$case"/A.err)"
    else
        ok "replication: $case_name: the backup keeps its place"
    fi
    log_ended_so B
    signal_side KILL A
    expect_words B 'won epoch 2: taking over'
    judge $((3 * COUNT))
    kill_all
fi

if new_case required-log; then # --log-required: the machine, or the place, goes with it
    limited 8 start_primary A --log "$case/A.enc" --log-required
    start_backup B A
    await_words B 'ready to take over'
    start_client $COUNT "$(address A)" "$(address B)"
    expect_end A 1 'cannot write to .*A.enc'
    expect_words B 'won epoch 2: taking over'
    judge $COUNT
    limited 20 start_backup C B --log "$case/C.enc" --log-required
    expect_end C 1 'cannot write to .*C.enc'
    kill_all
fi
finish
