#!/bin/bash
# CR8 is the guest's own: nothing but the guest changes it, and a replay from a checkpoint has it as it was.
. tests/lib.sh
. tests/tools/recording.sh
each_engine
need_engine "task priority: it stays" "task priority: replayed from each checkpoint" || finish

record_guest priority --checkpoint-every 2ms "$GUESTS/priority" </dev/null
# 1 is what a guest that writes 0 to the debug-exit port ends with.
check "task priority: it stays (exit code $code)" test "$code" -eq 1
check_replays "task priority: replayed" 1
check_from_checkpoints "task priority: replayed from each checkpoint" 2
finish
