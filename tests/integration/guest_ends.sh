#!/bin/sh
# How a guest may end, and the exit code of run and record for each: the rule is in tools/outcome.h and encore(1). What
# cannot go on ends with a report, in bounded time. The guests here are boot sectors made of a few bytes.
. tests/lib.sh
. tests/tools/recording.sh
each_engine
need_engine "guest ends: exit codes and reports" || finish

# sector NAME BYTES: a boot sector that begins with these bytes, as printf takes them.
sector() {
    {
        # shellcheck disable=SC2059
        printf "$2"
        head -c 512 /dev/zero
    } | head -c 510 >"$WORK/$1"
    printf '\125\252' >>"$WORK/$1"
}
# mov eax, VALUE; mov dx, 0xf4; out dx, eax; hlt
debug_exit() { # VALUE's four bytes
    sector "$1" "\\146\\270$2\\272\\364\\000\\146\\357\\364"
}
debug_exit exit0 '\000\000\000\000'
debug_exit exit1 '\001\000\000\000'
debug_exit exit127 '\177\000\000\000'
debug_exit exit128 '\200\000\000\000'
debug_exit exit-all '\377\377\377\377'
sector exit-byte '\260\003\346\364\364'                      # mov al, 3; out 0xf4, al
sector halt '\372\364'                                       # cli; hlt
sector loop '\353\376'                                       # jmp $
sector loop-off '\372\353\376'                               # cli; jmp $
sector sleep '\373\364\353\374'                              # sti; hlt; jmp back
sector ports '\346\200\353\374'                              # out 0x80, al; jmp back
sector far '\352\000\000\000\240'                            # jmp 0xa000:0
sector high '\352\000\000\000\340'                           # jmp 0xe000:0
sector breakpoint '\314\353\376'                             # int3; jmp $
sector nothing ''                                            # add [bx+si], al: on and on through memory

