#!/bin/sh
# Ends from outside: SIGINT, SIGTERM and SIGHUP at any time of a command's life; limits on files and on the stack; a reader
# that goes away; and the terminal, which is given back as it was.
. tests/lib.sh
. tests/tools/recording.sh
ENGINE=soft
${MAKE:-make} --no-print-directory BUILD="$BUILD" "$BUILD/tests/tools/signal_at" "$BUILD/tests/tools/on_terminal" >"$WORK/make" 2>&1 ||
    { not_ok "ends: the tools" "$(cat "$WORK/make")"; finish; }
SIGNAL_AT=$BUILD/tests/tools/signal_at
ON_TERMINAL=$BUILD/tests/tools/on_terminal
mkfifo "$WORK/keyboard"
exec 4<>"$WORK/keyboard" # open at both ends: nobody types, and it never ends
head -c 65536 /dev/zero >"$WORK/disk.img"

# at MICROSECONDS SIGNAL COMMAND...: sets $ended ("exit CODE", "signal NUMBER"); what the command said is in $WORK/said.
at() { ended=$(timeout --kill-after=5 "$LIMIT" "$SIGNAL_AT" "$@" 3>&1 >"$WORK/said" 2>&1 <&4); }

# --- a signal at any time of a recording: a whole log, or none; and never a temporary file
mkdir "$WORK/swept"
log=$WORK/swept/x.enc
what="ends: a signal at any time of record leaves a whole log or nothing"
wrong=
logs=0
none=0
for signal in 1 2 15; do
    for after in $(seq $((signal * 20)) 400 7000) $(seq $((7000 + signal * 300)) 4000 100000); do
        at "$after" $signal "$ENCORE" record --engine soft --disk "$WORK/disk.img" --control "unix:$WORK/swept/control" \
            -o "$log" "$GUESTS/kv"
        if [ -e "$log" ]; then
            logs=$((logs + 1))
            [ "$ended" = "exit 130" ] || wrong="signal $signal after $after us: $ended with a log: $(cat "$WORK/said")"
            "$ENCORE" log verify "$log" >/dev/null 2>"$WORK/said" || wrong="signal $signal after $after us: $(cat "$WORK/said")"
            rm -f "$log" "$log.disk0"
        else
            none=$((none + 1))
            [ "$ended" = "signal $signal" ] || [ "$ended" = "exit 130" ] ||
                wrong="signal $signal after $after us: $ended, no log: $(cat "$WORK/said")"
        fi
        rest=$(ls -A "$WORK/swept")
        [ -z "$rest" ] || wrong="signal $signal after $after us ($ended) left $rest"
        rm -rf "$WORK/swept"
        mkdir "$WORK/swept"
        [ -z "$wrong" ] || break 2
    done
done
[ -z "$wrong" ] && ok "$what" || not_ok "$what" "$wrong"
check "ends: the sweep met both kinds ($logs logs, $none without)" test "$logs" -gt 0 -a "$none" -gt 0

# --- other commands that write, and what they write is whole or not there
"$ENCORE" record --engine soft --clock virtual --checkpoint-every 200ms --max-exits 40000 -o "$WORK/long.enc" "$GUESTS/storm" \
    >/dev/null 2>&1 </dev/null
swept() { # LABEL NAME COMMAND...: NAME is what the command makes
    what="ends: a signal at any time of $1"
    name=$2
    shift 2
    wrong=
    "$@" >"$WORK/said" 2>&1 || wrong="without a signal: $(cat "$WORK/said")"
    rm -rf "$WORK/whole"
    mv "$WORK/swept/$name" "$WORK/whole"
    for signal in 1 2 15; do
        for after in $(seq $((1000 * signal)) 5000 60000); do
            at "$after" $signal "$@"
            rest=$(ls -A "$WORK/swept" | grep -v "^$name\$")
            [ -z "$rest" ] || wrong="signal $signal after $after us ($ended) left $rest"
            [ ! -e "$WORK/swept/$name" ] || diff -rq "$WORK/swept/$name" "$WORK/whole" >"$WORK/said" ||
                wrong="signal $signal after $after us: $ended, and $name is not whole: $(cat "$WORK/said")"
            rm -rf "$WORK/swept"
            mkdir "$WORK/swept"
        done
    done
    [ -z "$wrong" ] && ok "$what" || not_ok "$what" "$wrong"
}
swept "replay --cast" x.cast "$ENCORE" replay --verify --cast "$WORK/swept/x.cast" "$WORK/long.enc"
swept "log export --cast" x.cast "$ENCORE" log export --cast "$WORK/swept/x.cast" "$WORK/long.enc"
swept "checkpoint extract" x "$ENCORE" checkpoint extract -o "$WORK/swept/x" "$WORK/long.enc" 0

