#!/bin/bash
# A TCP connection into a replicated Linux guest survives the SIGKILL of the primary, and a handover: the guest's frames
# wait for the backup's acknowledgement, the backup goes on with a tap interface of its own, and what is echoed is what was
# sent.
# Both taps are on a bridge, in a network namespace that this test makes; without the right to, it is skipped.
# (tests/run: alone)
. tests/lib.sh
NAME="network: a TCP connection survives the primary's death"
LINUX=$BUILD/linux
SIZE=20000000
skip_all() {
    skip "$NAME" "$1"
    finish
}
[ "${SANITIZED:-0}" = 1 ] && skip_all "a boot takes minutes under the sanitizers; it is run without"
if [ -z "${IN_NAMESPACE:-}" ]; then
    unshare -n true 2>/dev/null || skip_all "no right to make a network namespace"
    [ -w /dev/net/tun ] || skip_all "/dev/net/tun is missing or may not be opened"
    command -v ip >/dev/null || skip_all "there is no ip(8): iproute2"
    log=$(tools/linux_guest.sh "$LINUX" 2>&1) || skip_all "$(echo "$log" | tail -n 1)"
    export IN_NAMESPACE=1 BUILD ENCORE GUESTS WORK
    exec unshare -n "$0"
fi
chmod 700 "$WORK"
make_network() {
    ip link set lo up && ip link add br0 type bridge && ip address add 10.0.2.2/24 dev br0 && ip link set br0 up || return 1
    for tap in tap0 tap1; do
        ip tuntap add $tap mode tap && ip link set $tap master br0 up || return 1
    done
}
output=$(make_network 2>&1) || skip_all "no bridge with taps: $output"

await_words() { # FILE WORDS
    for ((n = 0; n < 900; n++)); do
        grep -q -- "$2" "$1" 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}
# A busy host keeps a process from its heartbeats for long.
start_pair() {
    mkdir -m 700 "$WORK/$how"
    common=(--arbiter "file:$WORK/$how/arbiter" --suspect-after 500ms)
    ip neighbour flush dev br0
    "$ENCORE" primary --engine soft --mem 256M --listen "ipc://$WORK/$how/a" "${common[@]}" --net tap:tap0 \
        --initrd "$LINUX/initrd" \
        --cmdline 'console=ttyS0 quiet panic=-1 gateway= then=nc,-l,-p,7,-e,cat;poweroff,-f' \
        "$LINUX/vmlinuz" >"$WORK/$how/a.out" 2>"$WORK/$how/a.err" &
    primary=$!
    # The guest has its address when it answers for it.
    for ((n = 0; n < 600; n++)); do
        echo >/dev/udp/10.0.2.15/9
        ip neighbour show 10.0.2.15 | grep -q lladdr && break
        sleep 0.1
    done 2>/dev/null
    "$ENCORE" backup --connect "ipc://$WORK/$how/a" --listen "ipc://$WORK/$how/b" "${common[@]}" --net tap:tap1 \
        --log "$WORK/$how/b.enc" >"$WORK/$how/b.out" 2>"$WORK/$how/b.err" &
    backup=$!
    await_words "$WORK/$how/b.err" 'ready to take over'
}
# Slowly, so that on no host all is sent before the primary is gone.
send() {
    for ((part = 0; part < 20; part++)); do
        tail -c +$((part * SIZE / 20 + 1)) "$WORK/sent" | head -c $((SIZE / 20))
        sleep 0.1
    done
}
# Sends $WORK/sent to the guest, which echoes it, and lets go of the primary in the middle.
transfer() {
    for ((n = 0; n < 100; n++)); do
        { exec 3<>/dev/tcp/10.0.2.15/7; } 2>/dev/null && break
        sleep 0.2
    done
    send >&3 &
    head -c $SIZE <&3 >"$WORK/$how/received" &
    reader=$!
    for ((n = 0; n < 600; n++)); do
        [ "$(stat -c %s "$WORK/$how/received")" -gt $((SIZE / 8)) ] && break
        sleep 0.02
    done
    if [ $how = kill ]; then
        kill -KILL $primary
    else
        check "network: a machine with a tap is handed over" "$ENCORE" handover "ipc://$WORK/$how/a"
    fi
    before=$(stat -c %s "$WORK/$how/received")
    wait $primary 2>/dev/null
    wait $reader
    exec 3>&-
}
judge() { # NAME
    if [ "$before" -ge $SIZE ]; then
        not_ok "$1" "the transfer was over before the primary was gone"
    elif cmp "$WORK/sent" "$WORK/$how/received"; then
        ok "$1"
    else
        not_ok "$1" "$(tail -n 5 "$WORK/$how"/*.err)"
    fi
    await_words "$WORK/$how/b.err" 'the guest ended'
    wait $backup
    code=$?
    if [ $code -eq 0 ] && grep -q 'won epoch 2' "$WORK/$how/b.err"; then
        ok "network: $how: the survivor goes on, and its guest ends by itself"
    else
        not_ok "network: $how: the survivor goes on, and its guest ends by itself" "exit code $code: $(cat "$WORK/$how/b.err")"
    fi
    check "network: $how: the survivor's log replays" "$ENCORE" replay --verify "$WORK/$how/b.enc"
}

head -c $SIZE /dev/urandom >"$WORK/sent"
for how in kill handover; do
    start_pair
    transfer
    [ $how = kill ] || NAME="network: a TCP connection survives a handover"
    judge "$NAME"
done
finish
