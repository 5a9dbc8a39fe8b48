# For integration tests that record and replay; `. tests/tools/recording.sh` after `. tests/lib.sh`.
#
# A test that fails shows the command that shows it again. What cannot be had a second time is the recording itself, so
# its log is kept beside the test logs, and that command names the copy.
#
# A test that is about recording runs on each engine: each_engine does that. $ENGINE alone chooses one.
SANITIZED=${SANITIZED:-0}
# No command here takes a tenth of this; it is what keeps a test from hanging.
LIMIT=${LIMIT:-120}

# With an engine chosen, it is part of each test's name. These take the place of those in tests/lib.sh.
ok() { echo "ok - ${ENGINE:+$ENGINE: }$1"; }
not_ok() { # NAME [WHAT IS WRONG]
    echo "not ok - ${ENGINE:+$ENGINE: }$1"
    [ $# -lt 2 ] || printf '%s\n' "$2" | sed 's/^/    /'
    failures=$((failures + 1))
}
skip() { echo "skip - ${ENGINE:+$ENGINE: }$1: $2"; }

# Runs the calling test again, once for each engine and in a directory of its own, and ends. Goes on where one is chosen.
each_engine() {
    [ -z "${ENGINE:-}" ] || return 0
    for engine in kvm soft; do
        mkdir -p "$WORK/$engine"
        ENGINE=$engine WORK=$WORK/$engine "$0" || failures=1
        rm -rf "${WORK:?}/$engine"
    done
    finish
}

# need_engine NAME...: as need_kvm, where that is the engine.
need_engine() { [ "$ENGINE" != kvm ] || need_kvm "$@"; }

# encore ARGUMENTS...: the command, in bounded time (124 or 137 when it took longer; 124 is --timeout's code too).
encore() { timeout --kill-after=5 "$LIMIT" "$ENCORE" "$@"; }

# The last digest in a file that record or replay --verify printed.
digest_in() { sed -n 's/.*digest \([0-9a-f]\{32\}\).*/\1/p' "$1" | tail -n 1; }

# keep LOG: prints the name of a copy that is not removed when the test ends.
keep() {
    mkdir -p "$BUILD/test-logs"
    kept=$BUILD/test-logs/$(basename "$0" .sh)-${ENGINE:-}-$(basename "$1")
    cp -f "$1" "$kept" && echo "$kept"
}

# record_guest NAME OPTION... IMAGE: records, on $ENGINE, into $WORK/NAME.enc with the guest's output in $WORK/NAME.out, from our
# standard input. Sets $log, $code (record's exit code) and $digest (what it printed). What it said is in $WORK/NAME.err.
record_guest() {
    log=$WORK/$1.enc
    recorded_as="$ENCORE record --engine $ENGINE"
    recording=${log%.enc}
    shift
    for word in "$@"; do
        case $word in *' '*) recorded_as="$recorded_as '$word'" ;; *) recorded_as="$recorded_as $word" ;; esac
    done
    encore record --engine "$ENGINE" --force -o "$log" "$@" >"$recording.all" 2>"$recording.err"
    code=$?
    digest=$(digest_in "$recording.all")
    # The digest's line is always 40 bytes long. Cutting lines would not do: guests may print without a newline.
    head -c -40 "$recording.all" >"$recording.out"
}

# The name of the test is $what, the log $log.
blame() { # WHAT IS WRONG, COMMAND THAT SHOWS IT
    not_ok "$what" "$1
again: $2
recorded by: ${recorded_as:-?}"
}

# verifies DIGEST [OPTION...]: a replay of $log that must be identical, and end with that digest.
verifies() {
    wanted=$1
    shift
    encore replay --verify "$@" "$log" >"$WORK/replayed" 2>"$WORK/replay.err"
    replay_code=$?
    [ $replay_code -eq 0 ] && tail -n 1 "$WORK/replayed" | grep -q '^digest [0-9a-f]* identical$' &&
        [ "$(digest_in "$WORK/replayed")" = "$wanted" ]
}

