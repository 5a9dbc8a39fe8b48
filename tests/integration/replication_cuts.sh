#!/bin/bash
# Only the link between the two breaks, and the arbiter answers both: the primary goes on, and its backup gives way. The
# link closes (as a reset connection does), or passes nothing on any more (as a cable that is pulled out), in turn. With
# the default patience, for the race is about that. CUTS=200 for the figure in docs/replication.md.
. tests/lib.sh
. tests/tools/replication.sh
CUTS=${CUTS:-12}
[ "${SANITIZED:-0}" = 1 ] && CUTS=4

# One cut of a fresh pair; adds to $kept and $taken.
cut_once() { # ORDER
    start_pair_by_link good || not_ok "replication: $case_name: a pair" "$(cat "$case"/[AB].err)"
    sleep 0.0$((RANDOM % 90 + 10))
    order "$1"
    for _ in $(seq 1000); do
        cat "$case"/[AB].err | grep -q 'won epoch 2' && cat "$case"/[AB].err | grep -q 'lost epoch 2' && break
        sleep 0.01
    done
    if says A 'won epoch 2' && says B 'lost epoch 2'; then
        kept=$((kept + 1))
    elif says B 'won epoch 2' && says A 'lost epoch 2'; then
        taken=$((taken + 1))
    else
        not_ok "replication: $case_name: exactly one goes on" "$(cat "$case"/[AB].err)"
    fi
    end_link
}

cuts() { # NAME of the arbiter, which NEW_ARBITER makes fresh
    kept=0 taken=0
    for n in $(seq "$CUTS"); do
        new_case "cuts-$1" || return
        $2 "$n"
        suspect=
        over_tcp
        cut_once "$([ $((n % 2)) = 0 ] && echo cut || echo stall)"
    done
    # Of a few on a busy host fewer are asked for than of many on one that is not.
    wanted=$((CUTS >= 100 ? CUTS * 95 / 100 : CUTS / 2 + 1))
    if [ $kept -ge $wanted ] && [ $((kept + taken)) -eq "$CUTS" ]; then
        ok "replication: cuts-$1: the primary goes on after $kept of $CUTS cuts"
    else
        not_ok "replication: cuts-$1: the primary goes on after $kept of $CUTS cuts" "$wanted were asked for"
    fi
}

fresh_files() { arbiter=file:$case/arbiter; }
cuts file fresh_files

if etcd_case etcd-for-cuts; then
    start_etcd
    etcd_arbiter=$arbiter
    fresh_key() { arbiter=$etcd_arbiter-$1; }
    cuts etcd fresh_key
    kill_etcd
fi
finish
