# What the monitor itself costs: checkpoints, starting, memory.

# The engine matters here only in how it finds the pages that were written; one will do.
bench_checkpoint() {
    local round kind command
    local engine=${engines%% *}
    part "Checkpoints of 64 MB of guest memory, 5 MB of it touched; engine $engine"
    for kind in text random; do
        command="$build/bench/checkpoint $engine $guests/kv $work/checkpoint.enc 64 5 $kind"
        command_line "$command"
        for ((round = 0; round < 2 * runs; round++)); do
            $command >"$work/lines" || exit 1
            sample_lines "checkpoint-$kind" <"$work/lines"
        done
        row "checkpoint-$kind.whole" "$kind: pause, whole" ms "<=" 20
        row "checkpoint-$kind.incremental" "$kind: pause, changes only" ms "<=" 20
        row "checkpoint-$kind.restore" "$kind: restore" ms "<=" 20
        row "checkpoint-$kind.restore_2" "$kind: restore one and the changes to it" ms "<=" 20
        row "checkpoint-$kind.whole_bytes" "$kind: whole, in the log" bytes
        row "checkpoint-$kind.incremental_bytes" "$kind: changes, in the log" bytes
    done
}

start_one() { # ENGINE GUEST
    local name=$1.$2 round
    command_line "$build/bench/startup $encore $1 $guests/$2"
    for ((round = 0; round < 2 * runs; round++)); do
        "$build/bench/startup" "$encore" "$1" "$guests/$2" >"$work/lines" 2>"$work/errors" ||
            { cat "$work/errors" >&2; exit 1; }
        sample_lines "start-$name" <"$work/lines"
    done
    row "start-$name.engine" "$name: engine, with what probing it does" ms $([ "$1" = soft ] && echo "<= 2")
    row "start-$name.machine" "$name: machine, image and boot" ms
    row "start-$name.ready" "$name: main to first entry into the guest" ms "<=" 10
    row "start-$name.first_exit" "$name: main to the guest's first exit" ms "<=" 10
    row "start-$name.first_byte" "$name: fork of encore run to first byte out" ms
}

bench_start() {
    local engine image
    part "From the start to the guest's first instruction"
    for engine in $engines auto; do
        for image in mbhello bootsec; do start_one "$engine" "$image"; done
    done
}

# Resident kilobytes of a process, without its mapping of guest memory, which is told by its size.
resident() { # PID GUEST_KB
    awk -v guest="$2" '
        $1 == "Size:" { size = $2 }
        $1 == "Rss:" { if (size == guest) found++; else total += $2 }
        $1 == "Private_Clean:" || $1 == "Private_Dirty:" { if (size != guest) private += $2 }
        END {
            if (found != 1) exit 1
            printf "resident %.3f\nprivate %.3f\n", total / 1024, private / 1024
        }' "/proc/$1/smaps"
}

# Twice the guest's 1 s is let pass, so that buffers have seen use; 96 MB is a size that no other mapping has.
memory_one() { # NAME ARGUMENT...
    local name=$engine.$1 round process
    shift
    set -- "$@" --engine "$engine"
    command_line "encore $* --mem 96M --input WORK/idle.script BUILD/guests/kv   (after 2 s: /proc/PID/smaps)"
    for ((round = 0; round < runs; round++)); do
        "$encore" "$@" --mem 96M --input "$work/idle.script" --timeout 20s "$guests/kv" >"$work/output" 2>&1 &
        process=$!
        sleep 2
        resident $process 98304 >"$work/lines" || { echo "bench: no mapping of guest memory in smaps" >&2; exit 1; }
        kill -INT $process
        wait $process
        sample_lines "$name" <"$work/lines"
    done
    row "$name.resident" "$name: resident, without guest memory" MB "<=" 8
    row "$name.private" "$name: of that, not shared with others" MB
}

bench_memory() {
    local engine
    make_kv_script
    part "Resident memory beyond guest memory"
    for engine in $engines; do
        memory_one run run
        memory_one record record --force -o "$work/memory.enc" --checkpoint-every 500ms
    done
}
