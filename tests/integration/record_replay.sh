#!/bin/sh
# Every guest: recorded, replayed three times and from every checkpoint to the digest that was recorded; a replay prints
# what the guest printed, byte for byte. Ten thousand commands sent to kv in one go; a log that is followed as it grows.
. tests/lib.sh
. tests/tools/recording.sh
each_engine

# Where a guest must last for some checkpoints, it lasts for so many ticks of its timer: no processor is too fast for that.
times=3
[ "$SANITIZED" = 1 ] && times=1

# guest NAME CODE CHECKPOINTS PATTERN OPTION... IMAGE: all of the above for one recording, from our standard input.
guest() {
    label=$1
    expected=$2
    least=$3
    pattern=$4
    shift 4
    need_engine "$label: recorded" "$label: replayed" "$label: replayed from every checkpoint" || return
    record_guest "$label" "$@"
    what="$label: recorded"
    if [ $code -ne "$expected" ] || [ -z "$digest" ] || ! grep -q "$pattern" "$WORK/$label.out"; then
        blame "exit code $code, not $expected; printed:
$(tail -n 20 "$WORK/$label.all" "$WORK/$label.err")" "$recorded_as"
        return
    fi
    ok "$what"
    check_replays "$label: replayed" $times
    check_from_checkpoints "$label: replayed from every checkpoint" "$least"
}

kv_script 20 >"$WORK/script"
guest kv-script 1 3 '^KEY key20 value 20' --checkpoint-every 20ms --input "$WORK/script" "$GUESTS/kv" </dev/null
printf 'SET a b c\nGET a\nTIME\nRANDOM\nINCR n\nINCR n\nDEL a\nGET a\nfrob\nDUMP\nQUIT\n' >"$WORK/typed"
# shellcheck disable=SC2002 # a pipe is what is to be tested
cat "$WORK/typed" | guest kv-piped 1 1 '^VALUE b c' --checkpoint-every 5ms "$GUESTS/kv"
{ sleep 0.3 && echo 'SET slow typist' && sleep 0.4 && echo RANDOM && sleep 0.3 && echo QUIT; } |
    guest kv-idle 1 3 '^RANDOM' --checkpoint-every 100ms "$GUESTS/kv"
guest kv-crash 201 1 '^panic: ' --checkpoint-every 20ms "$GUESTS/kv" <<'END_OF_INPUT'
SET before the crash
CRASH
END_OF_INPUT
guest tasks 1 3 '^counter = [0-9]* of ' --checkpoint-every 20ms --cmdline 'ticks=40 hz=500' "$GUESTS/tasks" </dev/null
guest user 1 3 '3 of 3 tasks ended well' --checkpoint-every 40ms --cmdline 'tasks=3 rounds=20 hz=500 ticks=100' \
    "$GUESTS/user" </dev/null
guest user-fault 3 1 'tasks ended well' --checkpoint-every 100ms --cmdline 'rounds=5 fault' "$GUESTS/user" </dev/null
guest sieve 1 1 '^sieve: 4203 primes up to 40000$' --checkpoint-every 100ms --cmdline n=40000 "$GUESTS/sieve" </dev/null
{ for line in one two three four five; do echo "$line" && sleep 0.1; done && printf q; } |
    guest storm 1 3 ' ticks, 24 bytes, checksum ' --checkpoint-every 50ms --cmdline rate=1000 "$GUESTS/storm"
for mode in '' divide ud2 stack triple port mmio halt wild=0x7ead00000000 wild=0x200000 wild=0x8000000000000000; do
    case $mode in
    '') status=5 expected='^usage' ;;
    triple) status=4 expected='^faulty: triple' ;;
    halt) status=0 expected='^faulty: halting' ;;
    port | mmio) status=1 expected='reads 0xff' ;;
    wild=0x200000) status=1 expected='^faulty: written' ;;
    *) status=201 expected='^panic: ' ;;
    esac
    guest "faulty-${mode:-usage}" $status 1 "$expected" --checkpoint-every 5ms --cmdline "$mode" "$GUESTS/faulty" </dev/null
done
guest mbhello 1 1 '^mbhello: hello' --checkpoint-every 5ms --cmdline 'two words' "$GUESTS/mbhello" </dev/null
# On kvm the time stamp counter is the host's, and no input.
[ "$ENGINE" = kvm ] || guest tsc 1 3 ' 0 back, 0 early, ' --checkpoint-every 5ms --cmdline 'hz=2000 ticks=200' "$GUESTS/tsc" </dev/null
guest bootsec 1 1 '^bootsec: hello' --checkpoint-every 5ms "$GUESTS/bootsec" </dev/null
guest small-memory 1 1 '^sieve: ' --mem 4M --checkpoint-every 100ms --cmdline n=5000 "$GUESTS/sieve" </dev/null

# --- a guest that is recorded and one that is only run do the same with the same input
compare_run() {
    encore run --engine "$ENGINE" --cmdline n=5000 "$GUESTS/sieve" </dev/null >"$WORK/run.out" 2>&1
    [ $? -eq 1 ] && cmp "$WORK/run.out" "$WORK/small-memory.out"
}
need_engine "run: prints what a recorded guest prints" && check "run: prints what a recorded guest prints" compare_run

