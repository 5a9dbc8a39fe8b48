#!/bin/bash
# What befalls the link, the arbiter and the backup's memory, with real processes (tests/tools/replication.sh has the
# oracle): a link that is slow, loses, repeats, alters, stalls, breaks (tests/tools/link_proxy.c); an arbiter that is
# away; a real etcd that dies and comes back; a machine that differs. CASES='...' runs only these.
# (tests/run: alone)
. tests/lib.sh
. tests/tools/replication.sh
POKE=$BUILD/tests/tools/poke
COUNT=1000
# With sanitizers there is not time for all.
[ "${SANITIZED:-0}" = 1 ] && COUNT=200 CASES=${CASES-slow-link drop-keyed alter-keyed long-cut etcd-away divergence}

# The client's link to A goes through a proxy of its own when it is asked for here.
via_proxy=tcp://127.0.0.1:$((port + 6))

# Of two sides that lost each other exactly one goes on.
one_goes_on() {
    for _ in $(seq 500); do
        says A 'going on alone' && says B 'lost epoch 2' && break
        says B 'taking over' && says A 'lost epoch 2' && break
        sleep 0.02
    done
    case $(cat "$case"/[AB].err | grep -c 'won epoch 2') in
    1) ok "replication: $case_name: one goes on" ;;
    *) not_ok "replication: $case_name: one goes on" "$(cat "$case"/[AB].err)" ;;
    esac
}
nobody_gave_up() {
    if grep -q 'won epoch\|lost epoch' "$case"/[AB].err; then
        not_ok "replication: $case_name: nobody gives up" "$(cat "$case"/[AB].err)"
    else
        ok "replication: $case_name: nobody gives up"
    fi
}
if new_case slow-link; then # a round trip that is longer than a handshake may take at first
    over_tcp
    suspect=1s
    start_pair_by_link 'delay 40'
    start_client 30 "$(address A)" "$(address B)"
    await_seen 10
    signal_side KILL A
    judge 30 2
    end_link
fi

# A link that loses, repeats or alters some of the messages: the session notices, and the stream goes on where it was.
for fault in 'drop 23' 'twice 23' 'alter 23'; do
    for secret in open keyed; do
        new_case "${fault% *}-$secret" || continue
        # Without a key nobody looks for alterations: the pipe is trusted not to.
        [ "$case_name" = alter-open ] && continue
        over_tcp
        suspect=2s
        [ $secret = keyed ] && "$ENCORE" keygen "$case/key" && key="--key $case/key"
        start_pair_by_link good
        start_client $COUNT "$(address A)" "$(address B)"
        await_seen 10
        order "$fault"
        sleep 1
        order good
        nobody_gave_up
        if grep -q 'lost, repeated or altered' "$case"/[AB].err; then
            ok "replication: $case_name: it is noticed"
        else
            not_ok "replication: $case_name: it is noticed" "$(cat "$case"/[AB].err)"
        fi
        sleep 0.3
        signal_side KILL A
        expect_words B 'won epoch 2: taking over'
        judge $COUNT
        end_link
    done
done

if new_case join-over-bad-link; then
    over_tcp
    suspect=2s
    start_pair_by_link 'drop 9'
    order good
    expect_words B 'ready to take over'
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    signal_side KILL A
    expect_words B "taking over"
    judge $COUNT
    end_link
fi

if new_case short-cut; then # shorter than anybody's patience, also with a link that closed
    over_tcp
    suspect=4s
    start_pair_by_link good
    start_client $COUNT "$(address A)" "$(address B)"
    for fault in stall cut deaf; do
        await_seen 20
        order $fault
        sleep 0.2
        order good
        sleep 0.1
    done
    judge $COUNT
    nobody_gave_up
    end_link
fi

for fault in cut stall deaf; do
    new_case "long-$fault" || continue
    over_tcp
    start_pair_by_link good
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    order $fault
    one_goes_on
    order good # the loser must not come back
    judge $COUNT
    end_link
