# What recording and replaying cost in wall time. A round is run, record, replay, one after the other, and a ratio is
# that of one round's times: so what else the host does in the meantime weighs on both sides.

# wall_one NAME EXIT_CODES RECORD_TARGET REPLAY_TARGET GUEST [OPTION...], with $engine
wall_one() {
    local name=$engine.$1 expect=$2 record_target=$3 replay_target=$4 guest=$5 round
    shift 5
    set -- --engine "$engine" "$@"
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

# How often the replay had to find a place between exits, and what it spent beyond the recording for each; where it was
# the quicker of the two, or had few such places, they explain nothing.
landing_cost() { # NAME
    local places beyond
    places=$("$encore" log export --json "$work/$1.enc" | grep -c '"kind":"tick"')
    beyond=$(awk "BEGIN { print int(($(median "$1.replay.wall") - $(median "$1.record.wall")) * 1e6) }")
    if [ "$places" -lt 50 ] || [ "$beyond" -le 0 ]; then
        note "$1: $places places between exits to land on"
    else
        note "$1: $places places between exits to land on, $((beyond / places)) us more than the recording for each"
    fi
}

# What a recording costs however short it is: making the log's file durable, and the like.
fixed_cost() {
    local name=$engine.fixed expect=1 round run_wall
    command_line "encore run --engine $engine BUILD/guests/mbhello ; encore record --force -o WORK/run.enc (the same)"
    for ((round = 0; round < 2 * runs; round++)); do
        timed "$name.run" "$encore" run --engine "$engine" "$guests/mbhello"
        run_wall=$wall
        timed "$name.record" "$encore" record --engine "$engine" --force -o "$work/fixed.enc" "$guests/mbhello"
        sample "$name.beyond" "$(awk "BEGIN { print ($wall - $run_wall) * 1000 }")"
    done
    row "$name.run.wall" "$engine.mbhello: run" s
    row "$name.beyond" "$engine.mbhello: record - run, a recording's fixed cost" ms
}

# The guests are made large enough for the engine that a run is not all start and end; kv is as it is.
bench_wall() {
    local engine record replay
    make_kv_script
    for engine in $engines; do
        part "Recording and replaying with the engine $engine: wall time"
        fixed_cost
        if [ "$engine" = kvm ]; then
            record="<= 1.05" replay="<= 1.2"
            wall_one sieve 1 "$record" "$replay" "$guests/sieve"
            wall_one tasks 1 "$record" "$replay" "$guests/tasks" --cmdline iterations=16000
        else
            record="<= 1.02" replay="<= 1.0"
            wall_one sieve 1 "$record" "$replay" "$guests/sieve" --cmdline "n=2000000 rounds=100"
            wall_one tasks 1 "$record" "$replay" "$guests/tasks" --cmdline iterations=1000000
        fi
        wall_one user 1 "$record" "$replay" "$guests/user" --cmdline rounds=1000
        wall_one idle 124 "" "< 1" "$guests/kv" --input "$work/idle.script" --timeout "${idle}s"
        wall_one kv 1 "$record" "$replay" "$guests/kv" --input "$work/kv.script"
    done
}