# check_replays WHAT TIMES: so many replays of $log to $digest, and one that prints what the guest printed.
check_replays() {
    what=$1
    for round in $(seq "$2"); do
        verifies "$digest" && continue
        blame "replay $round: exit code $replay_code, digest recorded $digest:
$(tail -n 40 "$WORK/replayed" "$WORK/replay.err")" "$ENCORE replay --verify $(keep "$log")"
        return 1
    done
    encore replay "$log" >"$WORK/printed" 2>"$WORK/replay.err"
    replay_code=$?
    if [ $replay_code -ne 0 ] || ! cmp -s "$WORK/printed" "${log%.enc}.out"; then
        blame "exit code $replay_code; printed: $(cmp "$WORK/printed" "${log%.enc}.out" 2>&1)
$(tail -n 40 "$WORK/replay.err")" "$ENCORE replay $(keep "$log")"
        return 1
    fi
    ok "$what"
}

# Numbers of the checkpoints of $log.
checkpoint_ids() { "$ENCORE" checkpoint list "$log" 2>/dev/null | awk 'NR > 1 && $1 ~ /^[0-9]+$/ { print $1 }'; }

# check_from_checkpoints WHAT LEAST: replays from every checkpoint of $log, of which there are at least so many. Under the
# sanitizers, where a replay takes a second, some eight of them stand for all.
check_from_checkpoints() {
    what=$1
    ids=$(checkpoint_ids)
    count=$(echo "$ids" | grep -c .)
    if [ "$count" -lt "$2" ]; then
        blame "only $count checkpoints" "$ENCORE checkpoint list $(keep "$log")"
        return 1
    fi
    step=1
    [ "$SANITIZED" = 0 ] || step=$(((count + 7) / 8))
    for id in $(echo "$ids" | awk -v step="$step" 'NR % step == 1 || step == 1'); do
        verifies "$digest" --from "$id" && continue
        blame "from checkpoint $id of $count: exit code $replay_code, digest recorded $digest:
$(tail -n 40 "$WORK/replayed" "$WORK/replay.err")" "$ENCORE replay --verify --from $id $(keep "$log")"
        return 1
    done
    ok "$what"
}

# kv_script ROUNDS: a script for kv that uses all of it, waiting for each reply.
kv_script() {
    cat <<END_OF_SCRIPT
wait "kv ready\\n"
repeat $1
  line SET key%d value %d
  wait "OK\\n"
  line INCR counter
  wait "VALUE %d\\n"
end
line RANDOM
wait "RANDOM "
line TIME
wait "ticks "
line SLEEP 10
wait "OK\\n"
line DUMP
wait "END "
line QUIT
END_OF_SCRIPT
}

# build_doctor: makes $DOCTOR from tests/tools/log_doctor.c.
DOCTOR=$BUILD/tests/tools/log_doctor
build_doctor() {
    sanitizers=
    [ "$SANITIZED" = 1 ] && sanitizers=SAN=1
    # shellcheck disable=SC2086
    ${MAKE:-make} --no-print-directory $sanitizers BUILD="$BUILD" "$DOCTOR"
}

# encore ends with CODE, says at most one sentence, and PATTERN is in it.
tells() { # CODE PATTERN ARGUMENTS...
    wanted=$1 pattern=$2
    shift 2
    encore "$@" </dev/null >"$WORK/said.out" 2>"$WORK/said.err"
    said=$?
    cat "$WORK/said.out" "$WORK/said.err"
    echo "again: $ENCORE $*"
    [ $said -eq "$wanted" ] && [ "$(grep -c '^encore' "$WORK/said.err")" -le 1 ] && grep -q -- "$pattern" "$WORK/said.err"
}

# The log replays to the digest that was recorded.
same() { # WHAT DIGEST LOG OPTION...
    what=$1 log=$3
    wanted=$2
    shift 3
    if verifies "$wanted" "$@"; then ok "$what"; else blame "$(cat "$WORK/replayed" "$WORK/replay.err")" "$ENCORE replay --verify $* $log"; fi
}
