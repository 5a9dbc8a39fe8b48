#!/bin/bash
# Faults in a row, over TCP between network namespaces, with a client who must notice none of them. From the outside: what
# is known here of replication is what docs/replication.md promises.
#
#   FAULTS=N   how many (30); SEED=N   which (a new one, which is printed); KINDS='kill-primary ...'   only of these kinds
#   SUSPECT=T  --suspect-after (500ms: a busy host must not bring a side down before the test does)
#   ARBITERS   file, etcd, or both (the default: half of the faults each)
#
# After each fault: the client was shown each value once and in order, and is shown more; no epoch was won twice, no side
# ended in a way that is none; and there is a pair again within 5 s after the network is good.
. tests/lib.sh
. tests/tools/namespaces.sh
FAULTS=${FAULTS:-30}
SEED=${SEED:-$((${EPOCHREALTIME/./} % 100000))}
SUSPECT=${SUSPECT:-500ms}
WITHIN=5000
[ "${SANITIZED:-0}" = 1 ] && WITHIN=20000 FAULTS=$((FAULTS > 20 ? 20 : FAULTS)) SUSPECT=1s
ALL_KINDS='kill-primary kill-backup stop-primary stop-backup cut-out cut-in cut-both isolate-primary isolate-backup
    arbiter-gone arbiter-gone-kill forget-kill forget-cut full-primary full-backup vanish-primary vanish-backup
    gone-primary gone-backup gone-client loss-1 loss-5 delay-2 delay-20'
KINDS=${KINDS:-$ALL_KINDS}

why=$(missing)
if [ -n "$why" ]; then
    skip "replication between network namespaces" "$why"
    finish
fi

finish_up() {
    stop_world
    close_network
    umount "$WORK/full.a" "$WORK/full.b" 2>/dev/null
    rm -rf "$WORK"
}
trap finish_up EXIT
trap 'exit 1' INT TERM HUP

wrong() { # what; each thing once
    [[ $what_is_wrong == *"$1"* ]] || what_is_wrong="$what_is_wrong
$1"
}

stop_world() {
    for side in a b; do
        [ -z "${pid[$side]-}" ] || { kill -KILL "${pid[$side]}"; wait "${pid[$side]}"; } 2>/dev/null
        pid[$side]=
    done
    stop_client
    stop_etcd
}
# A new pair, a new arbiter, a new client.
start_world() {
    stop_world
    order mend
    for side in a b; do in_host $side ip link set eth0 up; done
    rm -rf "$WORK/world"
    mkdir -m 700 "$WORK/world"
    lives=()
    start_arbiter || { wrong "the arbiter does not start"; return 1; }
    primary=a backup=b
    start_primary a
    for _ in $(seq 100); do
        look a
        [ "${state[a]}" = alone ] && break
        sleep 0.05
    done
    start_backup b
    clients=1 probes=0
    start_client counter1
    await_pair $((4 * WITHIN)) && moves 10000 && return
    wrong "no pair to begin with"
    return 1
}

# await_pair MS: until there is a primary with its member, in one epoch; what died is started again, as a backup. Sets
# $took, $primary, $backup. A side that gives way to the other does so with exit code 7.
await_pair() {
    local start
    now_ms
    start=$now
    while :; do
        look a
        look b
        for side in a b; do
            if [ "${state[$side]}" = dead ] && [ -n "${pid[$side]-}" ]; then reap $side '7'; fi
        done
        for side in a b; do
            if [ "${state[$side]}/${state[$(other $side)]}" = primary/backup ] &&
                [ "${epoch[a]}" = "${epoch[b]}" ] && [ "${peer[a]}" = "${node[b]}" ]; then
                primary=$side backup=$(other $side)
                now_ms
                took=$((now - start))
                return
            fi
            [ "${state[$side]}" = dead ] && [ "${state[$(other $side)]}" != dead ] && start_backup $side
        done
        [ "${state[a]}/${state[b]}" = dead/dead ] && { wrong "both sides have ended"; return 1; }
        now_ms
        took=$((now - start))
        [ $took -lt "$1" ] || return 1
        sleep 0.05
    done
}

live() { [ "${state[$1]}" = alone ] || [ "${state[$1]}" = primary ]; }
await_said() { # SIDE TEXT SECONDS
    for _ in $(seq $((20 * $3))); do
        grep -q "$2" "$(said_of "$1")" && return
        sleep 0.05
    done
    wrong "side $1 does not say '$2': $(tail -n 3 "$(said_of "$1")")"
    return 1
}
# Nobody goes on, so the client is shown nothing.
stands_still() { # SECONDS
    sleep 0.5
    read_history
    local before=$seen
    sleep "$1"
    read_history
    [ "$seen" -eq "$before" ] || wrong "the client was shown values when nobody may go on: $before to $seen"
}
goes_on() { # ... and the client notices nothing
    moves 10000 || wrong "the client is shown nothing more for 10 s, while the fault lasts"
}
patience() { sleep 1.5; } # longer than SUSPECT and a question to the arbiter

