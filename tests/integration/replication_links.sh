#!/bin/bash
# Who may come to a machine's address, and who keeps whom out (docs/replication.md, "Who occupies a place", "Keys"):
# strangers, hosts that vanish, several consoles, each role's key. CASES='...' runs only these.
. tests/lib.sh
. tests/tools/replication.sh
COUNT=6000 # the first console is busy while the others come
[ "${SANITIZED:-0}" = 1 ] && COUNT=500

# stranger BYTES: connects to A, says that, and stays. Its descriptor is kept open here.
strangers=()
stranger() {
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$port" || return
    [ -z "$1" ] || printf "$1" >&"$fd"
    strangers+=("$fd")
}
end_strangers() {
    for fd in "${strangers[@]}"; do exec {fd}>&-; done
    strangers=()
}
# A new backup and a new console come in, whatever is in the way.
others_come_in() { # BACKUP
    start_backup "$1" A
    expect_words "$1" 'ready to take over'
    # shellcheck disable=SC2086
    answer=$(printf 'SET a b\nGET a\n' | timeout 20 "$ENCORE" console $key --linger 50ms "$(address A)" 2>&1)
    case $answer in
    *VALUE*b*) ok "replication: $case_name: a new console comes in" ;;
    *) not_ok "replication: $case_name: a new console comes in" "$answer
$(cat "$case/A.err")" ;;
    esac
}

for secret in open keyed; do
    new_case "strangers-$secret" || continue
    over_tcp
    [ $secret = keyed ] && "$ENCORE" keygen "$case/key" && key="--key $case/key"
    start_primary A
    await_state A alone
    for _ in $(seq 200); do stranger ''; done
    stranger '\x54\0\0\0\x02\x01'     # half a handshake
    stranger 'GET / HTTP/1.1\r\n\r\n' # another protocol
    others_come_in B
    descriptors=$(find "/proc/$pid_A/fd" 2>/dev/null | wc -l)
    if [ "$descriptors" -lt 60 ]; then
        ok "replication: $case_name: they occupy a few descriptors"
    else
        not_ok "replication: $case_name: they occupy a few descriptors" "$descriptors"
    fi
    lines=$(wc -l <"$case/A.err")
    if [ "$lines" -lt 12 ] && grep -q '^20[0-9-]*T[0-9:.]*Z encore primary: 127.0.0.1:[0-9]*: ' "$case/A.err"; then
        ok "replication: $case_name: a flood is a line, which has the time and the address"
    else
        not_ok "replication: $case_name: a flood is a line, which has the time and the address" "$lines lines
$(head -20 "$case/A.err")"
    fi
    end_strangers
    kill_all
    over_ipc
done

if new_case vanished; then # hosts that go without a word: their connections stay, and nothing moves on them
    over_tcp
    start_pair_by_link good
    printf 'wait "never"\n' >"$case/waits"
    launch "$case/gone.out" "$case/gone.err" "$ENCORE" console --input "$case/waits" "tcp://127.0.0.1:$((port + 5))"
    gone=$job
    for _ in $(seq 200); do
        [ "$(field A consoles)" = 1 ] && break
        sleep 0.02
    done
    order vanish
    kill -KILL "$pid"
    wait "$gone" 2>/dev/null
    signal_side KILL B
    expect_words A 'going on alone'
    others_come_in C
    expect_words A 'nothing was heard for 3 s'
    if grep -q 'node [0-9a-f]\{16\} at 127.0.0.1:[0-9]*: nothing was heard' "$case/A.err"; then
        ok "replication: vanished: the peer is named"
    else
        not_ok "replication: vanished: the peer is named" "$(cat "$case/A.err")"
    fi
    end_link
fi

if new_case consoles; then # one writes, the others watch
    start_primary A
    await_state A alone
    start_client $COUNT "$(address A)"
    await_seen 1
    first=$client first_pid=$pid
    launch "$case/watcher.out" "$case/watcher.err" "$ENCORE" console --all --watch "$(address A)"
    watcher=$job
    printf 'line SECOND\nwait "ERR"\n' >"$case/second"
    launch "$case/second.out" "$case/second.err" "$ENCORE" console --input "$case/second" "$(address A)"
    second=$job
    client=$first client_pid=$first_pid
    judge $COUNT
    wait "$second"
    second_code=$?
    if [ $second_code -eq 0 ] && grep -q 'another console writes; you watch' "$case/second.err" &&
        grep -q 'you write now' "$case/second.err"; then
        ok "replication: consoles: the second watches, and writes when the first has left"
    else
        not_ok "replication: consoles: the second watches, and writes when the first has left" \
            "$second_code: $(cat "$case/second.err" "$case/second.out")"
    fi
    printf 'QUIT\n' | timeout 20 "$ENCORE" console --take "$(address A)" >/dev/null 2>&1
    wait "$watcher"
    if cmp -n "$(stat -c %s "$case/client.out")" "$case/client.out" "$case/watcher.out" >"$case/differ" 2>&1 &&
        grep -q BYE "$case/watcher.out"; then
        ok "replication: consoles: who watches sees the same, and the end"
    else
        not_ok "replication: consoles: who watches sees the same, and the end" "$(cat "$case/differ" "$case/watcher.err")"
    fi
    kill_all
