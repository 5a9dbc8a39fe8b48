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
    [ "$1" = kv ] || return
    sample kv.per_command "$(ratio "$file" "$kv_commands")"
    sample kv.beyond "$(ratio $((file - payload)) "$kv_commands")"
    sample kv.raw_beyond "$(ratio $((raw - payload)) "$kv_commands")"
}

# The part "wall" has made these recordings already, if it ran.
log_recordings() { # NAME EXIT_CODE OPTION...
    local name=$1 expect=$2 round
    shift 2
    [ -s "$samples/$name.file" ] && return
    for ((round = 0; round < runs; round++)); do
        timed "$name.log_only" "$encore" record --force -o "$work/$name.enc" "$@" "$guests/kv"
        log_samples "$name"
    done
}

bench_log() {
    make_kv_script
    log_recordings idle 124 --input "$work/idle.script" --timeout "${idle}s"
    log_recordings kv 1 --input "$work/kv.script"
    part "Size of logs"
    command_line "encore record --force -o WORK/idle.enc --input WORK/idle.script --timeout ${idle}s BUILD/guests/kv"
    row idle.file "kv idle for $idle s: file" bytes
    row idle.per_second "kv idle at 100 Hz: (file - header) / guest time" B/s "<=" 400
    command_line "encore record --force -o WORK/kv.enc --input WORK/kv.script BUILD/guests/kv"
    row kv.file "kv, $kv_commands commands: file" bytes
    row kv.payload "kv: the input's own bytes" bytes
    row kv.per_command "kv: file / commands" B
    row kv.beyond "kv: (file - input's bytes) / commands" B "<=" 8
    row kv.raw_beyond "kv: the same for records before compression" B "<=" 8
}
