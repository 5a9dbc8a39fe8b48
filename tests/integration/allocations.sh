#!/bin/bash
# Every allocation of every command fails once (tests/tools/failing_allocations.c is `encore` with one that does): a
# sentence and exit code 1, or the same result as ever; never a crash, nothing half-written, and under the sanitizers
# nothing leaked. EVERY=1 tries all of them; by default those beyond the first hundred of a command are sampled.
. tests/lib.sh
FAILING=$BUILD/tests/tools/failing_allocations
EVERY=${EVERY:-7}
[ "$SANITIZED" = 1 ] && EVERY=29

# The files that a command may leave, besides what was there before; each whole.
left_something() { # FILE-OF-NAMES-BEFORE
    local file
    for file in $(ls -A "$WORK/here" | grep -vxFf "$1"); do
        case $file in
        out.enc) "$ENCORE" log verify "$WORK/here/out.enc" >/dev/null 2>&1 || [ $? -eq 4 ] || echo "$file is damaged" ;;
        out.enc.disk0 | out.png | out.cast | out.pcap | out.key | out.txt) ;;
        *) echo "$file is left" ;;
        esac
    done
}

# sweep NAME COMMAND...: in the directory $WORK/here.
sweep() {
    local name=$1 number=0 step=1 code plain wrong="" said
    shift
    (cd "$WORK/here" && ls -A >"$WORK/before"
     "$FAILING" "$@" >"$WORK/plain.out" 2>"$WORK/plain.err" </dev/null)
    plain=$?
    while :; do
        number=$((number + step))
        [ $number -lt 100 ] || step=$EVERY
        (cd "$WORK/here" && grep -vxFf "$WORK/before" <(ls -A) | xargs -r rm -rf --
         ENCORE_FAIL_ALLOCATION=$number timeout 60 "$FAILING" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null)
        code=$?
        grep -q '^(an allocation fails)' "$WORK/err" || break
        said=$(grep -cE 'memory|allocate' "$WORK/err")
        if [ $code -gt 128 ] || grep -q 'ERROR: \|runtime error\|broken invariant' "$WORK/err"; then
            wrong+="allocation $number: exit code $code: $(grep -v '^(an' "$WORK/err" | head -n 12)"$'\n'
        elif [ "$said" -eq 0 ] && ! { [ $code -eq $plain ] && cmp -s "$WORK/out" "$WORK/plain.out"; }; then
            wrong+="allocation $number: exit code $code, no sentence: $(grep -v '^(an' "$WORK/err" | head -n 4)"$'\n'
        elif [ $code -ne 1 ] && [ $code -ne $plain ]; then
            wrong+="allocation $number: exit code $code: $(grep -v '^(an' "$WORK/err" | head -n 4)"$'\n'
        fi
        wrong+=$(left_something "$WORK/before" | sed "s/^/allocation $number: /")
        [ $number -lt 20000 ] || break
    done
    (cd "$WORK/here" && grep -vxFf "$WORK/before" <(ls -A) | xargs -r rm -rf --)
    if [ -z "$wrong" ] && [ $number -gt 1 ]; then
        ok "allocations: $name"
    else
        not_ok "allocations: $name" "${wrong:-it makes none}
again: ENCORE_FAIL_ALLOCATION=N $FAILING $*"
    fi
    echo "# $name: $number"
}

mkdir "$WORK/here" || exit 1
FAILING=$(realpath "$FAILING") ENCORE=$(realpath "$ENCORE")
cp "$GUESTS"/{kv,disk,mbhello} "$WORK/here" || exit 1
cd "$WORK/here" || exit 1
printf 'wait "kv ready"\nline SET a 1\nline QUIT\n' >script
truncate -s 1M image
"$ENCORE" record --engine soft -o run.enc --input script --checkpoint-every 1ms kv >/dev/null 2>&1 </dev/null
"$ENCORE" log dump run.enc >/dev/null 2>&1 || { not_ok "allocations: a log to begin with"; finish; }

sweep run run --engine soft --clock virtual --input script kv
sweep record record --engine soft --clock virtual -o out.enc --input script --checkpoint-every 1ms kv
sweep "record with a disk and a card" record --engine soft --clock virtual -o out.enc --disk image --net unix:here.socket,listen --max-exits 200 mbhello
sweep replay replay --engine soft --cast out.cast run.enc
sweep "replay --verify" replay --engine soft --verify run.enc
sweep "replay from a checkpoint" replay --engine soft --from 1 --verify run.enc
for command in info dump stat verify; do
    sweep "log $command" log $command run.enc
done
sweep "log export" log export --json run.enc
sweep "log pack" log pack run.enc -o out.txt
sweep "checkpoint list" checkpoint list run.enc
sweep keygen keygen out.key
sweep primary primary --engine soft --listen ipc://"$WORK"/here/out.txt --arbiter file:"$WORK"/here/out.png mbhello
cd - >/dev/null || exit 1
finish
