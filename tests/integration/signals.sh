#!/bin/sh
# Recordings that do not end by themselves: SIGINT, SIGTERM and SIGHUP, SIGKILL, a log cut off anywhere, a disk that is full. What
# is in the log replays. And: no file is overwritten unasked, and none is left behind.
. tests/lib.sh
. tests/tools/recording.sh
each_engine
need_engine "signals: recordings that are cut short" || finish

wait_until() { # COMMAND...: up to 20 s
    for _ in $(seq 400); do
        "$@" && return
        sleep 0.05
    done
    return 1
}

# in_background NAME OPTION... IMAGE: starts a recording that reads from descriptor 4, and waits until its log is there.
# A shell starts its background processes with SIGINT ignored; env undoes that.
in_background() {
    log=$WORK/$1.enc
    recording=$WORK/$1
    recorded_as="$ENCORE record --engine $ENGINE"
    shift
    for word in "$@"; do recorded_as="$recorded_as '$word'"; done
    rm -f "$log"
    timeout --foreground --kill-after=5 "$LIMIT" env --default-signal=INT,HUP sh -c 'echo $$ >"$1.pid"; shift; exec "$@"' \
        sh "$recording" "$ENCORE" record --engine "$ENGINE" -o "$log" "$@" <&4 >"$recording.all" 2>"$recording.err" &
    waiter=$!
    wait_until test -e "$log"
}
stop_it() { # SIGNAL
    kill "-$1" "$(cat "$recording.pid")" 2>/dev/null
    wait $waiter
    code=$?
}
mkfifo "$WORK/keyboard"
exec 4<>"$WORK/keyboard" # open at both ends: the guest's console never ends

# ended_by SIGNAL LABEL SECONDS OPTION... IMAGE: the recording ends with exit code 130 and a whole log that replays to
# the same digest, or says that the place where it stopped has no name.
ended_by() {
    signal=$1
    what="signals: $signal, $2"
    name_of_log=$(echo "$2-$1" | tr ' ' '-')
    seconds=$3
    shift 3
    in_background "$name_of_log" "$@" || { blame "no log" "$recorded_as"; return; }
    sleep "$seconds"
    stop_it "$signal"
    digest=$(digest_in "$recording.all")
    if [ $code -ne 130 ] || [ -z "$digest" ] || ! encore log verify "$log" >/dev/null; then
        blame "exit code $code: $(cat "$recording.err")" "$recorded_as -o x.enc; kill -$signal"
        return
    fi
    wanted=$digest
    encore replay --verify "$log" >"$WORK/replayed" 2>"$WORK/replay.err"
    replay_code=$?
    grep -q 'no name' "$recording.err" && wanted=$(digest_in "$WORK/replayed")
    if [ $replay_code -ne 0 ] || ! grep -q "digest $wanted identical" "$WORK/replayed"; then
        blame "replay: exit code $replay_code, digest recorded $digest
$(tail -n 30 "$WORK/replayed" "$WORK/replay.err")" "$ENCORE replay --verify $(keep "$log")"
        return
    fi
    ok "$what"
}
{ # a boot sector: jmp $
    printf '\353\376'
    head -c 508 /dev/zero
    printf '\125\252'
} >"$WORK/loop"
for signal in INT TERM HUP; do
    ended_by $signal "idle kv" 0.3 "$GUESTS/kv"
    ended_by $signal "kv with checkpoints" 0.5 --checkpoint-every 50ms "$GUESTS/kv"
    ended_by $signal "computing kernel" 0.4 "$WORK/loop"
    ended_by $signal "sieve" 0.4 --cmdline 'n=2000000 rounds=1000000' "$GUESTS/sieve"
    ended_by $signal "two tasks" 0.2 --cmdline 'iterations=1000000000 hz=1000' "$GUESTS/tasks"
    ended_by $signal "interrupts" 0.4 --cmdline rate=10000 "$GUESTS/storm"
    ended_by $signal "user code" 0.5 --cmdline rounds=100000000 "$GUESTS/user"
done

# The last line of a file, of a replay that went as far as the log does.
broke_off() { tail -n 1 "$1" | grep -q 'identical so far: [0-9]* records, to [0-9.]* s; then the log breaks off (.*)$'; }

