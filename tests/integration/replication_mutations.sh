#!/bin/bash
# Can the checks of the replication simulation fail? Each mutation breaks one rule in a copy of one file, and the check
# that is named must notice (tests/simulation/mutations.sh). Run one alone:
#
#     tests/integration/replication_mutations.sh NAME
# (tests/run: alone)
. tests/lib.sh

if [ "${SANITIZED:-0}" = 1 ]; then
    skip "replication mutations" "they need no sanitizers, and are run without"
    finish
fi

only=${1:-}
seeds=100000
running=0

compile() { # SOURCE OUTPUT FILE-THAT-IT-REPLACES
    local objects
    objects=$(find "$BUILD/tests/simulation" -name '*.o' ! -path "$BUILD/${3%.c}.o" | sort)
    # shellcheck disable=SC2086
    ${CC:-gcc} -std=gnu17 -D_GNU_SOURCE -w -O1 -I. "$1" tests/integration/replication_sim.c $objects \
        "$BUILD/libencore.a" -o "$2" -pthread -lzstd -llz4 -lxxhash -ljansson -lm
}

# One mutation, in the background; its lines go to a file, so that they stay together.
run_one() { # NAME CHECK FILE FROM TO
    local source=$WORK/$1.c program=$WORK/$1 text replaced output
    text=$(cat "$3" && echo .) && text=${text%.}
    if [[ $text != *"$4"* ]]; then
        not_ok "mutation $1" "$3 does not have the text that is to be changed: $4"
        return
    fi
    replaced=${text/"$4"/"$5"}
    printf '%s' "$replaced" >"$source"
    if ! output=$(compile "$source" "$program" "$3" 2>&1); then
        not_ok "mutation $1" "$output"
        return
    fi
    if output=$(timeout 120 "$program" --expect "$2" --seeds $seeds --jobs 1 2>&1); then
        ok "mutation $1: $(grep -m 1 '^# caught' <<<"$output" | sed 's/^# //')"
    else
        not_ok "mutation $1" "the check '$2' does not notice it in $seeds seeds
again: tests/integration/replication_mutations.sh $1
$output"
    fi
    rm -f "$program"
}

mutate() { # NAME CHECK FILE FROM TO: in FILE, the first FROM is replaced by TO; CHECK must fail.
    [ -z "$only" ] || [ "$only" = "$1" ] || return 0
    if [ "$running" -ge "$(nproc)" ]; then
        wait -n
        running=$((running - 1))
    fi
    run_one "$@" >"$WORK/$1.result" &
    running=$((running + 1))
}

. tests/simulation/mutations.sh
wait
cat "$WORK"/*.result
! grep -q '^not ok' "$WORK"/*.result
