# For replication_namespaces.sh: three hosts, each a network namespace, on a network that can be made bad
# (tests/tools/wire.c): a (10.77.0.1) and b (10.77.0.2) run the sides of a pair, c (10.77.0.3) the client, and etcd at
# 10.77.0.4. A host
# that is gone for good is replaced by another, at 10 more. What is seen and decided here is what an operator could:
# messages, `encore status`, what the client was shown.
HOSTS='a b c'
declare -A number=([a]=0 [b]=1 [c]=2) place=([a]=1 [b]=2 [c]=3) pid=() state=() epoch=() node=() peer=() lives=()
prefix=enc$$

other() { [ "$1" = a ] && echo b || echo a; }
address() { echo "tcp://10.77.0.${place[$1]}:4000"; }
# All that a side may ever be found at.
addresses() { echo "tcp://10.77.0.1:4000,tcp://10.77.0.2:4000,tcp://10.77.0.11:4000,tcp://10.77.0.12:4000"; }
in_host() { ip netns exec "$prefix$1" "${@:2}"; } # HOST COMMAND...
now_ms() { now=$((${EPOCHREALTIME/./} / 1000)); }

# Why this host cannot do it; nothing when it can.
missing() {
    [ "$(id -u)" = 0 ] || { echo "only root may make network namespaces"; return; }
    command -v ip >/dev/null || { echo "ip is not installed (Debian: iproute2)"; return; }
    [ -c /dev/net/tun ] || { echo "/dev/net/tun is missing"; return; }
    ip netns add "${prefix}try" 2>/dev/null || { echo "network namespaces cannot be made here"; return; }
    ip netns delete "${prefix}try"
}

order() { # ORDER, and its answer
    echo "$1" >&7
    read -r -t 5 answer <&8
}

# replace_host HOST: there is another in its place, which does not answer for the old one.
replace_host() {
    local old=${place[$1]}
    place[$1]=$((old > 10 ? old - 10 : old + 10))
    in_host "$1" ip address delete "10.77.0.$old/24" dev eth0
    in_host "$1" ip address add "10.77.0.${place[$1]}/24" dev eth0
    in_host "$1" ip link set eth0 up
}

open_network() { # SEED
    mkfifo "$WORK/orders" "$WORK/answers"
    for host in $HOSTS; do ip netns add "$prefix$host" || return 1; done
    "$BUILD/tests/tools/wire" "$1" ${prefix}a ${prefix}b ${prefix}c <"$WORK/orders" >"$WORK/answers" 2>"$WORK/wire.err" &
    wire=$!
    exec 7>"$WORK/orders" 8<"$WORK/answers"
    read -r -t 10 answer <&8 || return 1
    for host in $HOSTS; do
        in_host $host sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null
        in_host $host ip address add "10.77.0.${place[$host]}/24" dev eth0 &&
            in_host $host ip link set lo up && in_host $host ip link set eth0 up || return 1
    done
    in_host c ip address add 10.77.0.4/32 dev eth0 # not of the subnet, so it stays when the client moves
    in_host c ping -c 1 -W 5 10.77.0.1 >/dev/null 2>&1 || true # ARP, if there is a ping
}

close_network() {
    exec 7>&- 8<&-
    [ -z "${wire-}" ] || wait "$wire" 2>/dev/null
    for host in $HOSTS; do ip netns delete "$prefix$host" 2>/dev/null; done
}

# --- sides
alive() { [ -n "${pid[$1]-}" ] && kill -0 "${pid[$1]}" 2>/dev/null; }

# launch SIDE COMMAND...: a side's life; its messages go to a file of their own.
launch() {
    local side=$1
    lives[$side]=$((${lives[$side]-0} + 1))
    said=$WORK/world/$side.${lives[$side]}.err
    { exec ip netns exec "$prefix$side" "$ENCORE" "${@:2}" >/dev/null 2>"$said"; } 7>&- 8<&- &
    pid[$side]=$!
}
start_primary() { # SIDE [OPTION...]
    launch "$1" primary --engine soft --listen "$(address "$1")" --arbiter "$arbiter" --key "$WORK/key" \
        --suspect-after "$SUSPECT" "${@:2}" "$GUESTS/kv"
}
start_backup() { # SIDE [OPTION...]
    launch "$1" backup --connect "$(address "$(other "$1")")" --listen "$(address "$1")" --arbiter "$arbiter" \
        --key "$WORK/key" --suspect-after "$SUSPECT" "${@:2}"
}
said_of() { echo "$WORK/world/$1.${lives[$1]}.err"; }
signal() { # SIGNAL SIDE
    kill -"$1" "${pid[$2]}" 2>/dev/null
}
# reap SIDE: waits for its end, and notes a way of ending that is none: a crash, a failure of the host.
reap() { # SIDE EXPECTED-CODES
    wait "${pid[$1]}" 2>/dev/null
    code=$?
    pid[$1]=
    [[ " $2 " == *" $code "* ]] || wrong "side $1 ended with exit code $code: $(tail -n 3 "$(said_of "$1")")"
}

