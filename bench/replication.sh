# What a backup costs, and how long a takeover takes. Everything over ipc:// with a key, unless said otherwise; engine
# soft, so that the figures are about replication.

# Samples of "without X", "with Y", "spinning Z", "beside Z" that a benchmark program prints, in this order.
pair_samples() { # FIGURE
    local name value without= with= cpu=
    while read -r name value; do
        sample "$1.$name" "$value"
        [ "$name" = without ] && without=$value
        [ "$name" = cpu_without ] && cpu=$value
        [ "$name" = cpu_with ] && sample "$1.cpu_ratio" "$(ratio "$cpu" "$value")"
        [ "$name" = with ] && with=$value && sample "$1.ratio" "$(ratio "$value" "$without")" &&
            sample "$1.added" "$(awk "BEGIN { print $value - $without }")"
        [ "$name" = spinning ] && sample "$1.ratio_spinning" "$(ratio "$with" "$value")"
        [ "$name" = beside ] && sample "$1.ratio_beside" "$(ratio "$with" "$value")" &&
            sample "$1.beside_ratio" "$(ratio "$value" "$without")"
    done
}

# Starts a primary (P) or a backup (B) of it, and waits until they say that they are what they should be.
start_sides() { # backup|alone OPTION... IMAGE
    local how=$1
    shift
    rm -rf "$work/pair"
    mkdir -m 700 "$work/pair"
    "$encore" keygen "$work/pair/key"
    # A busy host shall not part them.
    side=("$encore" primary --engine soft --key "$work/pair/key" --arbiter "file:$work/pair/arbiter" --suspect-after 1s)
    {
        local TIMEFORMAT='%U %S'
        time "${side[@]}" --listen "ipc://$work/pair/P" "$@" 2>"$work/pair/P.err"
    } 2>"$work/pair/P.time" &
    primary=$!
    backup=
    [ "$how" = backup ] && start_backup
}
start_backup() {
    side=("$encore" backup --key "$work/pair/key" --arbiter "file:$work/pair/arbiter" --suspect-after 1s)
    "${side[@]}" --connect "ipc://$work/pair/P" 2>"$work/pair/B.err" &
    backup=$!
    for ((tries = 0; tries < 1000; tries++)); do
        grep -q 'ready to take over' "$work/pair/B.err" 2>/dev/null && return
        sleep 0.01
    done
    say "bench: the backup did not join: $(cat "$work/pair/P.err" "$work/pair/B.err")" >&2
    end_sides
    exit 1
}
status_of_primary() { # FIELD
    "$encore" status --key "$work/pair/key" "ipc://$work/pair/P" 2>/dev/null | sed -n "s/^  \"$1\": \([^,]*\).*/\1/p"
}
end_sides() {
    pkill -KILL -P $primary
    kill -KILL $backup
    wait $primary $backup
} 2>/dev/null

bench_takeover() {
    part "Takeover: SIGKILL of the primary to the first byte from the backup, at the client"
    command_line "$build/bench/replicated $encore $guests/kv takeover ${TAKEOVERS:-100}"
    "$build/bench/replicated" "$encore" "$guests/kv" takeover "${TAKEOVERS:-100}" >"$work/lines" || exit 1
    sample_lines replication <"$work/lines"
    row replication.takeover "takeover (greatest: target 150)" ms "<=" 65
}

bench_commands() {
    part "kv with a backup and without"
    command_line "$build/bench/replicated $encore $guests/kv latency $((2 * runs)) 1"
    "$build/bench/replicated" "$encore" "$guests/kv" latency $((2 * runs)) 1 >"$work/lines" || exit 1
    pair_samples latency <"$work/lines"
    row latency.without "one command at a time, without a backup" us
    row latency.with "... with one" us
    row latency.added "... added" us "<=" 150
    command_line "$build/bench/replicated $encore $guests/kv throughput 20000 1"
    "$build/bench/replicated" "$encore" "$guests/kv" throughput 20000 1 >"$work/lines" || exit 1
    pair_samples throughput <"$work/lines"
    row throughput.without "commands a second, without a backup" ""
    row throughput.with "... with one" ""
    row throughput.beside "... without, while another such machine is busy too" ""
    row throughput.spinning "... without, while a loop takes 70 % of a processor" ""
    row throughput.ratio "with / without" "" ">=" 0.95
    row throughput.beside_ratio "without, beside another machine / without: the host's part" ""
    row throughput.ratio_spinning "with / without, beside the loop" ""
    row throughput.ratio_beside "with / without, beside another machine" ""
    row throughput.cpu_without "processor time of the guest's thread for a command" us
    row throughput.cpu_with "... with a backup" us
    row throughput.all_without "processor time of all threads, the client's too, for a command" us
    row throughput.all_with "... with a backup, on both sides" us
    row throughput.cpu_ratio "without / with, of that" ""
}

