#!/bin/sh
# The demo: records a key-value server that is typed to, replays it, and shows that both runs are the same.
# It checks what it shows, and exits with 1 if anything was not as it should be. `make demo` calls it. It needs no KVM:
# where that is missing or slow, --engine auto takes the engine soft.
# Usage: tools/demo.sh [BUILD]
set -u
build=${1:-build}
encore=$build/encore
guest=$build/guests/kv
work=$(mktemp -d) || exit 1
typist=
trap '[ -z "$typist" ] || kill "$typist" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
log=$work/kv.enc

exec 3>&1 # where the story is told while standard output is the guest's input

step() { printf '\n== %s\n' "$1"; }
fail() {
    printf '\ndemo: FAILED: %s\n' "$1"
    exit 1
}
# Shows a command, runs it, and keeps what it prints in $work/out.
show() {
    printf '$ %s\n' "$(echo "$*" | sed "s|$work/||g")"
    "$@" >"$work/out" 2>&1
    code=$?
    sed 's/^/  /' "$work/out"
    return $code
}

# Waits (5 s at most) until the guest has printed line number $1 to console $2, and shows it.
answer() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
        if [ "$(wc -l <"$2")" -ge "$1" ]; then
            sed -n "${1}s/^/  kv:    /p" "$2" >&3
            return
        fi
        sleep 0.2
    done
}

# Somebody types: each line when the answer to the one before has come, after a pause as people make them.
type_lines() {
    answer 1 "$1"
    number=1
    while read -r line; do
        sleep "0.$((number * 7 % 4 + 1))"
        printf '  typed: %s\n' "$line" >&3
        printf '%s\n' "$line"
        number=$((number + 1))
        answer "$number" "$1"
    done <<END
SET planet mars
GET planet
INCR visits
INCR visits
RANDOM
TIME
QUIT
END
}

# Records a session into log $1, with the guest's console in $2.
record() {
    : >"$2"
    mkfifo "$1.input"
    type_lines "$2" >"$1.input" &
    typist=$!
    timeout 60 "$encore" record --engine auto --checkpoint-every 500ms -o "$1" "$guest" <"$1.input" >"$2" 2>"$work/errors"
    code=$?
    # The guest ends by writing 0 to port 0xf4, and (0 << 1) | 1 is 1.
    [ $code -eq 1 ] || kill "$typist" 2>/dev/null
    wait "$typist" 2>/dev/null
    typist=
    [ $code -eq 1 ] && return
    cat "$work/errors"
    fail "the recording ended with exit code $code, not with the guest's own 1"
}

digest_of() { sed -n 's/^digest \([0-9a-f]*\).*/\1/p' "$1"; }

# A log names the engine that recorded it: kvm or soft.
engine_of() { "$encore" log info "$1" | sed -n 's/^engine  *\([a-z]*\).*/\1/p'; }

step "What this host can do"
show "$encore" doctor || fail "encore doctor says that no guest can run here"

step "Record: a key-value server, and somebody who types"
echo "\$ encore record --engine auto --checkpoint-every 500ms -o kv.enc $guest"
record "$log" "$work/console"
grep '^encore: engine' "$work/errors" | sed 's/^/  /'
engine=$(engine_of "$log")
[ -n "$engine" ] || fail "the log does not name its engine"
echo "  recorded on the engine $engine"
recorded=$(digest_of "$work/console")
[ -n "$recorded" ] || fail "the recording printed no digest"
sed '/^digest /d' "$work/console" >"$work/recorded.txt"
echo "  digest of the whole machine at its end: $recorded"

step "Replay: the same machine, on the engine $engine again, with nobody typing"
show "$encore" replay --verify "$log" || fail "the replay diverged"
tail -n 1 "$work/out" | grep -q identical || fail "the replay did not say that it was identical"
[ "$(digest_of "$work/out")" = "$recorded" ] || fail "the replay ended with another digest"

step "Replay again: the guest prints the same, its random number and its time included"
show "$encore" replay "$log" || fail "the replay diverged"
cmp -s "$work/recorded.txt" "$work/out" || fail "the replayed guest printed something else"

step "Replay from the middle: checkpoint 1"
show "$encore" checkpoint list "$log" || fail "the checkpoints cannot be listed"
show "$encore" replay --verify --from 1 "$log" || fail "the replay from checkpoint 1 diverged"
[ "$(digest_of "$work/out")" = "$recorded" ] || fail "the replay from checkpoint 1 ended with another digest"

step "What the log holds"
show "$encore" log info "$log" || fail "the log is not whole"
show "$encore" log stat "$log" || fail "the log is not whole"
show "$encore" log dump --type CONSOLE_IN --type ENTROPY --limit 8 "$log" || fail "the log is not whole"

step "Record once more: the same typing, another run"
record "$work/again.enc" "$work/console2"
again=$(digest_of "$work/console2")
echo "  digest: $again"
[ "$again" != "$recorded" ] || fail "two recordings are the same to the last bit; then a replay proves nothing"

printf '\ndemo: identical. Recorded and replayed machine agree in every bit: %s\n' "$recorded"
echo "demo: now you: $encore record -o my.enc $guest      (HELP, QUIT; then: $encore replay --verify my.enc)"
