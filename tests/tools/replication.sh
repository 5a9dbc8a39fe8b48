# For tests of replication with real processes: starting and ending sides, and what a client must have seen.
# After tests/lib.sh. Each case has a directory of its own, $case, of mode 0700 (so that its sockets need no key).
#
# The oracle: a client has a counter of guests/kv incremented, COUNT times, once an answer and the next; whatever dies
# meanwhile, it must have seen 1 to COUNT, each once and in order, and the guest must say so too in the end (DUMP).
ENGINE=${ENGINE:-soft}
PATIENCE=40 # seconds that any one process may take
# Longer than the default: on a busy host a side may well be silent for a moment, and must not be taken for dead before
# the test has killed it.
SUSPECT=250ms
[ "${SANITIZED:-0}" = 1 ] && PATIENCE=120 SUSPECT=1s
trap 'kill_all; rm -rf "$WORK"' EXIT

# new_case NAME: an empty directory, and nothing running in it. False when CASES, a list of names, is given and lacks it.
new_case() {
    [ -z "${CASES-}" ] || [[ " $CASES " == *" $1 "* ]] || return 1
    case_name=$1
    case=$WORK/$1
    rm -rf "$case"
    mkdir -m 700 "$case"
    arbiter=file:$case/arbiter
    suspect=$SUSPECT
    key= dice=
    guest=kv
    client=
    job_A='' job_B='' job_C='' pid_A='' pid_B='' pid_C=''
}
address() { echo "ipc://$case/$1.sock"; }

# Runs a command in the background under a time limit; sets $job, to wait for, and $pid, of the process itself. The shell
# in between keeps bash from telling of every death.
launch() { # STDOUT STDERR COMMAND...
    rm -f "$case/pid"
    {
        timeout --foreground -s KILL $PATIENCE sh -c 'echo $$ >"$0"; exec "$@"' "$case/pid" "${@:3}" >"$1" 2>>"$2"
        exit $?
    } 2>/dev/null &
    job=$!
    until [ -s "$case/pid" ]; do sleep 0.002; done
    pid=$(cat "$case/pid")
}
launch_side() { # SIDE COMMAND...
    launch "$case/$1.out" "$case/$1.err" "${@:2}"
    eval "job_$1=$job pid_$1=$pid"
}

# start_primary SIDE [OPTION...], start_backup SIDE OF [OPTION...]: in the background; messages go to $case/SIDE.err.
start_primary() {
    # shellcheck disable=SC2086
    launch_side "$1" "$ENCORE" primary --engine "$ENGINE" --listen "$(address "$1")" --arbiter "$arbiter" $key \
        ${suspect:+--suspect-after $suspect} "${@:2}" "$GUESTS/$guest"
}
start_backup() {
    # shellcheck disable=SC2086
    launch_side "$1" "$ENCORE" backup --connect "$(address "$2")" --listen "$(address "$1")" --arbiter "$arbiter" $key \
        ${suspect:+--suspect-after $suspect} "${@:3}"
}
signal_side() { # SIGNAL SIDE
    eval "[ -z \"\$pid_$2\" ] || kill -$1 \$pid_$2" 2>/dev/null
}
# end_of SIDE: waits for it, and sets $code.
end_of() {
    eval "wait \$job_$1" 2>/dev/null
    code=$?
    eval "job_$1= pid_$1="
}
kill_all() {
    for side in A B C; do
        eval "[ -z \"\${job_$side-}\" ]" && continue
        signal_side KILL $side
        end_of $side
    done
    [ -z "${client-}" ] || kill -KILL "$client_pid" 2>/dev/null
    [ -z "${client-}" ] || wait "$client" 2>/dev/null
    client=
}