# One run of the guest, from its start to its end: alone; with a backup; or alone beside another machine that does the
# same and knows nothing of it, which is what the host has to give when two processors compute.
sieve_one() { # alone|backup|beside
    local start=$EPOCHREALTIME other=
    [ "$1" = beside ] && { "$encore" run --engine soft "${sieve[@]}" >/dev/null 2>&1 & other=$!; }
    start_sides "${1/beside/alone}" "${sieve[@]}"
    wait $primary
    sample "sieve.$1" "$(awk "BEGIN { print $EPOCHREALTIME - $start }")"
    sample "sieve.cpu_$1" "$(awk '{ print $1 + $2 }' "$work/pair/P.time")"
    [ -z "$backup$other" ] || wait $backup $other
    [ -z "$other" ] || sample sieve.both "$(awk "BEGIN { print $EPOCHREALTIME - $start }")"
}

bench_sieve() {
    local round how sieve=(--cmdline 'n=2000000 rounds=300' "$guests/sieve")
    part "sieve with a backup and without"
    command_line "encore primary ... --cmdline '${sieve[1]}' BUILD/guests/sieve, and encore backup ..."
    for ((round = 0; round < runs; round++)); do
        for how in alone backup beside; do sieve_one $how; done
        for how in alone beside; do
            sample "sieve.ratio_$how" "$(ratio "$(tail -n 1 "$samples/sieve.$how")" "$(tail -n 1 "$samples/sieve.backup")")"
        done
        for how in beside both; do
            sample "sieve.host_$how" "$(ratio "$(tail -n 1 "$samples/sieve.alone")" "$(tail -n 1 "$samples/sieve.$how")")"
        done
        sample sieve.cpu_ratio "$(ratio "$(tail -n 1 "$samples/sieve.cpu_alone")" "$(tail -n 1 "$samples/sieve.cpu_backup")")"
    done
    row sieve.alone "wall time without a backup" s
    row sieve.beside "... and beside an 'encore run' of the same" s
    row sieve.both "... and until that one has ended too" s
    row sieve.backup "... with one, joining included" s
    row sieve.ratio_alone "without / with" "" ">=" 0.95
    row sieve.host_both "without / two machines that know nothing of each other: what the host allows" ""
    row sieve.host_beside "without / without, beside another machine: the host's part" ""
    row sieve.ratio_beside "without, beside another machine / with" ""
    row sieve.cpu_ratio "without / with, the primary's processor time" ""
}

bench_link() {
    local round bytes before
    part "The link of an idle guest with a timer at 100 Hz"
    command_line "encore primary ... BUILD/guests/kv, encore backup ...; link_bytes of encore status, ${idle} s apart"
    for ((round = 0; round < runs; round++)); do
        start_sides backup "$guests/kv"
        before=$(status_of_primary link_bytes) bytes=$(status_of_primary stream_bytes)
        sleep "$idle"
        sample link.kbit "$(awk "BEGIN { print ($(status_of_primary link_bytes) - $before) * 8 / 1000 / $idle }")"
        sample link.log "$(awk "BEGIN { print ($(status_of_primary stream_bytes) - $bytes) * 8 / 1000 / $idle }")"
        end_sides
    done
    row link.kbit "from the primary, with heartbeats and encryption" kbit/s "<=" 20
    row link.log "the log in it" kbit/s
}

bench_join() {
    local round memory=(--mem 64M --cmdline 'ballast=56 rate=50' "$guests/kv")
    part "Joining a guest of 64 MB that writes 50 MB/s"
    command_line "encore primary ... --mem 64M --cmdline '${memory[3]}' BUILD/guests/kv, encore backup ...; join_pause_ms"
    for ((round = 0; round < 2 * runs; round++)); do
        start_sides alone "${memory[@]}"
        until [ "$(status_of_primary state)" = '"alone"' ]; do sleep 0.05; done
        sleep 0.5
        start=$EPOCHREALTIME
        start_backup
        sample join.time "$(awk "BEGIN { print ($EPOCHREALTIME - $start) * 1000 }")"
        sample join.pause "$(status_of_primary join_pause_ms)"
        end_sides
    done
    row join.pause "the guest stands still" ms "<=" 30
    row join.time "start of encore backup to a member" ms
}

bench_lag() {
    local n storm=(--cmdline 'rate=10000' "$guests/storm") lags=()
    part "How far the backup is behind under storm (10,000 interrupts a second), over 10 s"
    command_line "encore primary ... --cmdline '${storm[1]}' BUILD/guests/storm, encore backup ...; lag_ms of encore status"
    start_sides backup "${storm[@]}"
    for ((n = 0; n < 100; n++)); do
        lag=$(status_of_primary lag_ms)
        sample lag.storm "$lag"
        lags+=("$(printf '%.0f' "$lag")")
        sleep 0.1
    done
    end_sides
    row lag.storm "lag" ms
    note "each 0.1 s, ms: ${lags[*]}"
}

bench_replication() {
    bench_takeover
    bench_commands
    bench_sieve
    bench_link
    bench_join
    bench_lag
}