# --- the faults, each with the network's good at its end
die() { # SIDE [EXIT-CODES that will do]
    signal KILL "$1"
    reap "$1" "${2:-137}"
}
stop() { # SIDE: longer than the other bears; it gives way when it wakes up
    signal STOP "$1"
    goes_on
    signal CONT "$1"
}
cut() { # FROM TO
    order "cut ${number[$1]} ${number[$2]}"
}
isolate() { # SIDE from all others
    for host in $HOSTS; do
        [ "$host" = "$1" ] || { cut "$1" "$host"; cut "$host" "$1"; }
    done
}
# Somebody at the isolated side's own host types something. A side that cannot ask the arbiter must not answer.
probe() { # SIDE
    probes=$((probes + 1))
    printf 'SET probe token%d\nGET probe\n' $probes | in_host "$1" timeout 5 "$ENCORE" console --key "$WORK/key" \
        --linger 300ms "$(address "$1")" >"$WORK/world/probe" 2>&1
    ! grep -q "^VALUE token$probes" "$WORK/world/probe" || wrong "an isolated primary carries out what is typed, and answers"
}
# Host's link down, then the process killed: nobody is told that its connections are gone.
vanish() { # SIDE
    in_host "$1" ip link set eth0 down
    die "$1"
    goes_on
    in_host "$1" ip link set eth0 up
}
# ... and it never comes back, so nobody ever is.
gone() { # SIDE
    in_host "$1" ip link set eth0 down
    die "$1"
    goes_on
    replace_host "$1"
}
# The same with the client: another is served, who counts for himself.
gone_client() {
    read_history
    in_host c ip link set eth0 down
    stop_client
    replace_host c
    clients=$((clients + 1))
    start_client "counter$clients"
}
# The side keeps its log where there is no room for it: the guest goes on, replicated, and the log's end is told.
full() { # SIDE
    local of
    of=$(other "$1")
    die "$1"
    await_one "$of" || return
    rm -f "$WORK/full.$1"/*
    start_backup "$1" --log "$WORK/full.$1/log.enc"
    await_pair $WITHIN || wrong "no pair with a log on a small disk"
    if [ "$2" = live ]; then
        die "$of"
        await_one "$1" || return
    fi
    head -c 2000000 /dev/zero >"$WORK/full.$1/ballast" 2>/dev/null
    goes_on
    await_said "$1" 'log' 20
    alive "$1" || wrong "side $1 ended because its log's disk is full"
}
await_one() { # SIDE lives
    for _ in $(seq 200); do
        look "$1"
        live "$1" && return
        sleep 0.05
    done
    wrong "side $1 does not go on: ${state[$1]}: $(tail -n 3 "$(said_of "$1")")"
    return 1
}
bad_link() { # ORDER: for a while, and then somebody dies on it
    order "$1"
    goes_on
    sleep 1
    goes_on
    # Packets that are lost again and again are a silence, for which a side may lawfully have given way before it dies.
    if [ $((dice % 3)) -eq 0 ]; then die "$primary" '137 7'; elif [ $((dice % 3)) -eq 1 ]; then die "$backup" '137 7'; fi
    goes_on
    order mend
}

befall() { # KIND
    local at=${epoch[$primary]} owner=${node[$primary]} before=$seen
    case $1 in
    kill-primary) die "$primary" ;;
    kill-backup) die "$backup" ;;
    stop-primary) stop "$primary" ;;
    stop-backup) stop "$backup" ;;
    cut-out) cut "$primary" "$backup" && goes_on && order mend ;;
    cut-in) cut "$backup" "$primary" && goes_on && order mend ;;
    cut-both) cut "$primary" "$backup" && cut "$backup" "$primary" && goes_on && order mend ;;
    isolate-primary | isolate-backup)
        side=$primary
        [ "$1" = isolate-backup ] && side=$backup
        isolate "$side"
        patience
        # An arbiter that is a directory is in reach of all: the primary may go on where the client does not see it.
        if [ $side = "$backup" ]; then
            goes_on
        elif [ "$kind_of_arbiter" = etcd ]; then
            probe $side
            goes_on
        fi
        order mend
        ;;
    arbiter-gone)
        arbiter_goes
        patience
        goes_on
        arbiter_comes
        ;;
    arbiter-gone-kill)
        arbiter_goes
        die "$primary"
        stands_still 2
        arbiter_comes
        ;;
    forget-kill)
        arbiter_forgets
        die "$primary"
        stands_still 2
        await_said "$backup" 'lost its memory' 10
        arbiter_is_told "$at" "$owner"
        ;;
    forget-cut)
        arbiter_forgets
        cut "$primary" "$backup"
        cut "$backup" "$primary"
        stands_still 2
        order mend
        goes_on
        arbiter_is_told "$at" "$owner"
        ;;
    full-primary) full "$backup" live ;;
    full-backup) full "$backup" ;;
    vanish-primary) vanish "$primary" ;;
    vanish-backup) vanish "$backup" ;;
    gone-primary) gone "$primary" ;;
    gone-backup) gone "$backup" ;;
    gone-client) gone_client ;;
    loss-1) bad_link 'loss 1' ;;
    loss-5) bad_link 'loss 5' ;;
    delay-2) bad_link 'delay 2' ;;
    delay-20) bad_link 'delay 20' ;;
    *) wrong "no such kind of fault: $1" ;;
    esac
}

# No epoch belongs to two.
epochs_won() {
    local twice
    twice=$(grep -ho 'won epoch [0-9]*' "$WORK"/world/[ab].*.err 2>/dev/null | sort | uniq -d)
    [ -z "$twice" ] || wrong "two machines: '$twice' was said twice"
}

fault() { # NUMBER KIND
    what_is_wrong=
    dice=$((RANDOM % 1000))
    sleep "0.$(printf %03d $((RANDOM % 400)))"
    befall "$2"
    await_pair $((2 * WITHIN)) || wrong "no pair again: a is ${state[a]}, b is ${state[b]}"
    [ $took -le $WITHIN ] || wrong "there was a pair again only after $took ms"
    [ $took -le $longest ] || longest=$took
    moves 10000 || wrong "the client is shown nothing more"
    epochs_won
    for err in "$WORK"/world/[ab].*.err; do
        ! grep -q 'broken invariant\|ERROR: AddressSanitizer\|runtime error' "$err" || wrong "$(head -n 5 "$err")"
    done
    if [ -z "$what_is_wrong" ]; then
        ok "replication between namespaces: $kind_of_arbiter arbiter: $1: $2"
        return
    fi
    not_ok "replication between namespaces: $kind_of_arbiter arbiter: $1: $2" "$what_is_wrong
$(for side in a b; do echo "side $side, ${state[$side]-}:"; tail -n 6 "$(said_of $side)"; done)
$(echo "the client:"; tail -n 3 "$WORK/world/client.err")
again: SEED=$SEED FAULTS=$FAULTS KINDS='$(echo $KINDS)' ARBITERS=$kind_of_arbiter BUILD=$BUILD $0
or only this: KINDS=$2 FAULTS=3 ARBITERS=$kind_of_arbiter BUILD=$BUILD $0"
    return 1
}

asks() { # LINE, of the machine that lives
    printf '%s\n' "$1" | in_host c timeout 10 "$ENCORE" console --key "$WORK/key" --linger 500ms "$(addresses)" 2>/dev/null |
        tr -d '\r'
}
# The end of a world: what the guest says of itself is what the client was shown.
end_world() {
    local count said
    stop_client
    read_history
    said=$(asks "GET $counter")
    count=$(echo "$said" | sed -n 's/^VALUE //p' | tail -n 1)
    # The last line that the client was shown is not read, for it may not be whole; and there may have been one increment
    # more, of which the answer did not reach it.
    if [ "${count:-0}" -ge "$seen" ] && [ "${count:-0}" -le $((seen + 2)) ]; then
        ok "replication between namespaces: $kind_of_arbiter arbiter: the guest's own count is the client's: $seen"
    else
        not_ok "replication between namespaces: $kind_of_arbiter arbiter: the guest's own count is the client's" \
            "the guest: '$said', the client: $seen"
    fi
}

run_faults() { # FIRST LAST
    local list kind
    start_world || { not_ok "replication between namespaces: $kind_of_arbiter arbiter: a pair" "$what_is_wrong"; return; }
    for ((n = $1; n <= $2; n++)); do
        [ ${#queue[@]} -gt 0 ] || for kind in $KINDS; do queue+=("$kind"); done
        list=$((RANDOM % ${#queue[@]}))
        kind=${queue[$list]}
        unset "queue[$list]"
        queue=("${queue[@]}")
        fault "$n" "$kind" && continue
        what_is_wrong=
        start_world || { not_ok "replication between namespaces: a new pair" "$what_is_wrong"; return; }
    done
    end_world
}

echo "SEED=$SEED FAULTS=$FAULTS"
RANDOM=$SEED
queue=()
longest=0
what_is_wrong=
"$ENCORE" keygen "$WORK/key"
for side in a b; do
    mkdir "$WORK/full.$side"
    mount -t tmpfs -o size=1m tmpfs "$WORK/full.$side" || KINDS=$(echo "$KINDS" | tr ' ' '\n' | grep -v '^full-')
done
if ! open_network "$SEED"; then
    not_ok "replication between namespaces: the network" "$(cat "$WORK/wire.err")"
    finish
fi
case ${ARBITERS:-both} in
both)
    if command -v etcd >/dev/null; then
        kind_of_arbiter=file && run_faults 1 $((FAULTS / 2))
        kind_of_arbiter=etcd && run_faults $((FAULTS / 2 + 1)) $FAULTS
    else
        skip "replication between namespaces: etcd arbiter" "etcd is not installed (Debian: etcd-server)"
        kind_of_arbiter=file && run_faults 1 $FAULTS
    fi
    ;;
*) kind_of_arbiter=$ARBITERS && run_faults 1 $FAULTS ;;
esac
echo "the longest time to a pair again: $longest ms"
finish