# look SIDE: sets state, epoch, node and peer of it; state is `dead`, or `silent` when it does not answer.
look() {
    local answer
    state[$1]=dead
    alive "$1" || return
    state[$1]=silent
    answer=$(timeout 2 ip netns exec "$prefix$1" "$ENCORE" status --json --key "$WORK/key" "$(address "$1")" 2>/dev/null)
    [[ $answer =~ \"state\":\ \"([^\"]*)\" ]] && state[$1]=${BASH_REMATCH[1]}
    [[ $answer =~ \"epoch\":\ ([0-9]+) ]] && epoch[$1]=${BASH_REMATCH[1]}
    [[ $answer =~ \"node\":\ \"([^\"]*)\" ]] && node[$1]=${BASH_REMATCH[1]}
    [[ $answer =~ \"peer\":\ \"([^\"]*)\" ]] && peer[$1]=${BASH_REMATCH[1]}
}

# --- the arbiter: a directory, or etcd on host c
start_etcd() {
    { exec ip netns exec ${prefix}c env ETCD_UNSUPPORTED_ARCH="$(uname -m)" etcd --data-dir "$WORK/world/etcd" \
        --listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://10.77.0.4:2379 \
        --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
        --initial-cluster default=http://127.0.0.1:2380 >"$WORK/world/etcd.out" 2>&1; } 7>&- 8<&- &
    etcd=$!
    for _ in $(seq 300); do
        grep -qs 'ready to serve client' "$WORK/world/etcd.out" && return
        sleep 0.05
    done
    return 1
}
stop_etcd() {
    [ -z "${etcd-}" ] || { kill -KILL "$etcd"; wait "$etcd"; } 2>/dev/null
    etcd=
}
start_arbiter() {
    if [ "$kind_of_arbiter" = etcd ]; then
        arbiter=etcd:http://10.77.0.4:2379,encore/test
        start_etcd
    else
        mkdir "$WORK/world/shared"
        arbiter=file:$WORK/world/shared/arbiter
    fi
}
arbiter_goes() {
    if [ "$kind_of_arbiter" = etcd ]; then stop_etcd; else mv "$WORK/world/shared" "$WORK/world/away"; fi
}
arbiter_comes() {
    if [ "$kind_of_arbiter" = etcd ]; then start_etcd; else mv "$WORK/world/away" "$WORK/world/shared"; fi
}
arbiter_forgets() {
    if [ "$kind_of_arbiter" = etcd ]; then
        stop_etcd
        rm -rf "$WORK/world/etcd"
        start_etcd
    else
        find "$WORK/world/shared" -mindepth 1 -delete
        mkdir -p "$WORK/world/shared/arbiter"
    fi
}
# What the documentation has an operator do then: he says which machine won the latest epoch.
arbiter_is_told() { # EPOCH OWNER
    in_host c timeout 10 "$ENCORE" arbiter reset "$arbiter" --epoch "$1" --owner "$2" >"$WORK/world/reset" 2>&1 ||
        wrong "encore arbiter reset $arbiter --epoch $1 --owner $2: $(cat "$WORK/world/reset")"
}

# --- the client, who has a counter incremented, once an answer and the next; a script has 1,048,576 steps at most
start_client() { # COUNTER
    printf 'repeat 260000\nline INCR %s\nwait "VALUE %%d\\n"\nline SLEEP 8\nwait "OK"\nend\n' "$1" >"$WORK/world/script"
    : >"$WORK/world/client.out"
    { exec ip netns exec ${prefix}c "$ENCORE" console --key "$WORK/key" --input "$WORK/world/script" "$(addresses)" \
        >"$WORK/world/client.out" 2>"$WORK/world/client.err"; } 7>&- 8<&- &
    client=$!
    counter=$1 read_to=0 seen=0
}
stop_client() {
    [ -z "${client-}" ] || { kill -KILL "$client"; wait "$client"; } 2>/dev/null
    client=
}
# Reads on in what the client was shown: each value once and in order.
read_history() {
    local size found
    # Up to the last line that is whole.
    tail -c +$((read_to + 1)) "$WORK/world/client.out" >"$WORK/world/new"
    found=$(tr -d '\r' <"$WORK/world/new" | LC_ALL=C awk -v want=$((seen + 1)) '
        { line = $0 }
        # A client that comes later may be shown the answer to one that was there before.
        NR > 1 && last ~ /^VALUE [0-9]+$/ && !(want == 1 && last != "VALUE 1") {
            if (substr(last, 7) + 0 != want && !bad)
                bad = last " where VALUE " want " should be"
            want++
        }
        { last = line }
        END { print want - 1; print bad }')
    size=$(awk 'BEGIN { RS = "\n" } { length_so_far = done; done += length($0) + 1 } END { print length_so_far + 0 }' \
        "$WORK/world/new")
    read_to=$((read_to + size))
    seen=${found%%$'\n'*}
    bad=${found#*$'\n'}
    [ "$bad" = "$found" ] || [ -z "$bad" ] || wrong "the client's history: $bad"
    [ -z "$client" ] || kill -0 "$client" 2>/dev/null || wrong "the client ended: $(tail -n 3 "$WORK/world/client.err")"
}
# moves MS: the client is shown a new value within so long. Sets $took.
moves() {
    local before=$seen start
    now_ms
    start=$now
    while :; do
        read_history
        now_ms
        took=$((now - start))
        [ "$seen" -gt "$before" ] && return
        kill -0 "$client" 2>/dev/null && [ $took -lt "$1" ] || return 1
        sleep 0.05
    done
}
