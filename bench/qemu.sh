# The same guests under QEMU's TCG: plain, counting instructions, recording, replaying. QEMU does not know the elf64
# protocol, so guests/test/stub.c loads those guests; it wants the 128 MB that QEMU gives by default.

qemu=qemu-system-x86_64

# The machine; mode is tcg, icount, record or replay.
qemu_arguments() { # MODE GUEST IMAGE [COMMAND LINE]
    arguments=(-accel tcg -m 128 -display none -monitor none -nic none -no-reboot -serial "file:$work/qemu.out"
        -device "isa-debug-exit,iobase=0xf4,iosize=4")
    case $1 in
    icount) arguments+=(-icount shift=auto) ;;
    record | replay) arguments+=(-icount "shift=auto,rr=$1,rrfile=$work/qemu-$2.rr") ;;
    esac
    case $2 in
    mbhello) arguments+=(-kernel "$3") ;;
    bootsec)
        arguments+=(-drive "file=$3,format=raw,if=none,snapshot=on,id=disk")
        case $1 in
        record | replay)
            arguments+=(-drive "driver=blkreplay,if=none,image=disk,id=replayed" -device "ide-hd,drive=replayed")
            ;;
        *) arguments+=(-device "ide-hd,drive=disk") ;;
        esac
        ;;
    *) arguments+=(-kernel "$guests/stub" -initrd "$3 ${4-}") ;;
    esac
}

qemu_one() { # GUEST [COMMAND LINE]
    local guest=$1 options=${2-} round mode expect=1 arguments baseline
    qemu_arguments record "$guest" "$guests/$guest" "$options"
    command_line "$qemu ${arguments[*]}"
    for ((round = 0; round < runs; round++)); do
        timed "$guest-q.run" "$encore" run --cmdline "$options" "$guests/$guest"
        timed "$guest-q.record" "$encore" record --force -o "$work/q.enc" --cmdline "$options" "$guests/$guest"
        sample "$guest-q.log" "$(stat -c %s "$work/q.enc")"
        expect=0 timed "$guest-q.replay" "$encore" replay --verify "$work/q.enc"
        for mode in tcg icount record replay; do
            qemu_arguments $mode "$guest" "$guests/$guest" "$options"
            timed "$guest-qemu.$mode" timeout 120 "$qemu" "${arguments[@]}"
            [ $mode = tcg ] && baseline=$wall
            [ $mode = record ] && sample "$guest-qemu.ratio" "$(ratio "$wall" "$baseline")"
        done
        sample "$guest-qemu.log" "$(stat -c %s "$work/qemu-$guest.rr")"
    done
    row "$guest-q.run.wall" "$guest: encore run" s
    row "$guest-q.record.wall" "$guest: encore record" s
    row "$guest-q.replay.wall" "$guest: encore replay --verify" s
    row "$guest-q.log" "$guest: encore's log" bytes
    row "$guest-qemu.tcg.wall" "$guest: QEMU, plain" s
    row "$guest-qemu.icount.wall" "$guest: QEMU, icount" s
    row "$guest-qemu.record.wall" "$guest: QEMU, rr=record" s
    row "$guest-qemu.replay.wall" "$guest: QEMU, rr=replay" s
    row "$guest-qemu.ratio" "$guest: QEMU, rr=record / plain" ""
    row "$guest-qemu.log" "$guest: QEMU's log" bytes
}

bench_qemu() {
    local expect=1
    if ! command -v $qemu >/dev/null; then
        timed auto "$encore" record --force -o "$work/q.enc" "$guests/mbhello"
    part "Beside QEMU"
        note "$qemu is not installed: apt-get install qemu-system-x86"
        return
    fi
    ${MAKE:-make} -s --no-print-directory BUILD="$build" "$build/guests/stub" >"$work/output" 2>&1 ||
        { cat "$work/output" >&2; exit 1; }
    timed auto "$encore" record --force -o "$work/q.enc" "$guests/mbhello"
    part "Beside $($qemu --version | sed -n '1s/ (.*//p'): wall time"
    note "encore with the engine that it takes by itself here: $(sed -n 's/^engine //p' <("$encore" log info "$work/q.enc"))"
    qemu_one sieve n=2000000
    qemu_one tasks iterations=100000
    qemu_one mbhello
    qemu_one bootsec
}
