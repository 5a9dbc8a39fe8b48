#!/bin/sh
# A log recorded on KVM replays on soft to the same digests wherever all its places have names there, which exits always
# have; where it has places counted in ticks, the replay says so in one sentence and ends with 2. One recorded on soft takes
# interrupts to the instruction, and KVM says that it cannot.
. tests/lib.sh
. tests/tools/recording.sh

need_kvm "a log of kvm replays on soft, or says why not" "a log of soft replays on kvm, or says why not" || finish

kv_script 3 >"$WORK/script"

# crosses TO NAME: the log $log, made by $ENGINE, on the other engine.
crosses() {
    what="$2: replayed on $1, or explained"
    encore replay --verify --engine "$1" "$log" >"$WORK/replayed" 2>"$WORK/replay.err"
    replay_code=$?
    if [ "$1" = kvm ]; then
        refused=$((refused + 1))
        [ $replay_code -eq 2 ] && grep -q 'interrupts are taken here as soon as the guest lets them' "$WORK/replay.err" && ok "$what" && return
    elif "$ENCORE" log dump "$log" | grep -q 'exit [0-9]*, tick '; then
        explained=$((explained + 1))
        [ $replay_code -eq 2 ] && grep -q 'counted in ticks that this engine does not have' "$WORK/replay.err" && ok "$what" && return
    else
        identical=$((identical + 1))
        [ $replay_code -eq 0 ] && [ "$(digest_in "$WORK/replayed")" = "$digest" ] && ok "$what" && return
    fi
    blame "exit code $replay_code, digest recorded $digest
$(cat "$WORK/replayed" "$WORK/replay.err" | tail -n 30)" "$ENCORE replay --verify --engine $1 $(keep "$log")"
}

# both NAME OPTION... IMAGE
both() {
    name=$1
    shift
    for pair in kvm/soft soft/kvm; do
        ENGINE=${pair%/*}
        record_guest "$name" "$@" </dev/null
        crosses "${pair#*/}" "$name"
    done
}

identical=0 explained=0 refused=0
both bootsec "$GUESTS/bootsec"
both mbhello --cmdline 'two words' "$GUESTS/mbhello"
both kv --input "$WORK/script" "$GUESTS/kv"
both sieve --cmdline n=2000 "$GUESTS/sieve"
both tasks --cmdline 'iterations=600 hz=1000' "$GUESTS/tasks"
both user --cmdline 'rounds=1 hz=100' "$GUESTS/user"
both storm --cmdline 'rate=100 ticks=20' "$GUESTS/storm"
for mode in divide ud2 stack triple port halt wild=0x7ead00000000; do
    both "faulty-$mode" --cmdline "$mode" "$GUESTS/faulty"
done
ENGINE=
# If nothing had replayed, nothing would have been shown. A busy host gives more places between exits.
check "some of each kind, identical and explained: $identical and $explained; $refused refused" test $identical -ge 5 -a $explained -ge 1
finish