done

if new_case client-link; then # what is between the client and the machines
    over_tcp
    start_pair
    open_proxy 5 $((port + 6)) $port
    start_client $COUNT "$via_proxy" "$(address B)"
    for fault in 'drop 13' cut 'twice 13' stall; do
        await_seen 20
        order "$fault"
        sleep 0.3
        order good
        sleep 0.1
    done
    signal_side KILL A
    judge $COUNT
    end_link
fi

if new_case arbiter-away; then # output is held until it is back
    mkdir "$case/shared"
    arbiter=file:$case/shared/arbiter
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    mv "$case/shared" "$case/away"
    signal_side KILL B
    expect_words A 'the arbiter cannot be reached'
    output_held
    mv "$case/away" "$case/shared"
    expect_words A 'going on alone'
    judge $COUNT
    kill_all
fi

if new_case arbiter-away-link-heals; then # then nothing has happened
    over_tcp
    mkdir "$case/shared"
    arbiter=file:$case/shared/arbiter
    start_pair_by_link good
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    mv "$case/shared" "$case/away"
    order cut
    expect_words A 'the arbiter cannot be reached'
    order good
    expect_words A 'the backup is heard again'
    mv "$case/away" "$case/shared"
    judge $COUNT
    nobody_gave_up
    end_link
fi

if etcd_case etcd; then # it dies and comes back before it is needed
    start_etcd
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    kill_etcd
    start_etcd
    signal_side KILL A
    expect_words B 'won epoch 2: taking over'
    judge $COUNT
    start_primary C
    expect_end C 7 'next-epoch'
    kill_all
    kill_etcd
fi

if etcd_case etcd-away; then # it is dead when it is needed
    start_etcd
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    kill_etcd
    signal_side KILL A
    expect_words B 'the arbiter cannot be reached'
    output_held
    start_etcd
    expect_words B 'won epoch 2: taking over'
    judge $COUNT 2
    kill_all
    kill_etcd
fi

await_count() { # SIDE TEXT COUNT
    for _ in $(seq 1000); do
        [ "$(grep -c "$2" "$case/$1.err")" -ge "$3" ] && return
        sleep 0.02
    done
    return 1
}

# One byte of the backup's memory is changed: beyond the end of a value, where the guest itself never looks, in a page
# that it writes. The digest in the log tells.
if new_case divergence; then
    start_primary A --log "$case/a.enc"
    start_backup B A --log "$case/b.enc"
    await_words B 'ready to take over'
    printf 'SET counter Evidence-of-something-else\nDEL counter\n' |
        timeout 20 "$ENCORE" console --linger 50ms "$(address A)" >"$case/prepared" 2>&1
    start_client $((3 * COUNT)) "$(address A)" "$(address B)"
    await_seen 5
    timeout 20 "$POKE" "$pid_B" of-something-else of-something-elsf >"$case/poke" 2>&1
    poked=$?
    if [ $poked -eq 3 ]; then
        skip "replication: divergence" "another process's memory cannot be written here"
    else
        [ $poked -eq 0 ] || not_ok "replication: divergence: memory is changed" "$(cat "$case/poke")"
        expect_words A "backup's machine differs"
        await_count B 'ready to take over' 2 || not_ok "replication: divergence: it begins afresh" "$(cat "$case/B.err")"
        report=$(find "$case" -name 'b.enc.divergence-*.txt')
        aside=${report%.txt}
        if grep -q 'digest' "$report" && grep -q expected "$report" && grep -q 'digest' "$case/B.err"; then
            ok "replication: divergence: the report has both digests, and is on disk"
        else
            not_ok "replication: divergence: the report has both digests, and is on disk" "$(cat "$case/B.err" "$report")"
        fi
        check "replication: divergence: the log around it is kept" "$ENCORE" replay --partial "$aside"
        signal_side KILL A
        expect_words B 'won epoch 2: taking over'
        judge $((3 * COUNT))
    fi
    kill_all
fi
finish