# --- the output can go elsewhere; the digest alone is then on standard output
file_console() {
    encore record --engine "$ENGINE" --force -o "$WORK/file.enc" --console "file:$WORK/console" --input "$WORK/script" "$GUESTS/kv" >"$WORK/file.all"
    [ $? -eq 1 ] && [ "$(wc -l <"$WORK/file.all")" -eq 1 ] && grep -q '^KEY key20' "$WORK/console" &&
        encore replay "$WORK/file.enc" | cmp - "$WORK/console"
}
need_engine "console in a file" && check "console in a file: a replay prints the same" file_console

# --- the digest stands on a line of its own, whatever the guest printed last
last_line() { # boot sector: prints x, no newline, and exits
    {
        printf '\260x\272\370\003\356\146\061\300\272\364\000\146\357'
        head -c 496 /dev/zero
        printf '\125\252'
    } >"$WORK/no-newline"
    record_guest no-newline "$WORK/no-newline" </dev/null
    cat "$WORK/no-newline.all"
    tail -n 1 "$WORK/no-newline.all" | grep -q '^digest [0-9a-f]*$'
}
need_engine "digest: on the last line, alone" && check "digest: on the last line, alone" last_line

# --- what is printed leaves soon, though the guest goes on computing and asks for nothing: an output for nearly every dot
prompt_output() {
    n=400000
    # Where KVM emulates the kernel's code, fewer are as long.
    [ "$ENGINE" = kvm ] && encore doctor | grep -q 'KVM here emulates kernel code' && n=20000
    record_guest dots --cmdline "n=$n rounds=10 dots" "$GUESTS/sieve" </dev/null
    "$ENCORE" log dump "$WORK/dots.enc" >"$WORK/dots.dump"
    [ $code -eq 1 ] && grep -q '^\.\{10\}sieve: ' "$WORK/dots.out" && [ "$(grep -c ': OUTPUT ' "$WORK/dots.dump")" -ge 6 ] && return
    grep ': OUTPUT ' "$WORK/dots.dump"
    return 1
}
need_engine "output leaves while the guest computes" && check "output leaves while the guest computes" prompt_output

# --- many commands at once, against a model
commands=10000
[ "$SANITIZED" = 1 ] && commands=1000
awk -v n=$commands -v expected="$WORK/model" '
    function random(below) { seed = (seed * 1103515245 + 12345) % 2147483648; return int(seed / 65536) % below }
    BEGIN {
        seed = 20261121
        print "kv ready" >expected
        for (i = 0; i < n; i++) {
            key = "k" random(300)
            kind = random(10)
            if (kind < 4) {
                value = "v" random(100000) " of " key
                print "SET " key " " value
                table[key] = value
                print "OK" >expected
            } else if (kind < 7) {
                print "GET " key
                print (key in table ? "VALUE " table[key] : "NONE") >expected
            } else if (kind < 9) {
                key = "n" random(50)
                print "INCR " key
                print "VALUE " ++table[key] >expected
            } else {
                print "DEL " key
                print (key in table ? "OK" : "NONE") >expected
                delete table[key]
            }
        }
        print "QUIT"
        print "BYE" >expected
    }' >"$WORK/commands"
if need_engine "kv: $commands commands at once, against a model" "kv: $commands commands replayed"; then
    # shellcheck disable=SC2002
    cat "$WORK/commands" | record_guest kv-many "$GUESTS/kv"
    log=$WORK/kv-many.enc
    digest=$(digest_in "$WORK/kv-many.all")
    recorded_as="$ENCORE record --engine $ENGINE -o kv-many.enc $GUESTS/kv <COMMANDS"
    check "kv: $commands commands at once, against a model" cmp "$WORK/kv-many.out" "$WORK/model"
    check_replays "kv: $commands commands replayed" 1
fi

# --- a log that is followed while it is being recorded
wait_for() { # FILE PATTERN: up to 20 s
    for _ in $(seq 200); do
        grep -q "$2" "$1" 2>/dev/null && return
        sleep 0.1
    done
    return 1
}
follow() {
    mkfifo "$WORK/keyboard"
    timeout "$LIMIT" "$ENCORE" record --engine "$ENGINE" -o "$WORK/growing.enc" "$GUESTS/kv" <"$WORK/keyboard" >"$WORK/growing.out" &
    recorder=$!
    exec 4>"$WORK/keyboard"
    wait_for "$WORK/growing.out" 'kv ready' || return
    timeout "$LIMIT" "$ENCORE" log dump --follow "$WORK/growing.enc" >"$WORK/followed" &
    follower=$!
    echo 'SET followed closely' >&4
    wait_for "$WORK/followed" 'CONSOLE_IN.*SET followed' || echo "the input is not seen while the recording goes on"
    kill -0 $recorder || echo "the recording was over too soon"
    grep -q END "$WORK/followed" && echo "END too soon"
    echo QUIT >&4
    wait $recorder
    [ $? -eq 1 ] || echo "the recording failed"
    wait $follower || echo "the follower failed"
    exec 4>&-
    tail -n 1 "$WORK/followed" | grep -q END || echo "the follower did not see the end"
    encore log dump "$WORK/growing.enc" | cmp - "$WORK/followed" || echo "the follower saw something else"
}
if need_engine "follow: a recording as it goes on"; then
    complaints=$(follow 2>&1)
    if [ -z "$complaints" ]; then
        ok "follow: a recording as it goes on"
    else
        not_ok "follow: a recording as it goes on" "$complaints"
    fi
fi
finish
