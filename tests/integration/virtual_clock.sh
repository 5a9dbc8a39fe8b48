#!/bin/sh
# --clock virtual: two runs with the same input are the same run, with no log, with one, and with one full of checkpoints;
# a replay repeats it, from every checkpoint too; and where it cannot be had, one sentence says so.
. tests/lib.sh
. tests/tools/recording.sh
ENGINE=soft

kv_script 60 >"$WORK/kv.script"

# More at once than the serial port has room for, so that the rest waits until the guest has read some.
cat >"$WORK/storm.script" <<'END_OF_SCRIPT'
wait "storm ready"
repeat 400
  send "the brown fox jumps over %d lazy dogs\n"
end
send "q"
END_OF_SCRIPT

# run_only OPTION... IMAGE: runs it without a log. Sets $run_code and $run_digest.
run_only() {
    encore run --clock virtual --digest "$@" </dev/null >"$WORK/run.all" 2>"$WORK/run.err"
    run_code=$?
    run_digest=$(digest_in "$WORK/run.all")
}

# same NAME CODE CHECKPOINTS EVERY OPTION... IMAGE
same() {
    label=$1 expected=$2 least=$3 every=$4
    shift 4
    run_only "$@"
    first=$run_digest
    run_only "$@"
    record_guest "$label" --clock virtual "$@"
    what="$label: the same run, twice without a log and once with"
    if [ -z "$first" ] || [ "$first" != "$run_digest" ] || [ "$first" != "$digest" ] || [ $code -ne "$expected" ] ||
        [ $run_code -ne "$expected" ]; then
        blame "exit codes $run_code and $code, wanted $expected; digests $first, $run_digest, recorded $digest
$(tail -n 5 "$WORK/run.err")" "$ENCORE run --clock virtual --digest $*"
        return
    fi
    ok "$what"
    what="$label: no record of time"
    if "$ENCORE" log dump "$log" | grep -q '\(TIME\|CLOCK_READ\) '; then
        blame "$("$ENCORE" log dump "$log" | grep -m 3 '\(TIME\|CLOCK_READ\) ')" "$ENCORE log dump $(keep "$log")"
    else
        ok "$what"
    fi
    check_replays "$label: replayed" 1
    record_guest "$label-checkpoints" --clock virtual --checkpoint-every "$every" "$@"
    if [ "$digest" = "$first" ]; then
        ok "$label: checkpoints change nothing"
    else
        what="$label: checkpoints change nothing"
        blame "digest $digest instead of $first" "$recorded_as"
    fi
    check_from_checkpoints "$label: replayed from every checkpoint" "$least"
}

echo 'send "abcdefghijklmnopqrstuvwxyz"' >"$WORK/poll.script"
same poll 1 2 20ms --console-device virtio --input "$WORK/poll.script" "$GUESTS/poll"
same tasks 1 5 30us --cmdline 'iterations=3000 hz=10000' "$GUESTS/tasks"
same user 1 5 5ms --cmdline rounds=20 "$GUESTS/user"
same kv 1 3 100us --input "$WORK/kv.script" "$GUESTS/kv"
same storm 1 3 300us --input "$WORK/storm.script" --cmdline rate=20000 "$GUESTS/storm"
same tsc 1 5 1ms --cmdline 'hz=5000 ticks=100' "$GUESTS/tsc"
same triple 4 1 1ms --cmdline triple "$GUESTS/faulty"
same max-exits 8 1 30us --max-exits 3000 --cmdline rate=20000 "$GUESTS/storm"
same halt 0 1 1ms --cmdline halt "$GUESTS/faulty"

# --- an idle guest: an hour of guest time, which --timeout would cut short if the host had to wait for it
idle() {
    encore run --clock virtual --timeout 60s --cmdline 'rate=20 ticks=72000' "$GUESTS/storm" </dev/null >"$WORK/idle.out"
    [ $? -eq 1 ] && grep -q 'storm: 72000 ticks' "$WORK/idle.out"
}
check "an hour of sleep takes no hour" idle

# --- random numbers follow from the seed
seeds() {
    run_only --input "$WORK/kv.script" "$GUESTS/kv"
    none=$run_digest
    run_only --seed 0 --input "$WORK/kv.script" "$GUESTS/kv"
    zero=$run_digest
    run_only --seed 7 --input "$WORK/kv.script" "$GUESTS/kv"
    [ -n "$none" ] && [ "$none" = "$zero" ] && [ "$none" != "$run_digest" ]
}
check "random numbers follow from the seed" seeds

# --- what a person types comes when it comes, and a replay has it at the same place
typed() {
    { printf 'SET a b\nGET a\n'; sleep 0.3; printf 'TIME\nRANDOM\n'; sleep 0.2; printf 'QUIT\n'; } |
        encore record --clock virtual --checkpoint-every 100us --force -o "$WORK/typed.enc" "$GUESTS/kv" >"$WORK/typed.all"
    log=$WORK/typed.enc
    grep -q '^VALUE b' "$WORK/typed.all" && verifies "$(digest_in "$WORK/typed.all")" || return 1
    for id in $(checkpoint_ids | tail -n 3); do
        verifies "$(digest_in "$WORK/typed.all")" --from "$id" || return 1
    done
}
check "typed input: replayed, from checkpoints too" typed
extracted() { # every checkpoint of it, with no engine at all, and the time it has
    log=$WORK/typed.enc
    for id in $(checkpoint_ids | tail -n 3) 0; do
        rm -rf "$WORK/extracted"
        encore checkpoint extract "$log" "$id" -o "$WORK/extracted" && grep -q '  now_ticks = ' "$WORK/extracted/state.txt" &&
            [ "$(stat -c %s "$WORK/extracted/ram.bin")" -eq 67108864 ] || return 1
    done
}
check "checkpoints are extracted" extracted

# --- a run that the host cuts short, asleep or at work, replays to where it was
cut_short() { # OPTION... IMAGE
    encore record --clock virtual --timeout 300ms --force -o "$WORK/cut.enc" "$@" </dev/null >"$WORK/cut.all" 2>"$WORK/cut.err"
    [ $? -eq 124 ] || return 1
    log=$WORK/cut.enc
    verifies "$(digest_in "$WORK/cut.all")"
}
check "cut short while mostly asleep: replayed" cut_short --cmdline rate=1000 "$GUESTS/storm"
check "cut short while at work: replayed" cut_short --cmdline 'hz=10000 iterations=1000000000' "$GUESTS/tasks"

# --- where it cannot be had
refused() { # PATTERN COMMAND...
    pattern=$1
    shift
    encore "$@" >"$WORK/refused.out" 2>"$WORK/refused.err" </dev/null
    [ $? -eq 2 ] && grep -q "$pattern" "$WORK/refused.err"
}
check "not on kvm" refused 'counts every instruction' run --engine kvm --clock virtual "$GUESTS/sieve"
check "no seed without it" refused 'seed is for' run --seed 3 "$GUESTS/sieve"
check "not replicated" refused 'follows the host' primary --clock virtual --listen "ipc://$WORK/x" --arbiter "file:$WORK/a" "$GUESTS/kv"
if need_kvm "a replay on kvm is refused"; then
    check "a replay on kvm is refused" refused 'counts every instruction' replay --engine kvm "$WORK/kv.enc"
fi

finish