fi

if new_case seats; then # as many consoles as there are places
    start_primary A
    await_state A alone
    watchers=()
    for _ in $(seq 16); do
        launch /dev/null "$case/watchers.err" "$ENCORE" console --watch --linger 20s "$(address A)" </dev/null
        watchers+=("$pid")
    done
    consoles=
    for _ in $(seq 300); do
        consoles=$(field A consoles)
        [ "$consoles" = 16 ] && break
        sleep 0.02
    done
    if [ "$consoles" = 16 ]; then
        ok "replication: seats: sixteen consoles have a place each"
    else
        not_ok "replication: seats: sixteen consoles have a place each" "$consoles: $(cat "$case/A.err" "$case/watchers.err")"
    fi
    kill -KILL "${watchers[@]}"
    kill_all
fi

# A console that has stopped, with megabytes to read: the guest goes on.
if new_case stopped-console; then
    start_primary A
    await_state A alone
    value=$(head -c 200 /dev/zero | tr '\0' v)
    {
        echo "line SET big $value"
        echo 'wait "OK"'
        echo 'repeat 20000'
        echo 'line GET big'
        echo end
        echo 'wait "never"'
    } >"$case/flood"
    launch "$case/flood.out" "$case/flood.err" "$ENCORE" console --input "$case/flood" "$(address A)"
    flood=$job flood_pid=$pid
    for _ in $(seq 500); do
        [ "$(stat -c %s "$case/flood.out")" -gt 100000 ] && break
        sleep 0.01
    done
    kill -STOP "$flood_pid"
    others=$(printf 'SET other 1\nGET other\n' | timeout 20 "$ENCORE" console --linger 50ms --take "$(address A)" 2>&1)
    case $others in
    *"VALUE 1"*) ok "replication: stopped-console: the guest goes on, and another console takes over" ;;
    *) not_ok "replication: stopped-console: the guest goes on, and another console takes over" "$(tail -c 300 <<<"$others")
$(cat "$case/A.err")" ;;
    esac
    kill -KILL "$flood_pid"
    wait "$flood" 2>/dev/null
    kill_all
fi

# Each role's key for each purpose.
if new_case roles; then
    over_tcp
    "$ENCORE" keygen "$case/master" && key="--key $case/master"
    for role in console operator backup; do
        check "replication: roles: a key for $role" "$ENCORE" keygen --from "$case/master" --role $role "$case/$role"
    done
    check_exit 2 "replication: roles: no role from a role's key" \
        "$ENCORE" keygen --from "$case/console" --role operator "$case/no"
    check_exit 2 "replication: roles: no unknown role" "$ENCORE" keygen --from "$case/master" --role king "$case/no"
    [ ! -e "$case/no" ] || not_ok "replication: roles: nothing is left behind" "$(ls "$case")"
    start_primary A
    await_state A alone
    for role in console operator backup master; do
        printf 'GET nothing\n' | timeout 20 "$ENCORE" console --key "$case/$role" --linger 50ms "$(address A)" >"$case/out" 2>&1
        as_console=$?
        timeout 20 "$ENCORE" status --key "$case/$role" "$(address A)" >>"$case/out" 2>&1
        as_operator=$?
        timeout 20 "$ENCORE" primary --key "$case/$role" --listen "$(address D)" --arbiter "file:$case/d" \
            --exits 1 "$GUESTS/kv" >>"$case/out" 2>&1 </dev/null
        as_machine=$?
        timeout --foreground -s INT 1 "$ENCORE" backup --key "$case/$role" --connect "$(address A)" --arbiter "$arbiter" \
            >>"$case/out" 2>&1
        as_backup=$?
        case "$role console $as_console operator $as_operator backup $as_backup" in
        'console console 0 operator 2 backup 2' | 'operator console 2 operator 0 backup 2' | \
            'backup console 2 operator 2 backup '[!2]* | 'master console 0 operator 0 backup '[!2]*)
            ok "replication: roles: the key for $role is good for that" ;;
        *) not_ok "replication: roles: the key for $role is good for that" \
            "console $as_console operator $as_operator backup $as_backup: $(cat "$case/out")" ;;
        esac
        [ $role = master ] || [ $as_machine -eq 2 ] ||
            not_ok "replication: roles: the key for $role does not make a machine" "$as_machine: $(cat "$case/out")"
    done
    if grep -q 'is a key of the role' "$case/out" || [ "$as_backup" -ne 2 ]; then
        ok "replication: roles: a wrong role is refused with a sentence"
    fi
    kill_all
    over_ipc
fi
finish
