# What recording and replaying cost in wall time. A round is run, record, replay, one after the other, and a ratio is
# that of one round's times: so what else the host does in the meantime weighs on both sides.

# wall_one NAME EXIT_CODES RUN_RECORD_TARGET REPLAY_TARGET GUEST [OPTION...]
wall_one() {
    local name=$1 expect=$2 record_target=$3 replay_target=$4 guest=$5 round
    shift 5
    local run_wall run_cpu record_wall record_cpu
    command_line "encore run $* $guest" | sed 's/$/ ; encore record --force -o WORK\/run.enc (the same) ; encore replay --verify WORK\/run.enc/'
    for ((round = 0; round < runs; round++)); do
        timed "$name.run" "$encore" run "$@" "$guest"
        run_wall=$wall run_cpu=$processor
        timed "$name.record" "$encore" record --force -o "$work/$name.enc" "$@" "$guest"
        record_wall=$wall record_cpu=$processor
        log_samples "$name"
        sample "$name.record_ratio" "$(ratio "$record_wall" "$run_wall")"
        sample "$name.record_cpu_ratio" "$(ratio "$record_cpu" "$run_cpu")"
        expect=0 timed "$name.replay" "$encore" replay --verify "$work/$name.enc"
        sample "$name.replay_ratio" "$(ratio "$wall" "$record_wall")"
        sample "$name.replay_cpu_ratio" "$(ratio "$processor" "$record_cpu")"
    done
    row "$name.run.wall" "$name: run" s
    row "$name.record.wall" "$name: record" s
    row "$name.replay.wall" "$name: replay --verify" s
    row "$name.record_ratio" "$name: record / run" "" $record_target
    row "$name.record_cpu_ratio" "$name: record / run, processor time" ""
    row "$name.replay_ratio" "$name: replay / record" "" $replay_target
    row "$name.replay_cpu_ratio" "$name: replay / record, processor time" ""
    landing_cost "$name"
}

# How often the replay had to find a place between exits, and what it spent beyond the recording for each.
landing_cost() { # NAME
    local places
    places=$("$encore" log export --json "$work/$1.enc" 2>/dev/null | grep -c '"kind":"tick"')
    [ "$places" -gt 0 ] || return
    note "$1: the replay landed on $places places between exits; it took" \
        "$(awk "BEGIN { printf \"%.0f\", ($(median "$1.replay.wall") - $(median "$1.record.wall")) * 1e6 / $places }") us more than the recording for each"
}

bench_wall() {
    make_kv_script
    part "Recording and replaying: wall time"
    wall_one sieve 1 "<= 1.05" "<= 1.2" "$guests/sieve"
    wall_one user 1 "<= 1.05" "<= 1.2" "$guests/user" --cmdline rounds=1500
    wall_one tasks 1 "<= 1.05" "<= 1.2" "$guests/tasks" --cmdline iterations=16000
    wall_one idle 124 "" "< 1" "$guests/kv" --input "$work/idle.script" --timeout "${idle}s"
    wall_one kv 1 "<= 1.05" "<= 1.2" "$guests/kv" --input "$work/kv.script"
}
