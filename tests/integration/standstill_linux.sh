#!/bin/bash
# tests/run: alone
# Debian's Linux as the guest, and its operator: a stop of the host's process that is longer than its watchdogs allow leaves no
# trace; its memory balloon gives way before programs are killed; it is notified of a new generation. All of it replays to the
# same digest.
. tests/lib.sh
. tests/tools/recording.sh
ENGINE=soft
LINUX=$BUILD/linux
skip_all() {
    skip "standstill: Linux" "$1"
    finish
}
[ "$SANITIZED" = 1 ] && skip_all "a boot takes minutes under the sanitizers; it is run without"
if ! log=$(tools/linux_guest.sh "$LINUX" 2>&1); then skip_all "$(echo "$log" | tail -n 1)"; fi
mkfifo "$WORK/keyboard"
exec 4<>"$WORK/keyboard"

wait_for() { # TEXT: until the guest has printed it, for a minute at most
    for _ in $(seq 1200); do
        tr -d '\r' <"$WORK/out" | grep -q -- "$1" && return
        sleep 0.05
    done
    return 1
}
line() { printf '%s\n' "$1" >&4; }
boot() { # OPTION...: records a Linux guest, up to its shell's prompt
    log=$WORK/linux.enc
    rm -f "$log"
    : >"$WORK/out"
    "$ENCORE" record --engine soft --mem 128M --initrd "$LINUX/initrd" -o "$log" --control "unix:$WORK/control" \
        --cmdline 'console=ttyS0 panic=-1 quiet watchdog_thresh=2 rcupdate.rcu_cpu_stall_timeout=3' "$@" "$LINUX/vmlinuz" \
        <&4 >"$WORK/out" 2>"$WORK/err" &
    process=$!
    wait_for '^/ # ' || not_ok "standstill: Linux boots" "$(cat "$WORK/out" "$WORK/err")"
}
# over: the guest has turned itself off.
over() {
    wait $process
    code=$?
    digest=$(digest_in "$WORK/out")
    recorded_as="see $0"
    if [ $code -eq 0 ] && verifies "$digest"; then
        ok "$1: it replays"
    else
        not_ok "$1: it replays" "exit codes $code, $replay_code: $(tail -n 5 "$WORK/out" "$WORK/err" "$WORK/replayed" "$WORK/replay.err")"
    fi
}
# stopped CLOCK: a guest that computes is stopped for 8 s; its soft-lockup watchdog fires after 4.
stopped() {
    boot --clock "$1"
    line 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo count''ed'
    sleep 1
    kill -STOP $process
    sleep 8
    kill -CONT $process
    wait_for '^counted'
    line 'sleep 4; dmesg | grep -ciE "soft lockup|self-detected stall|detected stalls|clocksource: (Long|Marking)" | sed s/^/complaints-/'
    wait_for '^complaints-[0-9]'
    complaints=$(tr -d '\r' <"$WORK/out" | sed -n 's/^complaints-\([0-9]\)/\1/p')
}
stopped host
what="standstill: Linux takes a stop of 8 s for no lockup"
[ "$complaints" = 0 ] && ok "$what" || not_ok "$what" "$complaints complaints: $(cat "$WORK/out")"

# --- a new generation: the event is counted, and memory has the new number
event='cat /sys/firmware/acpi/interrupts/gpe05 | sed "s/^ *\([0-9]*\).*/event-\1/"'
line "$event"
wait_for '^event-0'
check "generation: an operator's order" "$ENCORE" ctl "unix:$WORK/control" new-generation 00112233445566778899aabbccddeeff
line "$event"
what="generation: Linux is notified"
wait_for '^event-1' && ok "$what" || not_ok "$what" "$(tail -n 5 "$WORK/out")"
line 'dd if=/dev/mem bs=16 skip=$((0xef000 / 16)) count=1 2>/dev/null | od -An -tx1 | tr -d " "'
what="generation: the number is where the tables say"
wait_for '^00112233445566778899aabbccddeeff' && ok "$what" || not_ok "$what" "$(tail -n 5 "$WORK/out")"
line "cat /sys/bus/acpi/devices/ENCR0001:00/hid; poweroff -f"
over "standstill and generation"
"$ENCORE" log dump --type OPERATOR "$log" >"$WORK/dump"
check "generation: it is in the log" grep -q 'command 6 (new-generation), 16 bytes' "$WORK/dump"

stopped host,catch-up
line "poweroff -f"
what="standstill: with catch-up Linux does complain"
[ "$complaints" != 0 ] && ok "$what" || not_ok "$what" "$complaints complaints: $(cat "$WORK/out")"
over "standstill with catch-up"

# --- nearly all memory is in the balloon, and then a program wants more than is left
boot
line 'grep -o 1 /sys/bus/virtio/drivers/virtio_balloon/virtio*/features | wc -l; cut -c3 /sys/bus/virtio/drivers/virtio_balloon/virtio*/features | sed s/^/oom-/'
wait_for '^oom-[01]'
check "balloon: Linux takes the feature" grep -q '^oom-1' "$WORK/out"
check "balloon: an operator's order" "$ENCORE" ctl "unix:$WORK/control" balloon 100M
line 'while [ $(free -m | awk "/Mem/ { print \$7 }") -gt 12 ]; do usleep 100000; done; free -m | awk "/Mem/ { print \"left-\" \$7 }"'
wait_for '^left-[0-9]'
line 'sleep 3; mount -t tmpfs -o size=60m t /mnt; head -c 40000000 /dev/zero | tr "\0" x >/mnt/big; wc -c </mnt/big | sed s/^/has-/; dmesg | grep -c "Killed process" | sed s/^/killed-/'
wait_for '^killed-[0-9]'
what="balloon: a program gets more than the balloon has left, and none is killed"
grep -q '^has-40000000' "$WORK/out" && grep -q '^killed-0' "$WORK/out" && ok "$what" || not_ok "$what" "$(tail -n 30 "$WORK/out")"
line "poweroff -f"
over "balloon"
exec 4>&-
finish
