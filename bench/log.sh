# How many bytes a recording takes.

# Samples of one recording: file, header, guest seconds, records before compression, and the input among them.
log_samples() { # NAME
    local file header seconds raw payload
    file=$(stat -c %s "$work/$1.enc")
    "$encore" log stat "$work/$1.enc" >"$work/stat" || exit 1
    header=$(awk '$1 == "header" { print $2 }' "$work/stat")
    seconds=$(awk '$1 == "guest" && $2 == "time" { print $3 }' "$work/stat")
    payload=$(awk '$1 == "input" && $2 == "payload" { print $3 }' "$work/stat")
    raw=$(awk '$1 == "all" && $4 { print $4; exit }' "$work/stat")
    sample "$1.file" "$file"
    sample "$1.per_second" "$(ratio $((file - header)) "$seconds")"
    sample "$1.payload" "$payload"
    [[ $1 = *.kv ]] || return
    sample "$1.per_command" "$(ratio "$file" "$kv_commands")"
    sample "$1.beyond" "$(ratio $((file - payload)) "$kv_commands")"
    sample "$1.raw_beyond" "$(ratio $((raw - payload)) "$kv_commands")"
}

# The part "wall" has made these recordings already, if it ran.
log_recordings() { # NAME EXIT_CODE OPTION...
    local name=$engine.$1 expect=$2 round
    shift 2
    set -- --engine "$engine" "$@"
    [ -s "$samples/$name.file" ] && return
    for ((round = 0; round < runs; round++)); do
        timed "$name.log_only" "$encore" record --force -o "$work/$name.enc" "$@" "$guests/kv"
        log_samples "$name"
    done
}

bench_log() {
    local engine
    make_kv_script
    for engine in $engines; do
        log_recordings idle 124 --input "$work/idle.script" --timeout "${idle}s"
        log_recordings kv 1 --input "$work/kv.script"
        part "Size of logs with the engine $engine"
        command_line "encore record --engine $engine --force -o WORK/idle.enc --input WORK/idle.script --timeout ${idle}s BUILD/guests/kv"
        row "$engine.idle.file" "$engine.idle: kv, $idle s: file" bytes
        row "$engine.idle.per_second" "$engine.idle: (file - header) / guest time" B/s "<=" 400
        command_line "encore record --engine $engine --force -o WORK/kv.enc --input WORK/kv.script BUILD/guests/kv"
        row "$engine.kv.file" "$engine.kv: $kv_commands commands: file" bytes
        row "$engine.kv.payload" "$engine.kv: the input's own bytes" bytes
        row "$engine.kv.per_command" "$engine.kv: file / commands" B
        row "$engine.kv.beyond" "$engine.kv: (file - input) / commands" B "<=" 8
        row "$engine.kv.raw_beyond" "$engine.kv: (uncompressed records - input) / commands" B "<=" 8
    done
}
