#!/bin/bash
# A guest that resets its machine, in each of a PC's ways: it starts again from a machine that has forgotten everything
# but the time, and all of it replays. And --no-reboot.
. tests/lib.sh
. tests/tools/recording.sh
each_engine
need_engine "reset: each way" "reset: --no-reboot" || finish
guest=$GUESTS/reset

# script LETTERS: waits for each start of the guest, and then sends the letter.
script() {
    for sent in $1; do
        echo "wait \"boot\\n\""
        echo "send \"$sent\""
    done >"$WORK/script"
}

# starts NUMBER: the guest printed its line so often, and nothing else.
starts() {
    for n in $(seq "$1"); do echo boot; done | cmp - "$WORK/reset.out"
}

every_way="c k o f a c"
script "$every_way q"
record_guest reset --input "$WORK/script" --checkpoint-every 1ms "$guest" </dev/null
# 1 is what a guest that writes 0 to the debug-exit port ends with.
check "reset: each way starts the guest again (exit code $code)" test "$code" -eq 1
check "reset: the guest started seven times" starts 7
check_replays "reset: replayed" 3
check_from_checkpoints "reset: replayed from each checkpoint" 1

# The image is changed under a log that begins before the reset: the replay refuses it rather than go another way.
cp "$guest" "$WORK/image"
script "c q"
record_guest changed --input "$WORK/script" "$WORK/image" </dev/null
sed -i 's/boot/BOOT/' "$WORK/image"
check_exit 2 "reset: another image is refused" "$ENCORE" replay --verify "$log"

for letter in c k o f a; do
    script "$letter q"
    record_guest reset --no-reboot --input "$WORK/script" "$guest" </dev/null
    check "reset: --no-reboot ends at '$letter' (exit code $code)" test "$code" -eq 0
    check "reset: --no-reboot at '$letter' says so" grep -q 'the guest reset the machine' "$WORK/reset.err"
    check "reset: --no-reboot at '$letter': one start" starts 1
    check_replays "reset: --no-reboot at '$letter' replayed" 1
done

script "c p"
record_guest reset --input "$WORK/script" "$guest" </dev/null
check "reset: turned off after a reset (exit code $code)" test "$code" -eq 0
check "reset: turned off, it says so" grep -q 'the guest turned the machine off' "$WORK/reset.err"
check "reset: turned off, after two starts" starts 2
check_replays "reset: turned off, replayed" 1
finish
