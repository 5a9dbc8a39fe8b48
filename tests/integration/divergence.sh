#!/bin/sh
# A log with one thing changed in it, with sound checksums, must not replay: exit code 3 and a report, never "identical",
# never a crash.
. tests/lib.sh
. tests/tools/recording.sh
each_engine
need_engine "divergence: a doctored log is caught" || finish
check "divergence: tests/tools/log_doctor.c builds" build_doctor
[ -x "$DOCTOR" ] || finish

cat >"$WORK/script" <<'END_OF_SCRIPT'
wait "kv ready\n"
line SET a first value
wait "OK\n"
line RANDOM
wait "RANDOM "
line TIME
wait "ticks "
repeat 10
  line INCR n
  wait "VALUE "
end
line SLEEP 5
wait "OK\n"
line DUMP
wait "END "
line QUIT
END_OF_SCRIPT
record_guest kv --checkpoint-every 10ms --input "$WORK/script" "$GUESTS/kv" </dev/null
record_guest tasks --checkpoint-every 20ms --cmdline 'ticks=40 hz=500' "$GUESTS/tasks" </dev/null
record_guest triple --cmdline triple "$GUESTS/faulty" </dev/null

# doctor GUEST TYPE NUMBER CHANGE: $log is then the doctored log, $record the number of what was changed.
doctor() {
    log=$WORK/$1-$2-$3-$4.enc
    record=$("$DOCTOR" "$WORK/$1.enc" "$log" "$2" "$3" "$4" 2>"$WORK/doctor.err") && return
    not_ok "$what" "the doctor failed: $(cat "$WORK/doctor.err")"
    return 1
}
complain() {
    not_ok "$what" "$1
$(tail -n 60 "$WORK/verify.out" "$WORK/verify.err")
again: $ENCORE replay --verify $(keep "$log")"
}

# caught GUEST TYPE NUMBER CHANGE [PATTERN]: the replay diverges at the changed record or later, and says all it should;
# PATTERN is in the report.
caught() {
    what="divergence: $1, $2 $3, $4"
    doctor "$1" "$2" "$3" "$4" || return
    check "$what: the log is sound by itself" "$ENCORE" log verify "$log"
    encore replay --verify "$log" >"$WORK/verify.out" 2>"$WORK/verify.err"
    replay_code=$?
    [ $replay_code -eq 3 ] || { complain "exit code $replay_code, not 3"; return; }
    grep -q identical "$WORK/verify.out" && { complain "it said identical"; return; }
    at=$(sed -n 's/^.*the replay diverged at record \([0-9]*\) .*/\1/p' "$WORK/verify.err")
    [ -n "$at" ] && [ "$at" -ge "$record" ] || { complain "found at record '$at', changed was $record"; return; }
    for part in '  record: ' '  expected: ' '  got: ' 'registers' 'rip' 'rsp' 'r15' 'last inputs before it' "${5:-.}"; do
        grep -q "$part" "$WORK/verify.err" || { complain "the report lacks: $part"; return; }
    done
    # Printing replays must notice just as well.
    encore replay "$log" >"$WORK/verify.out" 2>"$WORK/verify.err"
    replay_code=$?
    [ $replay_code -eq 3 ] || { complain "without --verify: exit code $replay_code, not 3"; return; }
    ok "$what"
}

# refused GUEST TYPE NUMBER CHANGE OPTIONS: as above, or one sentence and exit code 2 for what can be seen at once.
refused() {
    what="divergence: $1, $2 $3, $4"
    options=$5
    doctor "$1" "$2" "$3" "$4" || return
    # shellcheck disable=SC2086
    encore replay --verify $options "$log" >"$WORK/verify.out" 2>"$WORK/verify.err"
    replay_code=$?
    [ $replay_code -eq 2 ] || [ $replay_code -eq 3 ] || { complain "exit code $replay_code, not 2 or 3"; return; }
    [ $replay_code -eq 3 ] || [ "$(wc -l <"$WORK/verify.err")" -eq 1 ] || { complain "not one sentence"; return; }
    grep -q identical "$WORK/verify.out" && { complain "it said identical"; return; }
    ok "$what"
}

# Inputs.
caught kv CONSOLE_IN 0 byte 'CONSOLE_IN.*"RET a'
caught kv CONSOLE_IN 5 byte 'CONSOLE_IN'
caught kv CONSOLE_IN 3 drop
caught kv CONSOLE_IN 3 twice
caught kv CONSOLE_IN 2 exits
caught kv ENTROPY 0 byte 'ENTROPY'
caught kv ENTROPY 0 drop 'entropy'
caught kv ENTROPY 0 exits
caught kv CLOCK_READ 0 drop 'clock'
caught kv CLOCK_READ 0 exits
caught kv CLOCK_READ 0 huge
# A TIME that brings a timer interrupt. (Of others, one that is soon followed by the next may well go unnoticed.)
"$ENCORE" log dump --type TIME "$WORK/tasks.enc" >"$WORK/times"
tick=$(awk 'NR > 7 && /deadline/ { print NR - 2; exit }' "$WORK/times")
caught tasks TIME "$tick" later 'TIME'
caught tasks TIME "$tick" back
caught tasks TIME "$tick" huge
caught tasks TIME "$tick" drop
caught tasks TIME "$tick" exits
# One that stands between two exits, as nearly all of them do, where the engine can count instructions.
if "$ENCORE" log export --json "$WORK/tasks.enc" | head -n 1 | grep -q '"tick_unit":"none"'; then
    skip "divergence: tasks, TIME, ticks and rip" "this host's KVM counts no instructions"