# replays_up_to_there WHAT WHOLE: $log replays, prints a beginning of what file WHOLE holds, and says that it broke off:
# exit code 4, and with --partial 0.
replays_up_to_there() {
    what=$1
    encore replay --verify "$log" >"$WORK/replayed" 2>"$WORK/replay.err"
    replay_code=$?
    if [ $replay_code -ne 4 ] || ! broke_off "$WORK/replayed" || grep -q 'identical$' "$WORK/replayed"; then
        blame "replay --verify: exit code $replay_code: $(cat "$WORK/replayed" "$WORK/replay.err")" \
            "$ENCORE replay --verify $(keep "$log")"
        return 1
    fi
    check_exit 0 "$what: with --partial that is good" "$ENCORE" replay --verify --partial "$log"
    encore replay "$log" >"$WORK/printed" 2>"$WORK/replay.err"
    replay_code=$?
    printed=$(wc -c <"$WORK/printed")
    if [ $replay_code -ne 4 ] || ! broke_off "$WORK/replay.err" || ! head -c "$printed" "$2" | cmp -s - "$WORK/printed"; then
        blame "replay: exit code $replay_code: $(cat "$WORK/replay.err"); printed:
$(tail -n 3 "$WORK/printed")" "$ENCORE replay $(keep "$log")"
        return 1
    fi
    check_exit 4 "$what: log verify says where it breaks off" "$ENCORE" log verify "$log"
    ok "$what"
}

# --- SIGKILL
killed() { # LABEL SECONDS OPTION... IMAGE
    label="signals: KILL, $1 after $2 s"
    name_of_log=$(echo "killed-$1-$2" | tr ' ' '-')
    seconds=$2
    shift 2
    what=$label
    in_background "$name_of_log" "$@" || { blame "no log" "$recorded_as"; return; }
    echo 'SET a b' >&4
    sleep "$seconds"
    { stop_it KILL; } 2>/dev/null
    replays_up_to_there "$label" "$recording.all"
}
for seconds in 0 0.1 0.7 1.2 2.3; do
    killed kv $seconds --checkpoint-every 300ms "$GUESTS/kv"
done
killed storm 1.4 --cmdline rate=2000 "$GUESTS/storm"
killed user 1.6 --checkpoint-every 300ms --cmdline rounds=100000000 "$GUESTS/user"

# A log that is not finished has its checkpoints all the same.
what="signals: KILL, replay from the last checkpoint"
log=$WORK/killed-kv-2.3.enc
last=$(checkpoint_ids | tail -n 1)
if [ -n "$last" ] && encore replay --verify --partial --from "$last" "$log" >"$WORK/replayed" 2>"$WORK/replay.err" &&
    broke_off "$WORK/replayed"; then
    ok "$what"
else
    blame "checkpoint '$last': $(cat "$WORK/replayed" "$WORK/replay.err")" "$ENCORE checkpoint list $(keep "$log")"
fi
# What the recorder had shown its user a second before it was killed is in the log.
what="signals: KILL, output older than a second or so is in the log"
encore replay "$log" 2>/dev/null | grep -q 'kv ready' && ok "$what" || blame "it is not" "$ENCORE replay $(keep "$log")"

# --- a log that is cut off
yes 'INCR n' | head -n 100 >"$WORK/lines"
echo QUIT >>"$WORK/lines"
record_guest whole --checkpoint-every 10ms "$GUESTS/kv" <"$WORK/lines"
log=$WORK/whole.enc
size=$(wc -c <"$log")
header=$(od -An -tu4 -j 12 -N 4 "$log" | tr -d ' ')
"$ENCORE" log dump "$log" >"$WORK/dump"
last_frame=$(tail -n 1 "$WORK/dump" | awk '{ print $3 }')
for at in "$header" $((header + 1)) $((header + 31)) $((header + 33)) $((size / 4)) $((size / 2)) $((size * 3 / 4)) \
    $((last_frame - 1)) $((last_frame + 40)); do
    log=$WORK/cut.enc
    head -c "$at" "$WORK/whole.enc" >"$log"
    replays_up_to_there "cut off: at byte $at" "$WORK/whole.out"
done
log=$WORK/cut.enc
head -c $((size - 1)) "$WORK/whole.enc" >"$log" # only the index is not whole
what="cut off: without its index a log replays to its end, and is not whole all the same"
encore replay --verify "$log" >"$WORK/replayed" 2>"$WORK/replay.err"
[ $? -eq 4 ] && broke_off "$WORK/replayed" && [ "$(digest_in "$WORK/replayed")" = "$(digest_in "$WORK/whole.all")" ] &&
    ok "$what" || blame "$(cat "$WORK/replay.err")" "$ENCORE replay --verify $(keep "$log")"
for at in 0 1 9 39 $((header - 1)); do
    head -c "$at" "$WORK/whole.enc" >"$log"
    check_exit 2 "cut off: at byte $at, in the header" "$ENCORE" replay --verify "$log"
done

# --- files: nothing is overwritten unasked, nothing stays behind
mkdir "$WORK/files"
echo precious >"$WORK/files/log.enc"
kept_log() { [ "$(cat "$WORK/files/log.enc")" = precious ] && [ "$(ls "$WORK/files")" = log.enc ]; }
one_sentence() { # CODE COMMAND...: this exit code, nothing on standard output, one line on standard error
    expected=$1
    shift
    encore "$@" >"$WORK/said.out" 2>"$WORK/said" </dev/null
    said_code=$?
    cat "$WORK/said.out" "$WORK/said"
    [ $said_code -eq "$expected" ] && [ "$(wc -l <"$WORK/said")" -eq 1 ] && [ ! -s "$WORK/said.out" ]
}
check "files: an existing file is refused" one_sentence 2 record --engine "$ENGINE" -o "$WORK/files/log.enc" "$GUESTS/bootsec"
check "files: and is as it was" kept_log
check "files: --force does not destroy it when the image is missing" one_sentence 2 record --engine "$ENGINE" --force \
    -o "$WORK/files/log.enc" "$WORK/missing"
