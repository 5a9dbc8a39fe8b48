#!/bin/bash
# The logs that two sides keep (--log): on a disk that is full, and in segments (tests/tools/replication.sh has the oracle).
# CASES='...' runs only these.
. tests/lib.sh
. tests/tools/replication.sh
COUNT=1000 # enough of a log for all sizes below

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
# Each segment of SIDE's log replays by itself, from the FIRST on; the last may be without its END.
segments_replay() { # SIDE FIRST LAST
    local number name wrong=
    for number in $(seq "$2" "$3"); do
        name=$case/$1.enc
        [ "$number" -eq 0 ] || name=$name.$number
        "$ENCORE" replay --verify $([ "$number" -lt "$3" ] || echo --partial) "$name" >"$case/replay.out" 2>&1
        code=$?
        [ $code -eq 0 ] && grep -q identical "$case/replay.out" && continue
        wrong="$wrong$name: exit code $code: $(cat "$case/replay.out")
"
    done
    if [ -z "$wrong" ] && [ "$3" -gt "$2" ]; then
        ok "replication: $case_name: segments $2 to $3 of $1 replay, each by itself"
    else
        not_ok "replication: $case_name: segments $2 to $3 of $1 replay, each by itself" "$wrong"
    fi
}
last_segment() { # SIDE
    local number=0
    while [ -e "$case/$1.enc.$((number + 1))" ]; do number=$((number + 1)); done
    echo $number
}

if new_case segments; then # on the primary, and on the backup after it has taken over
    start_primary A --log "$case/A.enc" --log-segment 64K
    start_backup B A --log "$case/B.enc" --log-segment 64K
    await_words B 'ready to take over'
    start_client $((4 * COUNT)) "$(address A)" "$(address B)"
    for ((n = 0; n < 400; n++)); do
        [ -e "$case/A.enc.2" ] && break
        sleep 0.05
    done
    signal_side KILL A
    expect_words B 'won epoch 2: taking over'
    for ((n = 0; n < 400; n++)); do
        [ -e "$case/B.enc.1" ] && break
        sleep 0.05
    done
    judge $((4 * COUNT))
    segments_replay A 0 "$(last_segment A)"
    signal_side TERM B
    end_of B
    segments_replay B 0 "$(last_segment B)"
    touch "$case/C.enc.1"
    check_exit 2 "replication: $case_name: a segment that exists is not replaced" "$ENCORE" primary --engine soft \
        --listen "$(address C)" --arbiter "$arbiter" --log "$case/C.enc" --log-segment 64K "$GUESTS/kv"
    kill_all
fi

if new_case segments-keep; then # --log-keep
    cp "$GUESTS/kv" "$case/kv"
    GUESTS=$case start_primary A --log "$case/A.enc" --log-segment 64K --log-keep 2
    start_client 100000 "$(address A)"
    for ((n = 0; n < 600; n++)); do
        [ -e "$case/A.enc.3" ] && [ ! -e "$case/A.enc.1" ] && break
        sleep 0.05
    done
    if [ -e "$case/A.enc.3" ] && [ ! -e "$case/A.enc" ] && [ ! -e "$case/A.enc.1" ] && [ -e "$case/A.enc.2" ]; then
        ok "replication: $case_name: the last two segments are kept"
    else
        not_ok "replication: $case_name: the last two segments are kept" "$(ls "$case"; cat "$case/A.err")"
    fi
    signal_side TERM A
    end_of A
    for ((last = 3; ; last++)); do [ -e "$case/A.enc.$((last + 1))" ] || break; done
    segments_replay A $((last - 1)) $last
    rm "$case/kv"
    check_exit 0 "replication: $case_name: a segment is packed without the guest's image" "$ENCORE" log pack \
        "$case/A.enc.$((last - 1))" -o "$case/A.bundle"
    kill_all
fi
if new_case space-comes-back && command -v prlimit >/dev/null; then
    limited 8 start_primary A --log "$case/A.enc" --log-segment 64K
    start_client $COUNT "$(address A)"
    expect_words A 'the log ends here (.*A.enc'
    expect_words A "the log's next segment cannot be begun: "
    prlimit --pid "$pid_A" --fsize=unlimited
    expect_words A 'there is a log again: .*A.enc.1 begins here'
    judge $COUNT
    if [ "$(field A log_ended)" = false ]; then
        ok "replication: $case_name: status says that there is a log"
    else
        not_ok "replication: $case_name: status says that there is a log" "$(cat "$case/A.err")"
    fi
    signal_side TERM A
    end_of A
    check "replication: $case_name: the new segment replays" "$ENCORE" replay --verify "$case/A.enc.1"
    kill_all
fi
if new_case space-comes-back-after-a-takeover && command -v prlimit >/dev/null; then
    start_primary A
    limited 200 start_backup B A --log "$case/B.enc" --log-segment 64K
    await_words B 'ready to take over'
    start_client $((3 * COUNT)) "$(address A)" "$(address B)"
    expect_words B 'the log ends here (.*B.enc'
    signal_side KILL A
    expect_words B 'won epoch 2: taking over'
    prlimit --pid "$pid_B" --fsize=unlimited
    expect_words B 'there is a log again: .*B.enc.1 begins here'
    judge $((3 * COUNT))
    signal_side TERM B
    end_of B
    check "replication: $case_name: the new segment replays" "$ENCORE" replay --verify "$case/B.enc.1"
    kill_all
fi
finish
