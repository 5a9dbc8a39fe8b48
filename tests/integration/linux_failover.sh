#!/bin/bash
# A Linux guest on a primary that is killed: a TCP connection from the host into the guest, through taps on a bridge in a
# network namespace of the test's own, goes on with the backup, and what is transferred is right to the last byte.
. tests/lib.sh

LINUX=$BUILD/linux
name="linux failover: a TCP connection survives SIGKILL of the primary"
[ "${SANITIZED:-0}" = 1 ] && { skip "$name" "a boot takes minutes under the sanitizers; it is run without" && finish; }
[ "$(id -u)" -eq 0 ] && [ -c /dev/net/tun ] && command -v ip >/dev/null ||
    { skip "$name" "it needs root, /dev/net/tun and iproute2" && finish; }
space=encore-test-$$
ip netns add "$space" 2>/dev/null || { skip "$name" "no network namespace may be made here" && finish; }
inside() { ip netns exec "$space" "$@"; }
pids=
# shellcheck disable=SC2086
trap 'kill -9 $pids 2>/dev/null; ip netns del "$space" 2>/dev/null; rm -rf "$WORK"' EXIT
for side in a b; do inside ip tuntap add "tap-$side" mode tap || { skip "$name" "no tap interface may be made here" && finish; }; done
log=$(tools/linux_guest.sh "$LINUX" 2>&1) || { skip "$name" "$(echo "$log" | tail -n 1)" && finish; }

inside ip link add bridge type bridge
inside ip address add 10.99.0.1/24 dev bridge
for link in lo bridge tap-a tap-b; do inside ip link set "$link" up; done
for side in a b; do inside ip link set "tap-$side" master bridge; done

chmod 700 "$WORK"
mkfifo "$WORK/silence" # for those who have nothing to say, and no end of it
patient='--suspect-after 1s --beat-every 100ms' # other tests are about a short suspicion; hosts of tests are busy
a=ipc://$WORK/a b=ipc://$WORK/b
# The guest serves what it counts: 8 MB, each line of which says where it belongs.
# shellcheck disable=SC2086
ip netns exec "$space" "$ENCORE" primary $patient --engine soft --mem 256M --initrd "$LINUX/initrd" --net tap:tap-a --listen "$a" \
    --arbiter "file:$WORK/arbiter" --cmdline "console=ttyS0 quiet panic=-1 address=10.99.0.2/24 gateway= \
then=seq,1,1200000|nc,-l,-p,8080;sleep,1;poweroff,-f" "$LINUX/vmlinuz" >"$WORK/a.out" 2>"$WORK/a.err" &
primary=$!
pids="$pids $primary"
ip netns exec "$space" "$ENCORE" console --all "$a,$b" >"$WORK/console" 2>/dev/null <>"$WORK/silence" &
pids="$pids $!"
wait_for() { # SECONDS COMMAND...
    local n=$(($1 * 10))
    shift
    while [ $n -gt 0 ]; do
        "$@" && return 0
        sleep 0.1
        n=$((n - 1))
    done
    return 1
}
ready() { grep -q 'init: ready' "$WORK/console"; }
joined() { grep -q 'ready to take over' "$WORK/b.err"; }
got() { [ "$(stat -c %s "$WORK/got" 2>/dev/null || echo 0)" -gt "$1" ]; }
done_with_it() { ! kill -0 "$client" 2>/dev/null; }

wait_for 120 ready || not_ok "$name" "the guest did not boot: $(tail -n 5 "$WORK/console" "$WORK/a.err")"
# shellcheck disable=SC2086
ip netns exec "$space" "$ENCORE" backup $patient --connect "$a" --listen "$b" --arbiter "file:$WORK/arbiter" --net tap:tap-b \
    >"$WORK/b.out" 2>"$WORK/b.err" &
pids="$pids $!"
wait_for 60 joined || not_ok "$name" "the backup did not join: $(cat "$WORK/b.err")"

ip netns exec "$space" "$LINUX/root/bin/busybox" nc 10.99.0.2 8080 >"$WORK/got" <>"$WORK/silence" &
client=$!
pids="$pids $client"
wait_for 60 got 1000000
before=$(stat -c %s "$WORK/got")
kill -9 "$primary"
wait "$primary" 2>/dev/null
wait_for 120 done_with_it
wanted=$(seq 1 1200000 | sha256sum)
total=$(seq 1 1200000 | wc -c)
if grep -q 'won epoch' "$WORK/b.err" && [ "$before" -lt "$total" ] && [ "$(sha256sum <"$WORK/got")" = "$wanted" ]; then
    ok "$name"
else
    not_ok "$name" "killed after $before bytes; the client got $(stat -c %s "$WORK/got") of $total
$(tail -n 8 "$WORK/a.err" "$WORK/b.err" "$WORK/console")
again: BUILD=$BUILD $0"
fi
finish