# --- signals that were ignored when the command began stay so (nohup, a shell's background processes)
for signal in HUP INT; do
    what="ends: SIG$signal stays ignored"
    (trap '' $signal; exec "$ENCORE" record --engine soft --timeout 1500ms -o "$WORK/ignored.enc" "$GUESTS/kv" <&4 >/dev/null) \
        2>"$WORK/said" &
    sleep 0.7
    kill -$signal $!
    wait $!
    code=$?
    [ $code -eq 124 ] && ok "$what" || not_ok "$what" "exit code $code: $(cat "$WORK/said")"
    rm -f "$WORK/ignored.enc"
done

# --- a second signal ends at once what the first could not
what="ends: a second signal ends a command that waits for a reader"
mkfifo "$WORK/unread"
(timeout --foreground "$LIMIT" env --default-signal=INT "$ENCORE" record --engine soft -o "$WORK/unread.enc" \
    --console "file:$WORK/unread" "$GUESTS/kv" <&4 >/dev/null 2>&1 & child=$!
sleep 0.5
kill -INT "$(pgrep -P $child)"
sleep 0.8
kill -INT "$(pgrep -P $child)"
wait $child)
code=$?
{ [ $code -eq 130 ] || [ $code -eq 2 ]; } && [ -z "$(ls "$WORK" | grep '^unread\.')" ] && ok "$what" ||
    not_ok "$what" "exit code $code; $(ls "$WORK")"

# --- a limit on the size of files is a full disk
what="ends: a limit on the size of files is a full disk"
(ulimit -f 100
timeout "$LIMIT" "$ENCORE" record --engine soft --checkpoint-every 5ms --cmdline rounds=2000 -o "$WORK/limited.enc" "$GUESTS/user") \
    >/dev/null 2>"$WORK/said"
code=$?
[ $code -eq 1 ] && grep -q 'File too large' "$WORK/said" && ok "$what" || not_ok "$what" "exit code $code: $(cat "$WORK/said")"

# --- a reader that goes away is an error of writing, not the end of the process
what="ends: a reader that goes away"
log=$WORK/pipe.enc
{ "$ENCORE" record --engine soft -o "$log" --max-exits 20000 "$GUESTS/storm" 2>"$WORK/said" </dev/null; echo $? >"$WORK/code"; } | true
[ "$(cat "$WORK/code")" -eq 1 ] && grep -q 'standard output' "$WORK/said" && ok "$what" ||
    not_ok "$what" "exit code $(cat "$WORK/code"): $(cat "$WORK/said")"
what="ends: log dump | head"
"$ENCORE" record --engine soft --force -o "$log" --max-exits 20000 "$GUESTS/storm" </dev/null >/dev/null 2>&1
{ "$ENCORE" log dump "$log" 2>"$WORK/said"; echo $? >"$WORK/code"; } | head -n 1 >/dev/null
[ "$(cat "$WORK/code")" -eq 141 ] && [ ! -s "$WORK/said" ] && ok "$what" ||
    not_ok "$what" "exit code $(cat "$WORK/code"): $(cat "$WORK/said")"

