# How fast the soft engine executes, in millions of guest instructions a second, beside QEMU's TCG with and without
# counting instructions. guests/speed does one kind of work so many times; what it executes is counted by the soft
# engine (bench/ticks.c), and for QEMU the same count holds. The time is that of the whole process less that of a run
# which does no work: the least of three, of the same round.

# Kernel, and how often, for encore and for QEMU: some tenths of a second.
speed_kernels='integer 40000000 40000000
sieve 600 600
interpreter 1000000 1000000
copy_rep 1500000 40000
copy_loop 60000 60000
sse2 8000 8000
x87 6000000 6000000
syscalls 15000000 15000000
faults 2000 2000
smc 800000 80000'

# The time of one run: $wall.
speed_time() { # encore|plain|icount KERNEL COUNT
    local expect=1 options=()
    if [ "$1" = encore ]; then
        timed "speed-$2.encore" "$encore" run --engine soft --cmdline "kernel=$2 count=$3" "$guests/speed"
        return
    fi
    [ "$1" = icount ] && options=(-icount shift=0)
    timed "speed-$2.$1" timeout 120 "$qemu" -accel tcg -m 64 -display none -monitor none -nic none -no-reboot \
        -serial none -device isa-debug-exit,iobase=0xf4,iosize=4 "${options[@]}" -kernel "$guests/speed" \
        -append "kernel=$2 count=$3"
}

ticks_of() { # KERNEL COUNT
    "$build/bench/ticks" "$guests/speed" "kernel=$1 count=$2" | sed -n 's/^ticks //p'
}

speed_round() { # MODE...
    local kernel count count_qemu mode ticks
    local -A empty speed
    for mode in "$@"; do
        for kernel in 1 2 3; do
            speed_time "$mode" integer 0
            empty[$mode]=$(awk "BEGIN { e = ${empty[$mode]:-1e9}; print $wall < e ? $wall : e }")
        done
    done
    while read -r kernel count count_qemu; do
        for mode in "$@"; do
            [ "$mode" = encore ] || count=$count_qemu
            ticks=${instructions[$kernel $count]:=$(ticks_of "$kernel" "$count")}
            speed_time "$mode" "$kernel" "$count"
            speed[$mode]=$(awk "BEGIN { print $ticks / ($wall - ${empty[$mode]}) / 1e6 }")
            sample "speed-$kernel.$mode.mips" "${speed[$mode]}"
        done
        [ $# = 1 ] || sample "speed-$kernel.ratio" "$(ratio "${speed[encore]}" "${speed[icount]}")"
    done <<<"$speed_kernels"
}

bench_soft() {
    local round kernel mode modes=(encore)
    local -A instructions
    ${MAKE:-make} -s --no-print-directory BUILD="$build" "$build/guests/speed" >"$work/output" 2>&1 ||
        { cat "$work/output" >&2; exit 1; }
    part "The soft engine: million guest instructions a second"
    command_line "encore run --engine soft --cmdline 'kernel=K count=N' BUILD/guests/speed"
    if command -v "$qemu" >/dev/null; then
        modes=(encore plain icount)
        command_line "$qemu -accel tcg -m 64 ... [-icount shift=0] -kernel BUILD/guests/speed -append 'kernel=K count=N'"
        note "$($qemu --version | sed -n '1s/ (.*//p'), plain and with -icount shift=0"
    else
        note "$qemu is not installed (apt-get install qemu-system-x86): encore alone"
    fi
    for ((round = 0; round < runs; round++)); do speed_round "${modes[@]}"; done
    while read -r kernel _; do
        if [ "$kernel" = integer ]; then row speed-integer.encore.mips "integer: encore" M/s ">=" 200
        else row "speed-$kernel.encore.mips" "$kernel: encore" M/s; fi
        [ ${#modes[@]} = 1 ] && continue
        for mode in plain icount; do row "speed-$kernel.$mode.mips" "$kernel: QEMU, $mode" M/s; done
        row "speed-$kernel.ratio" "$kernel: encore / QEMU with icount" "" ">=" 0.5
    done <<<"$speed_kernels"
}
