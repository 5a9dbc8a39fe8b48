#!/bin/sh
# A time in which nothing ran, the host's process being stopped, is not guest time: a guest's clocks go on from where they
# were. With --clock host,catch-up they jump to the host's time. Either way it replays.
. tests/lib.sh
. tests/tools/recording.sh
ENGINE=soft
STOP=4

mkfifo "$WORK/keyboard"
exec 4<>"$WORK/keyboard"
# The guest's real-time clock, in seconds of the day, at its n-th TIME.
seconds() { tr -d '\r' <"$WORK/out" | sed -n 's/^TIME [^ ]* 0*\([0-9]*\):0*\([0-9]*\):0*\([0-9]*\) .*/\1 \2 \3/p' | sed -n "$1p" |
    awk '{ print $1 * 3600 + $2 * 60 + $3 }'; }
wait_for() { # TEXT
    for _ in $(seq 400); do
        grep -q "$1" "$WORK/out" && return
        sleep 0.05
    done
}
# stopped CLOCK: sets $passed, the seconds that the guest's clock went on over a stop.
stopped() {
    log=$WORK/stopped.enc
    rm -f "$log"
    "$ENCORE" record --engine soft --clock "$1" -o "$log" "$GUESTS/kv" <&4 >"$WORK/out" 2>"$WORK/err" &
    process=$!
    wait_for 'kv ready'
    echo TIME >&4
    wait_for '^TIME'
    kill -STOP $process
    sleep $STOP
    kill -CONT $process
    printf 'SLEEP 5\nTIME\nQUIT\n' >&4
    wait $process
    code=$?
    passed=$((($(seconds 2) - $(seconds 1) + 86400) % 86400))
    digest=$(digest_in "$WORK/out")
}
stopped host
what="standstill: a stop of $STOP s is not guest time"
[ $code -eq 1 ] && [ "$passed" -lt 3 ] && ok "$what" || not_ok "$what" "exit code $code, $passed s passed: $(cat "$WORK/out" "$WORK/err")"
check "standstill: it replays" verifies "$digest"
stopped host,catch-up
what="standstill: with catch-up it is"
[ $code -eq 1 ] && [ "$passed" -ge $((STOP - 1)) ] && ok "$what" || not_ok "$what" "exit code $code, $passed s passed: $(cat "$WORK/out" "$WORK/err")"
check "standstill: with catch-up it replays" verifies "$digest"
# --- an operator sets the clock right, or wrong; and the balloon is no larger than the guest
log=$WORK/set.enc
rm -f "$WORK/out"
"$ENCORE" record --engine soft --mem 64M --control "unix:$WORK/control" -o "$log" "$GUESTS/kv" <&4 >"$WORK/out" 2>"$WORK/err" &
process=$!
wait_for 'kv ready'
check "set-time: a given time" "$ENCORE" ctl "unix:$WORK/control" set-time 2031-02-03T04:05:06
echo TIME >&4
wait_for '^TIME 2031'
check "set-time: now" "$ENCORE" ctl "unix:$WORK/control" set-time
check_exit 2 "set-time: what is no time is refused" "$ENCORE" ctl "unix:$WORK/control" set-time yesterday
check_exit 2 "balloon: more than the guest has is refused" "$ENCORE" ctl "unix:$WORK/control" balloon 65M
case $output in
*'has 64 MiB of memory, and cannot give up 65 MiB') ok "balloon: with a sentence" ;;
*) not_ok "balloon: with a sentence" "$output" ;;
esac
check "balloon: all that it has" "$ENCORE" ctl "unix:$WORK/control" balloon 64M
year=$(date -u +%Y)
printf 'TIME\nQUIT\n' >&4
wait $process
digest=$(digest_in "$WORK/out")
what="set-time: the guest's clock shows it"
grep -q '^TIME 2031-02-03 04:05:0' "$WORK/out" && grep -q "^TIME $year" "$WORK/out" && ok "$what" || not_ok "$what" "$(cat "$WORK/out")"
what="set-time: it is in the log"
"$ENCORE" log dump --type OPERATOR "$log" >"$WORK/dump"
[ "$(grep -c 'command 5 (set-time), 8 bytes' "$WORK/dump")" -eq 2 ] && ok "$what" || not_ok "$what" "$(cat "$WORK/dump")"
check "set-time: it replays" verifies "$digest"
exec 4>&-
finish
