# Debian's own kernel with busybox (tools/linux_guest.sh) on the soft engine, beside QEMU's TCG where that is installed:
# boot to power-off, the disk and the network from inside the guest, an idle shell, checkpoints.

linux=$build/linux
linux_boot_line='console=ttyS0 quiet panic=-1'
linux_mem=256

linux_ready() {
    tools/linux_guest.sh "$linux" >"$work/output" 2>&1 && return
    note "there is no Linux guest: $(tail -n 1 "$work/output")"
    return 1
}

# Guest and machine; what the guest does is in the words of its command line (guests/linux/init).
linux_options() { # WORDS
    options=(--engine soft --mem ${linux_mem}M --initrd "$linux/initrd" --cmdline "$linux_boot_line${1:+ $1}")
}
linux_qemu_arguments() { # MODE WORDS
    arguments=(-accel tcg -m $linux_mem -nographic -monitor none -no-reboot -kernel "$linux/vmlinuz"
        -initrd "$linux/initrd" -append "$linux_boot_line $2")
    case $1 in
    icount) arguments+=(-icount shift=0) ;;
    record | replay) arguments+=(-icount "shift=0,rr=$1,rrfile=$work/linux.rr") ;;
    esac
}
# A recording has its own log, and the log's length is a sample.
linux_record() { # FIGURE [OPTION...], with $options
    local figure=$1
    shift
    timed "$figure.record" timeout 600 "$encore" record --force -o "$work/$figure.enc" "${options[@]}" "$@" \
        "$linux/vmlinuz"
    sample "$figure.log" "$(stat -c %s "$work/$figure.enc")"
}
linux_replay() { timed "$1.replay" timeout 600 "$encore" replay --verify "$work/$1.enc"; } # FIGURE

linux_times() { # FIGURE TEXT
    row "$1.wall" "$2" s
    row "$1.cpu" "$2: processor time" s
}

# Only the first round has QEMU's replay: it takes eight times its recording.
linux_boot_qemu() { # ROUND, with $run, $record and $replay
    local mode arguments
    local -A took
    for mode in plain icount record replay; do
        [ "$mode" = replay ] && [ "$1" -gt 0 ] && continue
        linux_qemu_arguments "$mode" "then=poweroff,-f"
        timed "linux-qemu.$mode" timeout 600 "$qemu" "${arguments[@]}" -net none
        took[$mode]=$wall
    done
    sample linux-qemu.log "$(stat -c %s "$work/linux.rr")"
    sample linux.run_plain "$(ratio "$run" "${took[plain]}")"
    sample linux.run_icount "$(ratio "$run" "${took[icount]}")"
    sample linux.record_icount "$(ratio "$record" "${took[icount]}")"
    sample linux.record_record "$(ratio "$record" "${took[record]}")"
    [ -z "${took[replay]-}" ] || sample linux.replay_replay "$(ratio "$replay" "${took[replay]}")"
}

bench_linux_boot() {
    local round options arguments run record record_cpu replay mode
    part "Linux: boot to init and power-off, $linux_mem MB, engine soft"
    linux_ready || return
    linux_options "then=poweroff,-f"
    command_line "encore record --force -o WORK/linux.enc ${options[*]} $linux/vmlinuz ; encore replay --verify WORK/linux.enc"
    if command -v "$qemu" >/dev/null; then
        linux_qemu_arguments record "then=poweroff,-f"
        command_line "$qemu ${arguments[*]} -net none"
    else
        note "$qemu is not installed (apt-get install qemu-system-x86): encore alone"
    fi
    for ((round = 0; round < runs; round++)); do
        timed linux.run timeout 600 "$encore" run "${options[@]}" "$linux/vmlinuz"
        run=$wall
        linux_record linux
        record=$wall record_cpu=$processor
        linux_replay linux
        replay=$wall
        sample linux.replay_record "$(ratio "$replay" "$record")"
        sample linux.replay_record_cpu "$(ratio "$processor" "$record_cpu")"
        linux_record linux-virtual --clock virtual
        linux_replay linux-virtual
        if command -v "$qemu" >/dev/null; then linux_boot_qemu $round; fi
    done
    for mode in run record replay; do linux_times "linux.$mode" "encore $mode"; done
    for mode in record replay; do linux_times "linux-virtual.$mode" "encore $mode, --clock virtual"; done
    row linux.replay_record "encore: replay / record" "" "<=" 1
    row linux.replay_record_cpu "encore: replay / record, processor time" ""
    row linux.log "encore's log" bytes "<=" 65536
    row linux-virtual.log "encore's log, --clock virtual" bytes
    command -v "$qemu" >/dev/null || return 0
    for mode in plain icount record replay; do linux_times "linux-qemu.$mode" "QEMU, $mode"; done
    row linux-qemu.log "QEMU's log" bytes
    row linux.record_record "encore record / QEMU rr=record" "" "<=" 1
    row linux.replay_replay "encore replay / QEMU rr=replay" ""
    row linux.run_plain "encore run / QEMU plain" ""
    row linux.run_icount "encore run / QEMU icount" ""
    row linux.record_icount "encore record / QEMU icount" ""
}

