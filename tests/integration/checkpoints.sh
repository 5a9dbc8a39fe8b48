#!/bin/sh
# Checkpoints: as many as were asked for, chains of them that begin anew, a replay from any of them, and from one of a
# log without an end.
. tests/lib.sh
. tests/tools/recording.sh
each_engine
need_engine "checkpoints: many, and a replay from each" || finish

# Every 20 ms of a second: more than a chain of parents may be long, so that some in the middle stand by themselves.
record_guest many --checkpoint-every 20ms --cmdline 'rate=1000 ticks=1000' "$GUESTS/storm" </dev/null
check_from_checkpoints "checkpoints: many, and a replay from each" 30
"$ENCORE" checkpoint list "$log" >"$WORK/list"
check "checkpoints: a chain ends somewhere" sh -c "[ \$(awk 'NR > 1 && \$2 == \"-\"' '$WORK/list' | wc -l) -ge 2 ]"
check "checkpoints: a checkpoint with a parent is the smaller one" awk '
    NR == 2 { first = $5 + 0 } NR > 2 && $2 != "-" && $5 + 0 < first { smaller++ } NR > 2 && $2 != "-" { all++ }
    END { exit !(all > 0 && smaller == all) }' "$WORK/list"

# The same place reached by replay from two checkpoints prints the same rest.
from_two() {
    encore replay --from 3 "$log" >"$WORK/from3" && encore replay --from 20 "$log" >"$WORK/from20" &&
        tail -c "$(wc -c <"$WORK/from20")" "$WORK/from3" | cmp - "$WORK/from20" &&
        tail -c "$(wc -c <"$WORK/from3")" "$WORK/many.out" | cmp - "$WORK/from3"
}
check "checkpoints: a replay from one prints the rest" from_two

# A guest without a timer asks for nothing, and gets its checkpoints all the same: within a factor of three.
record_guest computing --timeout 1s --checkpoint-every 100ms --cmdline 'n=2000000 rounds=1000000' "$GUESTS/sieve" </dev/null
"$ENCORE" log dump --type END "$log" >"$WORK/end"
spacing() {
    echo "$count checkpoints; $(tail -n 1 "$WORK/end"); again: $recorded_as -o x.enc"
    milliseconds=$(sed -n 's/.* at \([0-9]*\)\.\([0-9]\{3\}\).*/\1\2/p' "$WORK/end" | sed 's/^0*//')
    [ "$((count * 300))" -ge "${milliseconds:-0}" ]
}
count=$(checkpoint_ids | grep -c .)
check "checkpoints: as often as asked, while the guest only computes" spacing
check_from_checkpoints "checkpoints: while the guest computes, and a replay from each" 1

# Memory that was written and then made zero again: what a checkpoint leaves out is zero afterwards, and not old.
record_guest memory --checkpoint-every 50ms --cmdline 'tasks=4 rounds=8 hz=1000 ticks=300' --mem 64M "$GUESTS/user" </dev/null
check_from_checkpoints "checkpoints: of a guest that writes much memory, and a replay from each" 1

# Cut off in the middle: all checkpoints before are found without an index.
size=$(wc -c <"$WORK/many.enc")
log=$WORK/cut.enc
head -c $((size / 2)) "$WORK/many.enc" >"$log"
what="checkpoints: of a log that was cut off"
ids=$(checkpoint_ids)
last=$(echo "$ids" | tail -n 1)
if [ "$(echo "$ids" | grep -c .)" -ge 5 ] && encore replay --verify --partial --from "$last" "$log" >"$WORK/replayed" 2>"$WORK/replay.err"; then
    ok "$what"
else
    blame "the last found is '$last': $(cat "$WORK/replay.err")" "$ENCORE replay --verify --from $last $(keep "$log")"
fi
check "checkpoints: none after the cut is invented" sh -c "'$ENCORE' replay --from $((last + 1)) '$log' 2>/dev/null; [ \$? -eq 4 ]"
finish
