#!/bin/sh
# Which engine --engine auto takes: for a recording always the one that records every guest exactly. And what is said of a
# guest that reads the time stamp counter, where it is recorded on KVM all the same.
. tests/lib.sh

soft_because="engine soft, because a recording on it is exact for every guest"
"$ENCORE" record -o "$WORK/auto.enc" "$GUESTS/mbhello" </dev/null >"$WORK/out" 2>"$WORK/err"
"$ENCORE" log info "$WORK/auto.enc" >"$WORK/info"
check "auto: a recording is on soft" grep -q '^engine  *soft' "$WORK/info"
check "auto: and one line says why" grep -qx "encore: $soft_because; on KVM the guest's time stamp counter is the host's" "$WORK/err"
"$ENCORE" record --engine soft -o "$WORK/soft.enc" "$GUESTS/tsc" </dev/null >"$WORK/out" 2>"$WORK/err"
check "soft: asked for, there is nothing to say" sh -c "! grep -q 'engine' '$WORK/err'"
"$ENCORE" run "$GUESTS/mbhello" </dev/null >"$WORK/out" 2>"$WORK/err"
check "auto: run may take either" sh -c "! grep -q '$soft_because' '$WORK/err'"
"$ENCORE" doctor >"$WORK/doctor"
check "auto: the doctor agrees" grep -q 'Recorded and replicated guests run on soft' "$WORK/doctor"

# warned HOW ARGUMENTS...: on KVM, one sentence at the start: "reads", "may read", or none; and the run goes on.
warned() {
    how=$1
    shift
    rm -f "$WORK/kvm.enc"
    timeout 60 "$ENCORE" "$@" </dev/null >"$WORK/out" 2>"$WORK/err"
    grep -a 'time stamp counter' "$WORK/err" >"$WORK/warning"
    cat "$WORK/err"
    if [ -z "$how" ]; then
        [ ! -s "$WORK/warning" ]
    else
        [ "$(wc -l <"$WORK/warning")" -eq 1 ] && grep -q "a replay may differ: this guest $how the time stamp" "$WORK/warning"
    fi && [ -s "$WORK/out" ]
}
if need_kvm "kvm: guests that read the time stamp counter"; then
    record="record --engine kvm --max-exits 3000 -o $WORK/kvm.enc"
    # shellcheck disable=SC2086
    {
        check "kvm: tsc reads it" warned reads $record "$GUESTS/tsc"
        check "kvm: kv does not" warned '' $record "$GUESTS/kv"
        check "kvm: sieve does not" warned '' $record "$GUESTS/sieve"
        check "kvm: mbhello does not" warned '' $record "$GUESTS/mbhello"
        check "kvm: a boot sector may" warned 'may read' $record "$GUESTS/bootsec"
    }
    check "kvm: a run that is not recorded may" warned '' run --engine kvm --max-exits 3000 "$GUESTS/tsc"
fi
finish