# The seconds that the guest itself measured, with its shell's word `time`.
linux_seconds() {
    tr -d '\r' <"$work/output" | sed -n 's/^real\s*\([0-9]*\)m \([0-9.]*\)s.*/\1 \2/p' | awk '{ print $1 * 60 + $2 }'
}
# One transfer of $io_mb MB, recorded, replayed, and under plain QEMU; beside a recording that only boots.
linux_transfer() { # NAME WORDS
    local name=linux-$1 words=$2 options arguments seconds
    linux_options "then=$words;poweroff,-f"
    linux_record "$name" "${io_devices[@]}"
    seconds=$(linux_seconds)
    sample "$name.rate" "$(ratio "$io_mb" "$seconds")"
    sample "$name.per_mb" "$(ratio $(($(stat -c %s "$work/$name.enc") - io_boot)) "$io_mb")"
    linux_replay "$name"
    command -v "$qemu" >/dev/null || return 0
    linux_qemu_arguments plain "then=$words;poweroff,-f"
    timed "$name.qemu" timeout 600 "$qemu" "${arguments[@]}" "${io_qemu_devices[@]}"
    sample "$name.qemu_rate" "$(ratio "$io_mb" "$(linux_seconds)")"
    sample "$name.ratio" "$(ratio "$(ratio "$io_mb" "$seconds")" "$(ratio "$io_mb" "$(linux_seconds)")")"
}

bench_linux_io() {
    local round options arguments server port io_boot io_mb=64 io_devices io_qemu_devices name
    part "Linux: disk and network, $linux_mem MB, engine soft; $io_mb MB each"
    linux_ready || return
    mkdir -p "$work/served"
    head -c ${io_mb}M /dev/urandom >"$work/served/file"
    port=$((20000 + RANDOM % 20000))
    "$linux/root/bin/busybox" httpd -f -p "127.0.0.1:$port" -h "$work/served" &
    server=$!
    # shellcheck disable=SC2064
    trap "kill $server 2>/dev/null; rm -rf '$work'" EXIT
    io_devices=(--disk "$linux/disk.img" --net user)
    io_qemu_devices=(-drive "file=$linux/disk.img,format=raw,if=virtio,snapshot=on" -nic "user,model=virtio-net-pci")
    command_line "encore record --force -o WORK/x.enc --engine soft --mem ${linux_mem}M --initrd $linux/initrd ${io_devices[*]} --cmdline '$linux_boot_line then=...' $linux/vmlinuz"
    note "read:     dd if=/dev/vda of=/dev/null bs=64k count=$((io_mb * 16)) iflag=direct"
    note "write:    dd if=/dev/zero of=/dev/vda bs=64k count=$((io_mb * 16)) oflag=direct"
    note "download: wget of random bytes from busybox httpd on the host"
    for ((round = 0; round < runs; round++)); do
        linux_options "then=poweroff,-f"
        linux_record linux-io "${io_devices[@]}"
        io_boot=$(stat -c %s "$work/linux-io.enc")
        linux_transfer read "time,dd,if=/dev/vda,of=/dev/null,bs=64k,count=$((io_mb * 16)),iflag=direct"
        linux_transfer write "time,dd,if=/dev/zero,of=/dev/vda,bs=64k,count=$((io_mb * 16)),oflag=direct"
        linux_transfer download "time,wget,-q,-O,/dev/null,http://10.0.2.2:$port/file"
        sample linux-download.share "$(ratio "$(stat -c %s "$work/linux-download.enc")" $((io_mb << 20)))"
    done
    kill $server
    wait $server 2>/dev/null
    row linux-io.log "a boot alone with these devices: log" bytes
    for name in read write download; do
        row "linux-$name.rate" "$name: as the guest measures it, recording" MB/s
        row "linux-$name.qemu_rate" "$name: the same under QEMU, plain" MB/s
        row "linux-$name.ratio" "$name: encore / QEMU" ""
        row "linux-$name.per_mb" "$name: log bytes for each MB" bytes
        row "linux-$name.record.wall" "$name: record, with boot" s
        row "linux-$name.replay.wall" "$name: replay, with boot" s
    done
    row linux-download.share "download: whole log / bytes received" "" "<=" 1.05
}