says() { grep -q "$2" "$case/$1.err" 2>/dev/null; } # SIDE TEXT
# await_words SIDE TEXT: until the side has said so, 20 s at most.
await_words() {
    for _ in $(seq 2000); do
        says "$1" "$2" && return
        sleep 0.01
    done
    return 1
}
# expect_words SIDE TEXT: it must come to say so.
expect_words() {
    if await_words "$1" "$2"; then
        ok "replication: $case_name: $1 says: $2"
    else
        not_ok "replication: $case_name: $1 says: $2" "it said: $(cat "$case/$1.err")"
    fi
}
# expect_end SIDE CODE TEXT: the side ends so, and says this.
expect_end() {
    end_of "$1"
    if [ $code -eq "$2" ] && says "$1" "$3"; then
        ok "replication: $case_name: $1 ends with $2 and says so"
    else
        not_ok "replication: $case_name: $1 ends with $2 and says so" "exit code $code; it said: $(cat "$case/$1.err")"
    fi
}
# A field of `encore status`; empty when nobody answers.
field() { # SIDE NAME
    # shellcheck disable=SC2086
    "$ENCORE" status --json $key "$(address "$1")" 2>/dev/null | sed -n "s/^  \"$2\": \"\{0,1\}\([^\",]*\).*/\1/p"
}
await_state() { # SIDE STATE; 20 s at most
    local until=$((SECONDS + 20))
    while [ $SECONDS -lt $until ]; do
        [ "$(field "$1" state)" = "$2" ] && return
        sleep 0.02
    done
    return 1
}
# A pair that follows.
start_pair() { # [OPTION of the primary...]
    start_primary A "$@"
    start_backup B A
    await_words A 'output waits' && await_words B 'ready to take over'
}

