#!/bin/bash
# A primary and its backup as real processes, and what may befall them (tests/tools/replication.sh has the oracle).
# replication_kills.sh kills the primary at many points, replication_faults.sh has what befalls the link and the arbiter;
# here is everything else. CASES='...' runs only these.
# (tests/run: alone)
. tests/lib.sh
. tests/tools/replication.sh
COUNT=1000
[ "${SANITIZED:-0}" = 1 ] && COUNT=200

if new_case generations; then # three machines, two deaths
    start_pair
    start_client $((3 * COUNT)) "$(address A)" "$(address B)" "$(address C)"
    await_seen 50
    signal_side KILL A
    await_words B 'won epoch 2'
    start_backup C B
    await_words C 'ready to take over'
    signal_side KILL B
    judge $((3 * COUNT)) 3
    kill_all
fi

if new_case backup-dies; then # the client notices nothing, and a new one can join
    start_pair
    start_client $((2 * COUNT)) "$(address A)" "$(address C)"
    await_seen 20
    signal_side KILL B
    expect_words A 'won epoch 2: going on alone'
    start_backup C A
    await_words C 'ready to take over'
    signal_side KILL A
    judge $((2 * COUNT)) 3
    kill_all
fi

if new_case reset; then # the guest resets its machine again and again; so it does on the machine that takes over
    launch_side A "$ENCORE" primary --engine "$ENGINE" --listen "$(address A)" --arbiter "$arbiter" \
        --suspect-after $suspect "$GUESTS/reset"
    start_backup B A
    await_words A 'output waits' && await_words B 'ready to take over'
    for letter in $(yes c k o f a | head -n 40 | tr '\n' ' ') q; do
        printf 'wait "boot\\n"\nsend "%s"\n' "$letter"
    done >"$case/script"
    launch "$case/client.out" "$case/client.err" \
        "$ENCORE" console --all --input "$case/script" "$(address A),$(address B)"
    client=$job client_pid=$pid
    head -n 10 < <(exec timeout $PATIENCE tail -n +1 -f --pid="$client_pid" "$case/client.out") >/dev/null
    signal_side KILL A
    expect_words B 'won epoch 2'
    expect_end B 1 'the guest ended'
    boots=$(grep -c boot "$case/client.out")
    if [ "$boots" -eq 201 ]; then
        ok "replication: reset: the client has seen every start once"
    else
        not_ok "replication: reset: the client has seen every start once" "$boots of 201; $(cat "$case/client.err")"
    fi
    kill_all
fi

if new_case disk; then # what the guest wrote goes with it, and each side has its own
    guest=disk
    rounds=6000
    [ "${SANITIZED:-0}" = 1 ] && rounds=5000
    seq 200000 | head -c 1048576 >"$case/image"
    cp "$case/image" "$case/copy"
    options="fill irq multiple=16 region=1024 rounds=$rounds"
    expected=$("$ENCORE" run --engine "$ENGINE" --disk "$case/image,if=ide" --cmdline "$options" "$GUESTS/disk" </dev/null 2>&1 | grep checksum)
    start_primary A --disk "$case/image,if=ide" --cmdline "$options"
    await_state A alone # it has the disk open, and does not refuse for want of a machine
    start_backup B A --disk "0=$case/copy" --log "$case/b.enc"
    expect_words B 'ready to take over'
    signal_side KILL A
    expect_words B 'won epoch 2'
    launch "$case/client.out" "$case/client.err" "$ENCORE" console --all --linger 1h "$(address B)"
    client=$job client_pid=$pid
    end_of B
    found=$(tr -d '\r' <"$case/client.out" | grep checksum)
    if [ $code -eq 1 ] && [ -n "$expected" ] && [ "$found" = "$expected" ] && cmp "$case/image" "$case/copy"; then
        ok "replication: disk: the guest finds what it wrote on the other side"
    else
        not_ok "replication: disk: the guest finds what it wrote on the other side" "exit code $code; it said: $found
