#!/bin/sh
# An interrupt that waits is taken as soon as the guest lets it (guests/windows), by either clock, and the replay does the same.
. tests/lib.sh

for clock in host virtual; do
    log=$WORK/$clock.enc
    check "windows: none of 3000 is missed with the clock $clock" \
        sh -c '"$1" record --engine soft --clock $2 -o "$3" "$4" >"$3.out"; [ $? -eq 1 ] && [ "$(grep -c ": 0 missed" "$3.out")" -eq 3 ]' \
        - "$ENCORE" $clock "$log" "$GUESTS/windows"
    check "windows: the replay is identical with the clock $clock" \
        sh -c '"$1" replay --verify "$2" | grep -q " identical\$"' - "$ENCORE" "$log"
done
finish