check "files: it is as it was, and no temporary file" kept_log
printf 'frobnicate\n' >"$WORK/bad-script"
check "files: nor when the script is bad" one_sentence 2 record --engine "$ENGINE" --force --input "$WORK/bad-script" \
    -o "$WORK/files/log.enc" "$GUESTS/kv"
check "files: it is as it was, and no temporary file" kept_log
check_exit 1 "files: --force replaces it" "$ENCORE" record --engine "$ENGINE" --force -o "$WORK/files/log.enc" "$GUESTS/bootsec"
check "files: by a log" "$ENCORE" log verify "$WORK/files/log.enc"
check "files: and no temporary file" test "$(ls "$WORK/files")" = log.enc
check "files: a log is its owner's alone" test "$(stat -c %a "$WORK/files/log.enc")" = 600

# --- a full disk
# full_disk LABEL COMMAND...: a recording that the disk has no room for is reported with exit code 1, and replays.
full_disk() {
    what="full disk: $1"
    log=$2
    shift 2
    "$@" >"$WORK/full.all" 2>"$WORK/full.err" </dev/null
    code=$?
    if [ $code -ne 1 ] || [ "$(wc -l <"$WORK/full.err")" -ne 1 ] || ! grep -q "$(basename "$log")" "$WORK/full.err"; then
        blame "exit code $code: $(cat "$WORK/full.err")" "$*"
        return
    fi
    ok "$what: reported"
    recorded_as=$*
    replays_up_to_there "$what: what there is replays" "$WORK/full.all"
}
full_disk "a limit on the file's size" "$WORK/limited.enc" timeout "$LIMIT" sh -c "ulimit -f 1000
    exec '$ENCORE' record --engine $ENGINE --checkpoint-every 5ms --cmdline rounds=2000 -o '$WORK/limited.enc' '$GUESTS/user'"
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
    mkdir -p "$WORK/disk"
    full_disk "a file system" "$WORK/disk-copy.enc" timeout "$LIMIT" unshare -m sh -c "mount -t tmpfs -o size=300k none '$WORK/disk' &&
        '$ENCORE' record --engine $ENGINE --checkpoint-every 5ms --cmdline rounds=2000 -o '$WORK/disk/disk-copy.enc' '$GUESTS/user'
        code=\$?; cp '$WORK/disk/disk-copy.enc' '$WORK/disk-copy.enc'; exit \$code"
    what="full disk: no room for the header: nothing is left behind"
    unshare -m sh -c "mount -t tmpfs -o size=4k none '$WORK/disk' && head -c 4096 /dev/zero >'$WORK/disk/filler'
        '$ENCORE' record --engine $ENGINE -o '$WORK/disk/none.enc' '$GUESTS/bootsec'; echo \"code \$?\"; ls '$WORK/disk'" \
        >"$WORK/none" 2>&1 </dev/null
    if grep -q 'code 1' "$WORK/none" && [ "$(sed -n '/^code/,$p' "$WORK/none" | wc -l)" -eq 2 ]; then
        ok "$what"
    else
        not_ok "$what" "$(cat "$WORK/none")"
    fi
else
    skip "full disk: a file system" "a mount namespace needs root"
    skip "full disk: no room for the header: nothing is left behind" "a mount namespace needs root"
fi

# Output that cannot be written is a fault of the host's, too; and when the reader of a pipe goes away, what was
# recorded until then replays.
what="output: a full standard output is reported"
log=$WORK/devfull.enc
encore record --engine "$ENGINE" -o "$log" "$GUESTS/bootsec" </dev/null >/dev/full 2>"$WORK/full.err"
[ $? -eq 1 ] && grep -q 'standard output' "$WORK/full.err" && ok "$what" || not_ok "$what" "$(cat "$WORK/full.err")
again: $ENCORE record --engine $ENGINE -o x.enc $GUESTS/bootsec >/dev/full"
what="output: a pipe that nobody reads"
encore record --engine "$ENGINE" -o "$WORK/pipe.enc" --max-exits 20000 "$GUESTS/storm" </dev/null 2>"$WORK/full.err" | true
log=$WORK/pipe.enc
encore replay --partial "$log" >"$WORK/printed" 2>"$WORK/replay.err" && ok "$what" || blame "$(cat "$WORK/replay.err")" "$ENCORE replay $(keep "$log")"

exec 4>&-
check "files: no temporary file anywhere" test -z "$(find "$WORK" -name '*.enc.*')"
finish