# ends NAME CODE PATTERN OPTION... IMAGE: recorded and run with this exit code and these words on standard error (a
# pattern of grep -E); the log is whole and replays to the digest.
ends() {
    label=$1
    expected=$2
    pattern=$3
    shift 3
    what="guest ends: $label"
    record_guest "$label" "$@" </dev/null
    if [ "$code" != "$expected" ] || ! grep -Eq "$pattern" "$WORK/$label.err"; then
        blame "exit code $code, expected $expected, and '$pattern' on standard error:
$(head -n 20 "$WORK/$label.err")" "$recorded_as -o $WORK/x.enc"
        return 1
    fi
    check "$what: the log is whole" "$ENCORE" log verify "$log"
    encore run --engine "$ENGINE" "$@" </dev/null >"$WORK/run.out" 2>"$WORK/run.err"
    check "$what: run has the same exit code" test $? -eq "$expected"
    check_replays "$what: replayed" 1
}
# What a report must hold: registers, and the bytes at RIP.
reports() {
    what="guest ends: $1: a report"
    for part in 'rip 0x' 'rflags 0x' 'rsp 0x' 'r15 0x' 'cr0 0x' 'cr3 0x' '(code|memory) at.* rip:? '; do
        grep -Eq "$part" "$WORK/$1.err" || { blame "it lacks: $part
$(cat "$WORK/$1.err")" "$recorded_as -o $WORK/x.enc"; return; }
    done
    ok "$what"
}

ends exit1 3 'wrote 1 to port 0xf4' "$WORK/exit1"
check "guest ends: exit0: no words for the plainest end" sh -c "'$ENCORE' record --engine $ENGINE -o '$WORK/exit0.enc' \
    '$WORK/exit0' >/dev/null 2>'$WORK/exit0.err'; [ \$? -eq 1 ] &&
    ! grep -v '^encore: on engine kvm a replay may differ' '$WORK/exit0.err'"
ends exit127 255 'wrote 127 ' "$WORK/exit127"
ends exit128 1 'wrote 128 ' "$WORK/exit128"
ends exit-all 255 'wrote 4294967295 ' "$WORK/exit-all"
ends exit-byte 7 'wrote 3 ' "$WORK/exit-byte"
ends halt 0 'halted with interrupts off' "$WORK/halt"
ends faulty-triple 4 'triple' --cmdline triple "$GUESTS/faulty" && reports faulty-triple
# What KVM refuses is named, with what to do about it; soft does it.
if [ "$ENGINE" = kvm ] && "$ENCORE" run --engine kvm --cmdline wide "$GUESTS/faulty" 2>&1 | grep -q 'now 3 and 4'; then
    skip "faulty-wide" "this host's KVM executes CMPXCHG16B"
elif [ "$ENGINE" = kvm ]; then
    ends faulty-wide 6 'the instruction is: lock cmpxchg16b' --cmdline wide "$GUESTS/faulty" && reports faulty-wide
    ends faulty-wide-advice 6 'with --engine soft it will run' --cmdline wide "$GUESTS/faulty"
else
    record_guest faulty-wide --cmdline wide "$GUESTS/faulty" </dev/null
    check "guest ends: faulty-wide: executed" grep -q 'now 3 and 4' "$WORK/faulty-wide.out"
fi
ends faulty-divide 201 'wrote 100 ' --cmdline divide "$GUESTS/faulty"
ends faulty-ports 1 'port addresses without a device.*write 0x2f0 \(1\).*read 0x2f0 \(1\)' --cmdline port "$GUESTS/faulty"
ends faulty-mmio 1 'memory addresses without a device.*0xfeff0000' --cmdline mmio "$GUESTS/faulty"

# Limits. A limit is no fault of the guest's; the log is whole.
ends timeout-loop 124 'timeout' --timeout 300ms "$WORK/loop"
ends timeout-loop-off 124 'timeout' --timeout 300ms "$WORK/loop-off"
ends timeout-sleep 124 'timeout' --timeout 300ms "$WORK/sleep"
ends timeout-kv 124 'timeout' --timeout 500ms "$GUESTS/kv"
ends timeout-sieve 124 'timeout' --timeout 300ms --cmdline 'n=2000000 rounds=1000000' "$GUESTS/sieve"
ends max-exits 8 'max-exits' --max-exits 1000 "$WORK/ports"
check "guest ends: max-exits: exactly so many" sh -c \
    "'$ENCORE' log dump --type END '$WORK/max-exits.enc' | grep -q 'exit 1000[^0-9]'"
ends max-exits-storm 8 'max-exits' --max-exits 500 "$GUESTS/storm"
ends max-exits-1 8 'max-exits' --max-exits 1 "$WORK/ports"
user_timeout() { # native user code: the place may have no name, which is then said
    record_guest timeout-user --timeout 700ms --cmdline 'rounds=100000000 hz=19' "$GUESTS/user" </dev/null
    cat "$WORK/timeout-user.err"
    [ $code -eq 124 ] && "$ENCORE" log verify "$log" && encore replay --verify "$log" >"$WORK/user.replay" 2>&1
    replay_code=$?
    cat "$WORK/user.replay"
    echo "replay's exit code $replay_code; $ENCORE replay --verify $(keep "$log")"
    [ $replay_code -eq 0 ] || return
    grep -q 'no name' "$WORK/timeout-user.err" || verifies "$digest"
}
check "guest ends: timeout in user code" user_timeout

# What the engine may not be able to execute: code where there is no memory, and (on a KVM that emulates) INT3. Whatever
# it does, it ends at once with one of the codes above; if by the engine's fault, with a report.
bounded() {
    label=$1
    shift
    what="guest ends: $label"
    record_guest "$label" --max-exits 100000 --timeout 1s "$@" </dev/null
    case $code in
    4 | 6) reports "$label" ;;
    0 | 1 | 8 | 124) ;;
    *) blame "exit code $code: $(cat "$WORK/$label.err")" "$recorded_as -o $WORK/x.enc"; return ;;
    esac
    check "$what: the log is whole" "$ENCORE" log verify "$log"
    encore replay --verify "$log" >"$WORK/replayed" 2>"$WORK/replay.err"
    replay_code=$?
    if [ $replay_code -ne 0 ] || ! grep -q identical "$WORK/replayed"; then
        blame "recorded with exit code $code, replayed with $replay_code: $(cat "$WORK/replay.err")" \
            "$ENCORE replay --verify $(keep "$log")"
    else
        ok "$what: ended with $code, and replays"
    fi
}
bounded far "$WORK/far"
bounded high "$WORK/high"
bounded breakpoint "$WORK/breakpoint"
bounded nothing "$WORK/nothing"
if [ "$ENGINE" = kvm ]; then
    faulted=0
    for label in far high breakpoint nothing; do
        grep -q 'cannot execute this guest' "$WORK/$label.err" && faulted=1
    done
    [ $faulted -eq 1 ] && ok "guest ends: an engine's fault was among them" ||
        skip "guest ends: an engine's fault was among them" "this host's KVM executes all that was tried"
fi
finish
