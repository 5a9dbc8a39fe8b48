#!/bin/bash
# Networks: Debian's kernel with busybox (tools/linux_guest.sh) talks to the host through libslirp, and to another guest
# through a Unix socket; all of it replays to the same digest with no network there, and can be captured. An operator's
# orders come in on the control socket.
. tests/lib.sh
LINUX=$BUILD/linux
SIZE=4000000
quiet='console=ttyS0 panic=-1 quiet'

# What needs no guest.
for bad in nonsense tap: tap:much-too-long-a-name user,hostfwd=x unix: user,mac=1 user,mac=01:00:00:00:00:00 \
    unix:/nonexistent/socket; do
    "$ENCORE" run --net "$bad" "$GUESTS/sieve" >"$WORK/out" 2>&1
    code=$?
    # A peer that is not there is the host's failure.
    wanted=2
    [ "$bad" = unix:/nonexistent/socket ] && wanted=1
    if [ $code -eq $wanted ] && [ "$(wc -l <"$WORK/out")" -le 2 ]; then
        ok "network: --net $bad is refused in a sentence"
    else
        not_ok "network: --net $bad is refused in a sentence" "exit code $code: $(cat "$WORK/out")"
    fi
done
check_exit 2 "network: a fifth card is one too many" "$ENCORE" run --net user --net user --net user --net user --net user x
check_exit 2 "ctl: an unknown command" "$ENCORE" ctl "unix:$WORK/none" explode
check_exit 1 "ctl: nobody is there" "$ENCORE" ctl "unix:$WORK/none" power-button

skip_rest() {
    skip "network: a stock Linux on a network" "$1"
    finish
}
[ "${SANITIZED:-0}" = 1 ] && skip_rest "a boot takes minutes under the sanitizers; it is run without"
log=$(tools/linux_guest.sh "$LINUX" 2>&1) || skip_rest "$(echo "$log" | tail -n 1)"

# record_linux NAME WORDS [OPTION...]: in the background; $pid.
record_linux() {
    local name=$1 words=$2
    shift 2
    timeout 300 "$ENCORE" record --engine soft --mem 256M --initrd "$LINUX/initrd" --cmdline "$quiet $words" \
        -o "$WORK/$name.enc" "$@" "$LINUX/vmlinuz" >"$WORK/$name.out" 2>"$WORK/$name.err" </dev/null &
    pid=$!
}
printed() { tr -d '\r' <"$WORK/$1.out" | grep -q -- "$2"; }
expect() { # WHAT NAME TEXT
    if printed "$2" "$3"; then ok "$1"; else not_ok "$1" "the guest did not print '$3':
$(tail -n 12 "$WORK/$2.out" "$WORK/$2.err")"; fi
}
await() { # NAME TEXT
    for ((n = 0; n < 600; n++)); do
        printed "$1" "$2" && return 0
        sleep 0.1
    done
    return 1
}
verify() { # NAME
    output=$("$ENCORE" replay --verify "$WORK/$1.enc" 2>&1)
    case $output in
    *identical) ok "network: $1: the replay is identical" ;;
    *) not_ok "network: $1: the replay is identical" "$output" ;;
    esac
}

# Through libslirp: out to the router, and in through a forwarded port: what is sent comes back.
port=$((20000 + RANDOM % 20000))
record_linux user "then=ping,-c,2,10.0.2.2;echo,listening;nc,-l,-p,7,-e,cat;poweroff,-f" \
    --net "user,hostfwd=tcp:127.0.0.1:$port-:7" --control "unix:$WORK/ctl"
if await user "^listening"; then
    sleep 1
    head -c $SIZE /dev/urandom >"$WORK/sent"
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    cat "$WORK/sent" >&3 &
    head -c $SIZE <&3 >"$WORK/received"
    check "ctl: an order is taken" "$ENCORE" ctl "unix:$WORK/ctl" balloon 16M
    check_exit 2 "ctl: an order that is none is refused" "$ENCORE" ctl "unix:$WORK/ctl" keys zz
    exec 3>&-
