#!/bin/bash
# An arbiter that loses its memory: its directory is emptied, or its etcd comes back without data. Nobody goes on until
# an operator has written the latest record again; then exactly one does. CASES='...' runs only these.
. tests/lib.sh
. tests/tools/replication.sh
COUNT=1000
[ "${SANITIZED:-0}" = 1 ] && COUNT=200

# Resets the arbiter to what SIDE, which holds, says of itself.
reset_by() { # SIDE
    order=$(sed -n 's/.*`encore arbiter reset ARBITER \([^`]*\)`.*/\1/p' "$case/$1.err" | tail -1)
    # shellcheck disable=SC2086
    check "replication: $case_name: the operator resets it ($order)" "$ENCORE" arbiter reset "$arbiter" $order
}
nobody_won() {
    if grep -q 'won epoch' "$case"/[AB].err; then
        not_ok "replication: $case_name: nobody goes on meanwhile" "$(cat "$case"/[AB].err)"
    else
        ok "replication: $case_name: nobody goes on meanwhile"
    fi
}

forget() { rm -f "$case"/arbiter.*; }
if new_case emptied; then # the primary dies after that
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    forget
    signal_side KILL A
    expect_words B 'the arbiter has lost its memory.*no output leaves'
    output_held
    [ "$(field B arbiter)" = forgetful ] && ok "replication: emptied: its status says so" ||
        not_ok "replication: emptied: its status says so" "$("$ENCORE" status "$(address B)")"
    nobody_won
    reset_by B
    expect_words B 'won epoch 2: taking over'
    check_exit 2 "replication: emptied: an epoch that is not the latest is refused" \
        "$ENCORE" arbiter reset "$arbiter" --epoch 1 --owner 00000000000000ab
    judge $COUNT 2
    "$ENCORE" arbiter show "$arbiter" >"$case/shown"
    if grep -q 'epoch 2.*latest' "$case/shown"; then
        ok "replication: emptied: arbiter show"
    else
        not_ok "replication: emptied: arbiter show" "$(cat "$case/shown")"
    fi
    kill_all
    check "replication: emptied: arbiter forget" "$ENCORE" arbiter forget "$arbiter" \
        --epoch "$(sed -n 's/epoch \([0-9]*\) .*latest.*/\1/p' "$case/shown")"
fi

if new_case emptied-and-cut; then # both live, and have lost each other
    over_tcp
    start_pair_by_link good
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    forget
    order cut
    expect_words A 'the arbiter has lost its memory.*no output leaves'
    expect_words B 'the arbiter has lost its memory.*no output leaves'
    output_held
    nobody_won
    reset_by A
    for _ in $(seq 500); do
        grep -q 'won epoch 2' "$case"/[AB].err && grep -q 'lost epoch 2' "$case"/[AB].err && break
        sleep 0.02
    done
    if [ "$(cat "$case"/[AB].err | grep -c 'won epoch 2')" = 1 ] && grep -q 'lost epoch 2' "$case"/[AB].err; then
        ok "replication: $case_name: one goes on, the other stops"
    else
        not_ok "replication: $case_name: one goes on, the other stops" "$(cat "$case"/[AB].err)"
    fi
    order good
    judge $COUNT
    end_link
fi

if new_case emptied-while-stopped; then # the primary wakes up, and must not take nothing for an answer
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    signal_side STOP A
    expect_words B 'won epoch 2: taking over'
    forget
    signal_side CONT A
    expect_words A 'the arbiter has lost its memory.*no output leaves'
    if says A 'won epoch'; then
        not_ok "replication: $case_name: the primary does not go on" "$(cat "$case/A.err")"
    else
        ok "replication: $case_name: the primary does not go on"
    fi
    judge $COUNT 2
    reset_by_owner=$(field B node)
    check "replication: $case_name: the operator knows that B won epoch 2" \
        "$ENCORE" arbiter reset "$arbiter" --epoch 2 --owner "$reset_by_owner"
    expect_end A 7 'lost epoch 2'
    kill_all
fi

if etcd_case etcd-without-data; then
    start_etcd
    start_pair
    kill_etcd
    rm -rf "$case/etcd"
    start_etcd
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    signal_side KILL A
    expect_words B 'the arbiter has lost its memory.*no output leaves'
    output_held
    nobody_won
    reset_by B
    expect_words B 'won epoch 2: taking over'
    judge $COUNT 2
    kill_all
    # One arbiter's key may begin with another's.
    check "replication: etcd-without-data: an arbiter below another" \
        "$ENCORE" arbiter reset "$arbiter/below" --epoch 7 --owner 00000000000000a1
    check "replication: etcd-without-data: arbiter forget" "$ENCORE" arbiter forget "$arbiter" --epoch 2
    check_exit 2 "replication: etcd-without-data: ... forgets nothing of the other" \
        "$ENCORE" arbiter reset "$arbiter/below" --epoch 7 --owner 00000000000000a1
    kill_etcd
fi
finish