# --- 128 KiB of stack are enough (not for what the sanitizers add to each frame)
mkdir "$WORK/arbiter"
if [ "$SANITIZED" = 0 ]; then
    small() { (ulimit -s 128 && timeout --kill-after=5 "$LIMIT" "$@" </dev/null); }
    check_exit 1 "ends: 128 KiB of stack: run" small "$ENCORE" run --engine soft "$GUESTS/bootsec"
    check_exit 1 "ends: 128 KiB of stack: record" small "$ENCORE" record --engine soft --disk "$WORK/disk.img" \
        --checkpoint-every 1ms -o "$WORK/small.enc" "$GUESTS/bootsec"
    check "ends: 128 KiB of stack: replay" small "$ENCORE" replay --verify "$WORK/small.enc"
    check "ends: 128 KiB of stack: log info" small "$ENCORE" log info "$WORK/small.enc"
    check "ends: 128 KiB of stack: log dump" small "$ENCORE" log dump "$WORK/small.enc"
    check "ends: 128 KiB of stack: log export" small "$ENCORE" log export --cast "$WORK/small.cast" "$WORK/small.enc"
    check "ends: 128 KiB of stack: checkpoint extract" small "$ENCORE" checkpoint extract -o "$WORK/small.dir" "$WORK/small.enc" 0
    check_exit 1 "ends: 128 KiB of stack: primary" small "$ENCORE" primary --engine soft --arbiter "file:$WORK/arbiter" \
        --listen "ipc://$WORK/primary" "$GUESTS/bootsec"
    check_exit 130 "ends: 128 KiB of stack: console" small timeout --foreground -s INT --preserve-status 1 "$ENCORE" console --linger 1m \
        "ipc://$WORK/nobody"
    check_exit 130 "ends: 128 KiB of stack: backup" small timeout --foreground -s INT --preserve-status 1 "$ENCORE" backup \
        --arbiter "file:$WORK/arbiter" --connect "ipc://$WORK/nobody"
fi

# --- the terminal is given back
on_terminal() { # LABEL EXPECTED STEP... -- COMMAND...
    what="ends: the terminal: $1"
    expected=$2
    shift 2
    result=$(timeout --kill-after=5 "$LIMIT" "$ON_TERMINAL" "$@" 2>"$WORK/said")
    [ "$result" = "$expected" ] && ok "$what" || not_ok "$what" "$result, not $expected: $(cat "$WORK/said")"
}
recording() { rm -f "$WORK/t.enc"; echo "$ENCORE" record --engine soft -o "$WORK/t.enc" "$GUESTS/kv"; }
whole() { check "$1" "$ENCORE" log verify "$WORK/t.enc"; }
# shellcheck disable=SC2046
{
    on_terminal "Ctrl-A x" "exit 130, restored" job raw wait ":$(printf '\001x')" -- $(recording)
    for signal in 1 2 15; do
        on_terminal "signal $signal" "exit 130, restored" job raw wait $signal -- $(recording)
        whole "ends: the terminal: signal $signal: the log is whole"
    done
    on_terminal "an abort" "signal 6, restored" job raw wait 6 -- $(recording)
    on_terminal "SIGQUIT" "signal 3, restored" job raw wait 3 -- $(recording)
    # The sanitizers have their own end for this one.
    [ "$SANITIZED" = 1 ] || on_terminal "SIGSEGV" "signal 11, restored" job raw wait 11 -- $(recording)
    on_terminal "stopped and continued" "exit 130, restored" job raw 20 stopped cooked 18 raw 15 -- $(recording)
    on_terminal "SIGCONT after SIGSTOP" "exit 130, restored" job raw 19 stopped 18 raw 15 -- $(recording)
    on_terminal "hung up" "exit 130" leader raw wait hangup -- $(recording)
    whole "ends: the terminal: hung up: the log is whole"
    "$ENCORE" primary --engine soft --arbiter "file:$WORK/arbiter" --next-epoch --listen "ipc://$WORK/primary" "$GUESTS/kv" \
        >/dev/null 2>&1 <&4 & primary=$!
    for signal in 1 2 15; do
        on_terminal "console, signal $signal" "exit 130, restored" job raw $signal -- "$ENCORE" console "ipc://$WORK/primary"
    done
    on_terminal "console, an abort" "signal 6, restored" job raw 6 -- "$ENCORE" console "ipc://$WORK/primary"
    on_terminal "console, stopped" "exit 130, restored" job raw 20 stopped cooked 18 raw 15 -- "$ENCORE" console "ipc://$WORK/primary"
    kill -TERM $primary
    wait $primary
}
exec 4>&-
rest=$(find "$WORK" -name "*.??????" -newer "$WORK/make")
[ -z "$rest" ] && ok "ends: no temporary file anywhere" || not_ok "ends: no temporary file anywhere" "$rest"
finish