expected: $expected
$(cat "$case"/*.err)"
    fi
    check "replication: disk: what was kept replays" sh -c "'$ENCORE' replay --verify '$case/b.enc' | grep -q ' identical$'"
    kill_all
fi

if new_case beside; then # the disk's image lies beside the backup's log, and not where the primary has it
    guest=disk
    mkdir "$case/kept"
    seq 200000 | head -c 1048576 >"$case/image"
    start_primary A --disk "$case/image,if=ide" --cmdline "fill irq multiple=16 region=1024 rounds=6000"
    await_state A alone
    mv "$case/image" "$case/kept"
    start_backup B A --log "$case/kept/b.enc"
    expect_words B 'ready to take over'
    signal_side KILL A
    expect_words B 'won epoch 2' && ok "replication: a disk that lies beside the backup's log is found" ||
        not_ok "replication: a disk that lies beside the backup's log is found" "$(cat "$case"/*.err)"
    kill_all
fi

if new_case both-die; then # nothing goes on, nothing is made up, and a new machine needs the user's word
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    signal_side KILL A
    signal_side KILL B
    end_of A
    end_of B
    sleep 0.5
    tr -d '\r' <"$case/client.out" | sed -n 's/^VALUE //p' >"$case/got"
    seq "$(seen)" >"$case/wanted"
    if [ "$(seen)" -lt $COUNT ] && cmp -s "$case/got" "$case/wanted" && kill -0 "$client_pid"; then
        ok "replication: both-die: the client has what was let out, in order, and waits"
    else
        not_ok "replication: both-die: the client has what was let out, in order, and waits" "$(tail -n 3 "$case/got")"
    fi
    start_primary C
    expect_end C 7 'next-epoch'
    kill_all
fi

if new_case primary-stalls; then # it must give way when it wakes up, and write nothing more
    start_pair --log "$case/a.enc"
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    signal_side STOP A
    sleep 0.05
    stalled=$(seen)
    expect_words B 'won epoch 2'
    judge $COUNT 2
    # A client who knows the stalled one's address only may be given what was let out before (that may be a line more than
    # the first client had shown by then), and no more; and what he types is never carried out, nor confirmed to him. The
    # simulation is stricter (its check `awakening`): it knows what was let out.
    printf 'SET late 1\n' | timeout 1 "$ENCORE" console --all "$(address A)" >"$case/late.out" 2>"$case/late.err" &
    late=$!
    sleep 0.1
    signal_side CONT A
    expect_end A 7 'lost epoch 2'
    wait $late
    late_code=$?
    if [ $late_code -eq 124 ] && cmp -n "$(stat -c %s "$case/late.out")" "$case/late.out" "$case/client.out" &&
        ! grep -q "^OK\|VALUE $((stalled + 2))" "$case/late.out"; then
        ok "replication: primary-stalls: it carries out nothing after it lost"
    else
        not_ok "replication: primary-stalls: it carries out nothing after it lost" "$late_code: $(tail -n 3 "$case/late.out")"
    fi
    kill_all
fi

if new_case backup-stalls; then
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    signal_side STOP B
    expect_words A 'won epoch 2'
    signal_side CONT B
    expect_end B 7 'lost epoch 2'
    judge $COUNT
    kill_all
fi

if new_case short-stall; then # too short for anybody to give the other up
    suspect=10s
    start_pair
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    signal_side STOP A
    sleep 0.2
    signal_side CONT A
    signal_side STOP B
    sleep 0.2
    signal_side CONT B
    judge $COUNT
    if says A epoch || says B epoch.2; then
        not_ok "replication: short-stall: nobody asks for an epoch" "$(cat "$case"/?.err)"
    else
        ok "replication: short-stall: nobody asks for an epoch"
    fi
    kill_all
fi

if new_case handover; then
    start_pair
    start_client 2000 "$(address A)" "$(address B)"
    await_seen 20
    check "replication: handover: the command says so" "$ENCORE" handover "$(address A)"
    expect_end A 0 'handed over'
    judge 2000 2
    kill_all
fi

if new_case sigterm; then # is a handover when there is somebody to hand over to
    start_pair
    start_client 2000 "$(address A)" "$(address B)"
    await_seen 20
    signal_side TERM A
    expect_end A 0 'handed over'
    judge 2000 2
    kill_all
fi

if new_case both-told-to-end; then # there was somebody, but he goes as well
    start_pair
    signal_side TERM B
    signal_side TERM A
    expect_end B 130
    expect_end A 130
    kill_all
fi

if new_case nobody-to-hand-over-to; then
    start_primary A --log "$case/a.enc"
    await_state A alone
    check_exit 2 "replication: handover without a backup is refused" "$ENCORE" handover "$(address A)"
    signal_side TERM A
    expect_end A 130 'the guest ended'
    check "replication: its log is whole and replays" "$ENCORE" replay --verify "$case/a.enc"
    kill_all
fi

# An operator's orders to a replicated machine are inputs like any other: the backup replays them, and after a takeover
# they are given to the survivor, at the address that clients have for it.
orders() { # FILE: the operator's records, without their places; command 1 tells who has the console
    "$ENCORE" log dump "$1" 2>/dev/null | sed -n 's/.*: \(OPERATOR .*\)/\1/p' | grep -v 'command 1 '
}
if new_case operator; then
    start_primary A --log "$case/a.enc"
    start_backup B A --log "$case/b.enc"
    await_words B 'ready to take over'
    check "replication: a replicated machine takes an operator's order" "$ENCORE" ctl "$(address A)" keys 1e9e
    check "replication: and another" "$ENCORE" ctl "$(address A)" power-button
    check_exit 2 "replication: an order that is none is refused" "$ENCORE" ctl "$(address A)" keys zz
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 100
    signal_side KILL A
    judge $COUNT 2
    check "replication: the survivor takes an operator's order" "$ENCORE" ctl "$(address B)" keys 39b9
    printf 'QUIT\n' | timeout $PATIENCE "$ENCORE" console "$(address B)" >"$case/quit" 2>&1
    expect_end B 1 'the guest ended'
    check "replication: operator: the log of both lives replays" "$ENCORE" replay --verify "$case/b.enc"
    orders "$case/a.enc" >"$case/a.orders"
    orders "$case/b.enc" >"$case/b.orders"
    if [ "$(wc -l <"$case/a.orders")" -eq 2 ] && [ "$(wc -l <"$case/b.orders")" -eq 3 ] &&
        head -n 2 "$case/b.orders" | cmp -s - "$case/a.orders"; then
        ok "replication: the operator's orders are in both logs"
    else
        not_ok "replication: the operator's orders are in both logs" "$(cat "$case/a.orders" "$case/b.orders")"
    fi
    kill_all
fi

# A guest that computes, and waits for no time and no input, gives a backup no reason to be told anything; and yet the
# backup must be where the primary is, or it would have to catch up first when the primary dies. Once a second would be
# without a backup (replay/recorder_inputs.c).
if new_case computing; then
    guest=sieve
    start_pair --log "$case/a.enc" --cmdline 'n=2000000 rounds=40'
    expect_end A 1 'the guest ended'
    "$ENCORE" log dump "$case/a.enc" >"$case/dump" 2>&1
    times=$(grep -c ': TIME ' "$case/dump")
    seconds=$("$ENCORE" log info "$case/a.enc" | sed -n 's/^guest time *\([0-9]*\).*/\1/p')
    if [ "$times" -ge $((4 * (seconds + 1))) ]; then
        ok "replication: a guest that computes is followed closely"
    else
        not_ok "replication: a guest that computes is followed closely" "$times places in $seconds s"
    fi
    kill_all
fi

# A guest that is stopped in the middle of printing: what it printed last leaves too, though it was to gather.
if new_case stopped; then
    guest=sieve
    start_pair --log "$case/a.enc" --timeout 4s --cmdline 'n=3000 rounds=1000000 dots'
    launch "$case/client.out" "$case/client.err" "$ENCORE" console --all "$(address A)"
    client=$job
    end_of A
    wait $client
    "$ENCORE" replay --partial "$case/a.enc" >"$case/replayed" 2>"$case/replay.err"
    if [ $code -eq 124 ] && [ -s "$case/replayed" ] && cmp "$case/client.out" "$case/replayed"; then
        ok "replication: stopped: the client has all that was printed"
    else
        not_ok "replication: stopped: the client has all that was printed" "exit code $code; $(wc -c "$case/client.out" "$case/replayed")
$(cat "$case"/*.err)"
    fi
    kill_all
fi

# Both logs replay, before and after a takeover; with --durable too. A replay checks every digest in its log; where both
# logs hold the same moment they must hold the same digest.
digests() { # FILE: lines "EXIT DIGEST"
    "$ENCORE" log dump "$1" 2>/dev/null |
        sed -n 's/.*exit \([0-9]*\): \(DIGEST\|CHECKPOINT\) .* machine \([0-9a-f]*\)$/\1 \3/p' | sort -u
}
for durable in '' --durable; do
    new_case "logs$durable" || continue
    # shellcheck disable=SC2086
    start_primary A --log "$case/a.enc" $durable
    # shellcheck disable=SC2086
    start_backup B A --log "$case/b.enc" $durable
    await_words B 'ready to take over'
    sleep 1.2 # there is a digest each second
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 100
    signal_side KILL A
    judge $COUNT 2
    printf 'QUIT\n' | timeout $PATIENCE "$ENCORE" console "$(address B)" >"$case/quit" 2>&1
    expect_end B 1 'the guest ended'
    check_exit 4 "replication: $case_name: the dead primary's log replays as far as it goes" \
        "$ENCORE" replay --verify "$case/a.enc"
    output=$("$ENCORE" replay --verify "$case/b.enc" 2>&1)
    case $output in
    *identical) ok "replication: $case_name: the backup's log goes on after the takeover and replays" ;;
    *) not_ok "replication: $case_name: the backup's log goes on after the takeover and replays" "$output" ;;
    esac
    check "replication: $case_name: it is whole" "$ENCORE" log verify "$case/b.enc"
    digests "$case/a.enc" >"$case/a.digests"
    digests "$case/b.enc" >"$case/b.digests"
    join "$case/a.digests" "$case/b.digests" >"$case/both"
    if [ "$(wc -l <"$case/both")" -ge 2 ] && awk '$2 != $3 { exit 1 }' "$case/both"; then
        ok "replication: $case_name: both logs hold the same digests"
    else
        not_ok "replication: $case_name: both logs hold the same digests" "$(cat "$case/both")"
    fi
    kill_all
done

if new_case the-guest-ends; then # both sides end with its exit code, and the client too
    start_pair
    printf 'SET a b\nQUIT\n' | timeout $PATIENCE "$ENCORE" console --all "$(address A),$(address B)" >"$case/client.out" 2>&1
    code=$?
    if [ $code -eq 1 ] && grep -q BYE "$case/client.out"; then
        ok "replication: the client gets the guest's last output and exit code"
    else
        not_ok "replication: the client gets the guest's last output and exit code" "$code: $(cat "$case/client.out")"
    fi
    expect_end A 1 'the guest ended'
    expect_end B 1 'the guest ended'
fi

if new_case used-arbiter; then # is refused, unless the user says that the others are dead
    start_primary A
    await_state A alone
    signal_side KILL A
    end_of A
    start_primary B
    expect_end B 7 'next-epoch'
    start_primary C --next-epoch
    if await_state C alone && [ "$(field C epoch)" = 2 ]; then
        ok "replication: --next-epoch begins after it"
    else
        not_ok "replication: --next-epoch begins after it" "$(cat "$case/C.err")"
    fi
    kill_all
fi

if new_case two-arbiters; then # the backup finds out before it takes part
    start_primary A
    await_state A alone
    arbiter=file:$case/another
    start_backup B A
    expect_end B 7 'both sides must use the same'
    kill_all
fi

if new_case key; then # over TCP, encrypted; and those who have another key, or none, get nowhere
    "$ENCORE" keygen "$case/key" && "$ENCORE" keygen "$case/other"
    key="--key $case/key"
    port=$((20000 + $$ % 20000))
    address() { echo tcp://127.0.0.1:$((port + 10 * ($(printf %d "'$1") - 65))); }
    start_pair
    check_exit 2 "replication: a wrong key is refused" "$ENCORE" status --key "$case/other" "$(address A)"
    check_exit 2 "replication: no key against a key is refused" "$ENCORE" status "$(address A)"
    start_backup C A --key "$case/other"
    # Strangers cost no memory: wrong keys, and noise.
    memory() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid_A/status"; }
    before=$(memory)
    for _ in $(seq 20); do
        "$ENCORE" status --key "$case/other" "$(address A)" >/dev/null 2>&1
        head -c 300000 /dev/urandom | timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$port" 2>/dev/null
    done
    after=$(memory)
    if [ $((after - before)) -lt 2000 ] || [ "${SANITIZED:-0}" = 1 ]; then
        ok "replication: strangers cost no memory"
    else
        not_ok "replication: strangers cost no memory" "$before KB before, $after KB after"
    fi
    start_client $COUNT "$(address A)" "$(address B)"
    await_seen 20
    signal_side KILL A
    judge $COUNT 2
    kill_all
    address() { echo "ipc://$case/$1.sock"; }
fi

bad() { # TEXT NAME OPTION...
    text=$1 name=$2
    shift 2
    output=$(timeout 10 "$ENCORE" "$@" 2>&1)
    code=$?
    case "$code $output" in
    "2 "*"$text"*) ok "replication: bad input: $name" ;;
    *) not_ok "replication: bad input: $name" "exit code $code: $output" ;;
    esac
}
if new_case bad-input; then
    kv=$GUESTS/kv
    bad 'is not an address' 'an address of no kind' primary --listen here --arbiter "$arbiter" "$kv"
    bad 'a port from 1 to' 'a port that does not exist' primary --listen tcp://127.0.0.1:70000 --arbiter "$arbiter" "$kv"
    bad 'only loopback' 'an open address without a key' primary --listen 'tcp://*:4000' --arbiter "$arbiter" "$kv"
    bad 'not an arbiter' 'an arbiter of no kind' primary --listen "$(address A)" --arbiter paper "$kv"
    bad 'etcd:http' 'an etcd without a key' primary --listen "$(address A)" --arbiter etcd:http://127.0.0.1:1 "$kv"
    bad 'arbiter is needed' 'no arbiter' primary --listen "$(address A)" "$kv"
    bad 'listen is needed' 'no address' primary --arbiter "$arbiter" "$kv"
    bad 'connect is needed' 'no primary' backup --arbiter "$arbiter"
    bad 'at its address' 'a console of its own' primary --console pty --listen "$(address A)" --arbiter "$arbiter" "$kv"
    bad 'cannot open the key' 'a key that is not there' backup --connect "$(address A)" --arbiter "$arbiter" --key "$case/no"
    echo 00 >"$case/short" && chmod 600 "$case/short"
    bad 'is not a key' 'a key that is none' backup --connect "$(address A)" --arbiter "$arbiter" --key "$case/short"
    chmod 644 "$case/short"
    bad 'only its owner' 'a key that others may read' backup --connect "$(address A)" --arbiter "$arbiter" --key "$case/short"
    mkdir -m 755 "$case/public"
    bad 'cannot be direct' 'a disk that is written in place' primary --disk "$kv,direct" --listen "$(address A)" --arbiter "$arbiter" "$kv"
    bad 'chmod 700' 'a directory that is not private' primary --listen "ipc://$case/public/s" --arbiter "$arbiter" "$kv"
    echo mine >"$case/mine"
    bad 'exists already' 'a log that exists' primary --listen "$(address A)" --arbiter "$arbiter" --log "$case/mine" "$kv"
    if [ "$(cat "$case/mine")" = mine ] && [ -z "$(find "$case" -name '*.enc*')" ]; then
        ok "replication: bad input leaves nothing behind"
    else
        not_ok "replication: bad input leaves nothing behind" "$(ls "$case")"
    fi
    "$ENCORE" keygen "$case/key"
    check_exit 2 "replication: a key is never overwritten" "$ENCORE" keygen "$case/key"
fi
finish