# Over TCP, A listens at $port, and B reaches it through a proxy (tests/tools/link_proxy.c) at $port + 5.
port=$((10000 + $$ % 1000 * 20))
over_tcp() {
    address() { echo tcp://127.0.0.1:$((port + 10 * ($(printf %d "'$1") - 65))); }
}
over_ipc() { address() { echo "ipc://$case/$1.sock"; }; }
open_proxy() { # FD PORT TARGET
    mkfifo "$case/orders$1"
    "$BUILD/tests/tools/link_proxy" "$2" "$3" <"$case/orders$1" 2>>"$case/proxy.err" &
    eval "exec $1>'$case/orders$1'"
    eval "proxy_$1=$!"
}
close_proxy() { # FD
    eval "exec $1>&-"
    eval "wait \$proxy_$1"
}
order() { echo "$1" >&5; }
# A pair over such a link, which is made so from the start.
start_pair_by_link() { # ORDER [OPTION of the backup...]
    open_proxy 5 $((port + 5)) $port
    order "$1"
    start_primary A
    connect=tcp://127.0.0.1:$((port + 5))
    # shellcheck disable=SC2086
    launch_side B "$ENCORE" backup --connect "$connect" --listen "$(address B)" --arbiter "$arbiter" $key \
        ${suspect:+--suspect-after $suspect} "${@:2}"
    await_words A 'output waits' && await_words B 'ready to take over'
}
end_link() {
    kill_all
    close_proxy 5
    over_ipc
}

# start_client COUNT ADDRESS...: increments in the background; then DUMP. With `dice` set it asks for a random number each
# time too: what nobody could know who was not told.
start_client() {
    {
        echo 'wait "kv ready"'
        echo "repeat $1"
        [ -z "$dice" ] || printf 'line RANDOM\nwait "RANDOM"\n'
        echo 'line INCR counter'
        echo 'wait "VALUE %d"'
        echo end
        echo line DUMP
        echo 'wait "END"'
    } >"$case/script"
    : >"$case/client.out"
    # shellcheck disable=SC2086
    launch "$case/client.out" "$case/client.err" "$ENCORE" console $key --all --input "$case/script" \
        "$(echo "${@:2}" | tr ' ' ,)"
    client=$job client_pid=$pid
}
seen() { grep -c '^VALUE' "$case/client.out" 2>/dev/null || true; }
# await_seen COUNT: until the client has seen so many values, or is gone. Takes no time to notice.
await_seen() {
    # The guest's first line is another.
    head -n $(($1 + 1)) < <(exec timeout $PATIENCE tail -n +1 -f --pid="$client_pid" "$case/client.out") >/dev/null
}

# What the client saw, against the oracle. Prints what is wrong, or nothing.
client_verdict() { # COUNT
    [ $client_code -eq 0 ] || echo "the client ended with exit code $client_code: $(cat "$case/client.err")"
    tr -d '\r' <"$case/client.out" | sed -n 's/^VALUE //p' >"$case/got"
    seq "$1" >"$case/wanted"
    cmp "$case/got" "$case/wanted" 2>&1 | head -1
    tr -d '\r' <"$case/client.out" | grep -q "^KEY counter $1\$" || echo "the guest's own count is not $1"
}

# What the client saw must be in the history of the side that went on, byte for byte: in what a replay of its log prints.
# (A lost increment is made again, and nobody can tell; a lost random number is not.)
judge_history() { # SIDE whose log is in $case/SIDE.enc, and began when the guest had printed a line
    "$ENCORE" replay --partial "$case/$1.enc" >"$case/history" 2>"$case/replay.err"
    code=$?
    # A client ends with its script, and may leave the rest of the last line unread.
    tail -n +2 "$case/client.out" >"$case/saw"
    if [ $code -eq 0 ] && cmp -n "$(stat -c %s "$case/saw")" "$case/saw" "$case/history" >"$case/differ" 2>&1; then
        ok "replication: $case_name: what the client saw is in the survivor's history"
    else
        not_ok "replication: $case_name: what the client saw is in the survivor's history" \
            "$code: $(cat "$case/differ" "$case/replay.err")"
    fi
}

# judge COUNT [EPOCH]: ok or not ok for the case, with what every side said. With EPOCH: the client must have come to
# that one, or else what was done to the machines came too late to matter.
judge() {
    wait "$client" 2>/dev/null
    client_code=$?
    client=
    wrong=$(client_verdict "$1")
    [ $# -lt 2 ] || grep -q "epoch $2:" "$case/client.err" || wrong="$wrong
the client never came to epoch $2"
    if [ -z "$wrong" ]; then
        ok "replication: $case_name"
    else
        not_ok "replication: $case_name" "$wrong
$(cd "$case" && tail -n 5 ./*.err 2>/dev/null)
again: ENGINE=$ENGINE BUILD=$BUILD CASES='$case_name' $0"
    fi
}

# Nothing of $COUNT values comes to the client meanwhile.
output_held() {
    sleep 0.1
    held=$(seen)
    sleep 0.4
    if [ "$(seen)" -eq "$held" ] && [ "$held" -lt $COUNT ]; then
        ok "replication: $case_name: no output leaves meanwhile"
    else
        not_ok "replication: $case_name: no output leaves meanwhile" "$held, then $(seen) values"
    fi
}

# An arbiter in a real etcd.
etcd_case() { # NAME
    if ! command -v etcd >/dev/null; then
        skip "replication: $1" "etcd is not installed (Debian: etcd-server)"
        return 1
    fi
    new_case "$1"
}
start_etcd() {
    : >"$case/etcd.out"
    ETCD_UNSUPPORTED_ARCH=$(uname -m) etcd --data-dir "$case/etcd" --listen-client-urls "http://127.0.0.1:$((port + 3))" \
        --advertise-client-urls "http://127.0.0.1:$((port + 3))" --listen-peer-urls "http://127.0.0.1:$((port + 4))" \
        --initial-advertise-peer-urls "http://127.0.0.1:$((port + 4))" \
        --initial-cluster "default=http://127.0.0.1:$((port + 4))" >>"$case/etcd.out" 2>&1 &
    etcd=$!
    for _ in $(seq 200); do
        grep -q 'ready to serve client' "$case/etcd.out" && break
        sleep 0.05
    done
    arbiter=etcd:http://127.0.0.1:$((port + 3)),encore/test
}
kill_etcd() { kill -KILL $etcd && wait $etcd; } 2>/dev/null
