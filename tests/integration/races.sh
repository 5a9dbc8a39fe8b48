#!/bin/sh
# tasks races with itself: its result depends on the instruction that each timer interrupt hits. Many recordings must
# differ from one another in how many increments were lost, and each must replay to its own result. RACES sets how many.
. tests/lib.sh
. tests/tools/recording.sh
each_engine
need_engine "races: recordings differ" "races: digests differ" "races: every recording replays to its own result" || finish

count=${RACES:-200}
[ "$SANITIZED" = 1 ] && count=${RACES:-20}
wrong=0
for run in $(seq "$count"); do
    record_guest race --cmdline "iterations=100 ticks=10 hz=1000" "$GUESTS/tasks" </dev/null
    if [ $code -ne 1 ] || [ -z "$digest" ]; then
        wrong=$((wrong + 1))
        echo "    recording $run: exit code $code: $(cat "$WORK/race.err")"
        continue
    fi
    cat "$WORK/race.out" >>"$WORK/results"
    echo "$digest" >>"$WORK/digests"
    # The printed result is compared in half of them: printing and --verify are two ways through the same replay.
    if [ $((run % 2)) -eq 0 ]; then
        verifies "$digest" && continue
        command="replay --verify"
    else
        encore replay "$log" >"$WORK/replayed" 2>"$WORK/replay.err"
        replay_code=$?
        [ $replay_code -eq 0 ] && cmp -s "$WORK/replayed" "$WORK/race.out" && continue
        command=replay
    fi
    wrong=$((wrong + 1))
    cp "$log" "$WORK/race$run.enc"
    echo "    recording $run ($digest): replay's exit code $replay_code"
    tail -n 40 "$WORK/replayed" "$WORK/replay.err" | sed 's/^/    /'
    echo "    again: $ENCORE $command $(keep "$WORK/race$run.enc")"
done

awk '{ print $5 - $3 }' "$WORK/results" >"$WORK/lost"
different=$(sort -u "$WORK/lost" | wc -l)
if [ "$different" -ge 2 ]; then
    ok "races: recordings differ"
else
    not_ok "races: recordings differ" "all of $count recordings gave: $(head -n 1 "$WORK/results")
again: ENGINE=$ENGINE RACES=$count tests/integration/races.sh"
fi
if [ $wrong -eq 0 ]; then
    ok "races: every recording replays to its own result"
else
    not_ok "races: every recording replays to its own result" "$wrong of $count did not; see above
again: ENGINE=$ENGINE RACES=$count tests/integration/races.sh"
fi
echo "# $different different numbers of lost increments in $count recordings"
finish
