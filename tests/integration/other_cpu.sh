#!/bin/sh
# A recording made on this processor replays to the same digest on those of other makers and models: nothing of the host
# leaks into the guest. QEMU runs the command itself as if on each of them, with arithmetic of its own in software.
. tests/lib.sh
. tests/tools/recording.sh

MODELS='Nehalem EPYC Opteron_G3'
command -v qemu-x86_64 >/dev/null || {
    skip "a replay on other processors is identical" "qemu-x86_64 is missing (package qemu-user)"
    finish
}
# What the sanitizers map does not go into QEMU's address space; and the command that they do not slow down is the same.
if [ "$SANITIZED" = 1 ]; then
    skip "a replay on other processors is identical" "QEMU cannot run a command built with sanitizers"
    finish
fi

# replays_on MODEL NAME: $log, to the digest that was recorded.
replays_on() {
    what="$2: identical on $1"
    encore_on="qemu-x86_64 -cpu $1 $ENCORE"
    # shellcheck disable=SC2086
    timeout --kill-after=5 "$LIMIT" $encore_on replay --verify --engine soft "$log" >"$WORK/replayed" 2>"$WORK/replay.err"
    replay_code=$?
    [ $replay_code -eq 0 ] && [ -n "$digest" ] && [ "$(digest_in "$WORK/replayed")" = "$digest" ] && ok "$what" && return
    blame "exit code $replay_code, digest recorded $digest
$(tail -n 20 "$WORK/replayed" "$WORK/replay.err")" "$encore_on replay --verify --engine soft $(keep "$log")"
}

# A guest that is recorded here.
everywhere() { # NAME OPTION... IMAGE
    ENGINE=soft
    record_guest "$@" </dev/null
    ENGINE=
    for model in $MODELS; do
        replays_on "$model" "$1"
    done
}

kv_script 20 >"$WORK/script"
everywhere kv --input "$WORK/script" "$GUESTS/kv"
# No checkpoints on the way: QEMU does not keep C1 of the status word, which FNINIT clears in the end.
everywhere math "$GUESTS/math"
# The sum of all results, whatever processor this is: worked out once, and it changes only with the guest.
check "math computes here what it computes anywhere" grep -q '^sum c6fcd1eb2bfbe077 after 200 rounds' "$WORK/math.out"
finish