# What the prompt's sleep adds to the same session without it.
bench_linux_idle() {
    local round options seconds=${LINUX_IDLE:-60} bytes replay replay_cpu n
    part "Linux: an idle shell for $seconds s, $linux_mem MB, engine soft"
    linux_ready || return
    linux_options
    for n in 0 "$seconds"; do
        printf 'wait "# "\nline sleep %s; poweroff -f\n' "$n" >"$work/sleep$n.script"
    done
    command_line "encore record --force -o WORK/idle.enc ${options[*]} --input WORK/sleep.script $linux/vmlinuz"
    note "sleep.script: wait \"# \" and then line sleep $seconds; poweroff -f (and the same with sleep 0)"
    for ((round = 0; round < runs; round++)); do
        linux_record linux-busy --input "$work/sleep0.script"
        bytes=$(stat -c %s "$work/linux-busy.enc")
        linux_replay linux-busy
        replay=$wall replay_cpu=$processor
        linux_record linux-idle --input "$work/sleep$seconds.script"
        sample linux-idle.bytes $(($(stat -c %s "$work/linux-idle.enc") - bytes))
        linux_replay linux-idle
        sample linux-idle.beyond "$(awk "BEGIN { print $wall - $replay }")"
        sample linux-idle.beyond_cpu "$(awk "BEGIN { print $processor - $replay_cpu }")"
    done
    row linux-busy.log "log without the sleep" bytes
    row linux-idle.log "log with it" bytes
    row linux-idle.bytes "log of the sleep alone" bytes "<=" 10240
    linux_times linux-idle.record "record"
    row linux-busy.replay.wall "replay without the sleep" s
    row linux-idle.replay.wall "replay with it" s
    row linux-idle.beyond "replay of the sleep alone" s "<=" 1
    row linux-idle.beyond_cpu "replay of the sleep alone: processor time" s
}

linux_restore() { # ID FIGURE
    rm -f "$work/pauses"
    PAUSES=$work/pauses timed "$2" "$build/bench/pauses" replay --from "$1" "$work/pauses.enc"
    sample_lines "$2" <"$work/pauses"
}

# The recorder's own checkpoints, timed from outside (bench/pauses.c). Every sixteenth is a whole one: what counts is the
# second of them, since the first is from before the boot, and the changes once the guest has come to rest.
bench_linux_checkpoint() {
    local round options id last
    part "Linux: checkpoints, $linux_mem MB, engine soft; a shell that idles, one every second"
    linux_ready || return
    linux_options "then=sleep,18;poweroff,-f"
    options+=(--checkpoint-every 1s)
    command_line "PAUSES=FILE BUILD/bench/pauses record --force -o WORK/pauses.enc ${options[*]} $linux/vmlinuz"
    command_line "PAUSES=FILE BUILD/bench/pauses replay --from LAST WORK/pauses.enc"
    for ((round = 0; round < runs; round++)); do
        rm -f "$work/pauses"
        PAUSES=$work/pauses timed linux-checkpoint.record "$build/bench/pauses" record --force -o "$work/pauses.enc" \
            "${options[@]}" "$linux/vmlinuz"
        grep '^whole' "$work/pauses" | tail -n 1 | sample_lines linux-checkpoint
        grep '^changes' "$work/pauses" | tail -n 8 | sample_lines linux-checkpoint
        "$encore" checkpoint list "$work/pauses.enc" >"$work/list" || exit 1
        id=$(awk '$2 == "-" { id = $1 } END { print id }' "$work/list")
        last=$(awk 'END { print $1 }' "$work/list")
        linux_restore "$id" linux-checkpoint-whole
        linux_restore "$last" linux-checkpoint-chain
        sample linux-checkpoint.parents $((last - id))
    done
    sed 's/^/   /' "$work/list"
    row linux-checkpoint.whole "pause, whole" ms "<=" 300
    row linux-checkpoint.changes "pause, changes of one idle second" ms "<=" 10
    row linux-checkpoint-whole.restore "restore to running, of a whole one" ms "<=" 50
    row linux-checkpoint-chain.restore "restore to running, of the last and its parents" ms "<=" 50
    row linux-checkpoint.parents "how many parents" ""
}

bench_linux() {
    bench_linux_boot
    bench_linux_io
    bench_linux_idle
    bench_linux_checkpoint
}