fi
wait $pid
expect "network: user: ping" user "2 packets received"
check "network: user: TCP both ways through a forwarded port" cmp "$WORK/sent" "$WORK/received"
verify user
if "$ENCORE" log dump --type OPERATOR "$WORK/user.enc" | grep -q 'OPERATOR command 3 (balloon), 4 bytes'; then
    ok "ctl: the order is in the log"
else
    not_ok "ctl: the order is in the log" "$("$ENCORE" log dump --type OPERATOR "$WORK/user.enc")"
fi
# What cannot be compressed costs hardly more than itself. (The boot is a few KB.)
bytes=$(stat -c %s "$WORK/user.enc")
if [ "$bytes" -le $((SIZE * 105 / 100)) ]; then
    ok "network: user: the log is at most 1.05 of what was received"
else
    not_ok "network: user: the log is at most 1.05 of what was received" "$bytes bytes for $SIZE"
fi

# What a replay captures.
"$ENCORE" replay --verify --pcap "$WORK/a.pcap" --cast "$WORK/a.cast" "$WORK/user.enc" >/dev/null
"$ENCORE" log export --pcap "$WORK/b.pcap" --cast "$WORK/b.cast" "$WORK/user.enc"
check "capture: log export writes what replay writes" cmp "$WORK/a.pcap" "$WORK/b.pcap"
check "capture: ... and for the console too" cmp "$WORK/a.cast" "$WORK/b.cast"
# Every frame's header leads to the next, to the end of the file; and all that was echoed is in there, twice.
walk_pcap() {
    od -An -v -tu4 -w4 --endian=little -N 24 "$1" | awk 'NR == 1 && $1 != 2712812621 { exit 1 }' || return 1
    local size at=24 frames=0 length
    size=$(stat -c %s "$1")
    while ((at < size && frames < 300)); do
        length=$(od -An -tu4 --endian=little -j $((at + 8)) -N 4 "$1") || return 1
        ((length >= 14 && length <= 1518)) || return 1
        at=$((at + 16 + length)) frames=$((frames + 1))
    done
    ((at <= size && size > 2 * SIZE))
}
check "capture: the pcap file holds together" walk_pcap "$WORK/a.pcap"
if command -v tshark >/dev/null; then
    retold=$(tshark -r "$WORK/a.pcap" -T fields -e tcp.len 2>/dev/null | awk '{ n += $1 } END { print n }')
    check "capture: tshark finds all that was sent, both ways" test "${retold:-0}" -ge $((2 * SIZE))
else
    skip "capture: tshark finds all that was sent, both ways" "tshark is not installed"
fi
head -n 1 "$WORK/a.cast" >"$WORK/head"
check "capture: the asciicast says that it is one" grep -q '^{"version": 2, "width": 80, ' "$WORK/head"
# An event is what the console said at one time, which may be a part of a line: what they hold is read as one text.
sed -n 's/^\[[0-9.]*, "o", "\(.*\)"]$/\1/p' "$WORK/a.cast" | tr -d '\n' >"$WORK/said"
check "capture: the console is in it" grep -q '2 packets transmitted, 2 packets received' "$WORK/said"

# Two guests, each recorded, on one cable.
record_linux left "gateway= then=ping,-c,12,-q,10.0.2.16;poweroff,-f" --net "unix:$WORK/cable,listen"
left=$pid
for ((n = 0; n < 100; n++)); do [ -S "$WORK/cable" ] && break || sleep 0.1; done
record_linux right "address=10.0.2.16/24 gateway= then=ping,-c,3,10.0.2.15;poweroff,-f" \
    --net "unix:$WORK/cable,mac=52:54:00:00:00:02"
wait $pid
wait $left
expect "network: two guests on a Unix socket: one hears the other" right "3 packets received"
expect "network: ... and the other the one" left "packets received"
verify left
verify right
finish