else
    between=$(awk 'NR > 7 && /, tick / { print NR - 2; exit }' "$WORK/times")
    caught tasks TIME "$between" ticks
    caught tasks TIME "$between" rip
fi

# What the guest did.
caught kv OUTPUT 3 hash 'expected: *[0-9]* bytes of output, hash'
caught kv OUTPUT 2 length 'expected: *[0-9]* bytes of output'
caught kv OUTPUT 4 drop
caught kv CHECKPOINT 1 digest 'expected: *digest'
caught kv END 0 digest 'expected: *digest'
caught kv END 0 value
caught kv END 0 reason
caught tasks CHECKPOINT 1 digest 'expected: *digest'
caught tasks END 0 digest 'expected: *digest'
caught triple END 0 reason
caught triple END 0 digest

# Each type in turn is the first record that disagrees, before the guest has run at all and in the midst of its work: with
# the largest fields there can be, and bytes that would steer a terminal.
blamed() { # GUEST TYPE NUMBER INSERTED
    what="divergence: $1, a $4 that no machine agrees with before $2 $3"
    doctor "$1" "$2" "$3" "insert:$4" || return
    encore replay --verify "$log" >"$WORK/verify.out" 2>"$WORK/verify.err"
    replay_code=$?
    [ $replay_code -eq 3 ] || { complain "exit code $replay_code, not 3"; return; }
    for part in "the replay diverged at record $record " "  record: .*: $4 " '  expected: ' '  got: ' 'registers at exit' \
        'r15' 'last inputs before it'; do
        grep -q "$part" "$WORK/verify.err" || { complain "the report lacks: $part"; return; }
    done
    LC_ALL=C grep -q '[^ -~]' "$WORK/verify.err" && { complain "the report steers the terminal"; return; }
    [ "$(wc -c <"$WORK/verify.err")" -lt 8192 ] || { complain "the report is too long"; return; }
    ok "$what"
}
for type in TIME CLOCK_READ CONSOLE_IN ENTROPY OPERATOR OUTPUT DIGEST CHECKPOINT END FRAME_IN DISK_ERROR; do
    blamed kv ANY 0 $type
    blamed kv OUTPUT 5 $type
done

# At a checkpoint the log knows the registers and pages that should have been: the report shows both.
what="divergence: registers and pages side by side"
doctor kv CHECKPOINT 1 digest && {
    encore replay --verify "$log" >"$WORK/verify.out" 2>"$WORK/verify.err"
    if grep -q 'the whole processor state is the same' "$WORK/verify.err" &&
        grep -q '^pages: none of those in the checkpoint differ' "$WORK/verify.err"; then
        ok "$what"
    else
        complain "a checkpoint of which only the digest was changed has the same registers and pages"
    fi
}

# A damaged checkpoint is never started from.
refused kv CHECKPOINT 1 blob '--from 1'
refused kv CHECKPOINT 1 digest '--from 1'
refused tasks CHECKPOINT 0 blob '--from 1'

# DIGEST records stand in logs of more than a second.
{ sleep 2.6 && echo QUIT; } | record_guest idle "$GUESTS/kv"
caught idle DIGEST 1 digest 'expected: *digest'

# The machine's description.
described() { # WHAT TEXT OTHER CODE
    what="divergence: the description, $1"
    log=$WORK/tasks-header.enc
    rm -f "$log"
    if ! "$DOCTOR" "$WORK/tasks.enc" "$log" HEADER "$2" "$3" 2>"$WORK/doctor.err"; then
        not_ok "$what" "the doctor failed: $(cat "$WORK/doctor.err"): $("$ENCORE" log export --json "$WORK/tasks.enc" | head -n 1)"
        return
    fi
    encore replay --verify "$log" >"$WORK/verify.out" 2>"$WORK/verify.err"
    replay_code=$?
    [ $replay_code -eq "$4" ] || { complain "exit code $replay_code, not $4"; return; }
    [ "$4" -ne 2 ] || [ "$(wc -l <"$WORK/verify.err")" -eq 1 ] || { complain "not one sentence"; return; }
    ok "$what"
}
described "another command line" 'hz=500' 'hz=501' 3
described "memory beyond all bounds" '"ram":67108864' '"ram":6710886400000' 2
described "negative memory" '"ram":67108864' '"ram":-1' 2
described "memory that is a text" '"ram":67108864' '"ram":"64M"' 2
described "no memory" '"ram":67108864' '"rams":67108864' 2
described "less memory" '"ram":67108864' '"ram":33554432' 3
described "an engine of no such name" '"engine":"' '"engine":"x' 2
described "other ticks" '"tick_unit":"' '"tick_unit":"x' 2
described "a clock of no such name" '"clock":"host"' '"clock":"sundial"' 2
described "a protocol of no such name" 'elf64' 'elf46' 2
described "an image of another size" '"size":' '"size":1' 2
finish
