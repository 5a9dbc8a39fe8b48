#!/bin/sh
# A log is hostile: whatever text it holds, no command shows a terminal anything but printable characters. What the guest
# itself prints is the exception, for that is what a replay is for.
. tests/lib.sh
. tests/tools/recording.sh
ENGINE=soft
check "hostile text: tests/tools/log_doctor.c builds" build_doctor
[ -x "$DOCTOR" ] || finish

head -c 1048576 /dev/zero >"$WORK/disk.img"
echo module >"$WORK/module.bin"
echo QUIT | record_guest disk --disk "$WORK/disk.img" --checkpoint-every 10ms --cmdline 'counter=5' "$GUESTS/kv"
record_guest modules --initrd "$WORK/module.bin" --cmdline some "$GUESTS/mbhello" </dev/null
printf 'SET a b\nRANDOM\nTIME\nQUIT\n' | record_guest kv --checkpoint-every 10ms "$GUESTS/kv"

# Retitles the window, clears the screen, and so on: C0, DEL, C1 in UTF-8, a line that reads backwards. In JSON's words.
EVIL='\u001b]0;owned\u0007\u001b[2J\r\n\b\u007f\u009b31m\u202e'
printable() { ! LC_ALL=C grep -q '[^ -~]' "$1"; }

# shows FILE COMMAND...: neither stream has anything else, whatever the exit code.
shows() {
    timeout 60 "$ENCORE" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
    code=$?
    [ "$1" != replay ] || printf '' >"$WORK/out"
    printable "$WORK/out" && printable "$WORK/err" && [ $code -lt 126 ] && return
    echo "exit code $code"
    cat -v "$WORK/out" "$WORK/err"
    return 1
}
all_commands() { # LOG
    for command in 'log info' 'log dump' 'log verify' 'log stat' 'log export --json' 'checkpoint list' 'replay --verify' \
        replay 'replay --from 1' 'log export --cast /dev/null' 'log export --pcap /dev/null'; do
        # shellcheck disable=SC2086
        shows $command "$1" || { echo "encore $command"; return 1; }
    done
    rm -rf "$WORK/extracted"
    shows checkpoint extract "$1" 0 -o "$WORK/extracted" || { echo "encore checkpoint extract"; return 1; }
}
describes() { # WHAT LOG TEXT OTHER
    if ! "$DOCTOR" "$2" "$WORK/evil.enc" HEADER "$3" "$4" 2>"$WORK/doctor.err"; then
        not_ok "hostile text: $1" "the doctor failed: $(cat "$WORK/doctor.err"): $("$ENCORE" log export --json "$2" | head -n 1)"
        return
    fi
    check "hostile text: $1" all_commands "$WORK/evil.enc"
    rm -f "$WORK/evil.enc"
}
check "hostile text: as recorded" all_commands "$WORK/disk.enc"
describes "the command line" "$WORK/disk.enc" 'counter=5' "x$EVIL"
describes "the image's path" "$WORK/disk.enc" '/kv"' "/kv$EVIL\""
describes "the disk's path" "$WORK/disk.enc" 'disk.img' "disk.img$EVIL"
describes "the disk's mode" "$WORK/disk.enc" 'overlay' "$EVIL"
describes "the engine" "$WORK/disk.enc" '"engine":"' "\"engine\":\"$EVIL"
describes "the ticks" "$WORK/disk.enc" '"tick_unit":"' "\"tick_unit\":\"$EVIL"
describes "the clock" "$WORK/disk.enc" '"clock":"' "\"clock\":\"$EVIL"
describes "the protocol" "$WORK/disk.enc" 'elf64' "$EVIL"
describes "a key that is unknown" "$WORK/disk.enc" '"clock":' "\"$EVIL\":1,\"clock\":"
describes "a digest" "$WORK/disk.enc" '"digest":"' "\"digest\":\"$EVIL"
describes "a module's path" "$WORK/modules.enc" 'module.bin' "module.bin$EVIL"

# The records' payloads, the names of files, and what is not UTF-8.
for type in CONSOLE_IN ENTROPY OPERATOR FRAME_IN; do
    "$DOCTOR" "$WORK/kv.enc" "$WORK/evil.enc" OUTPUT 1 insert:$type >"$WORK/doctor.out" 2>&1
    check "hostile text: a payload of $type" all_commands "$WORK/evil.enc"
    rm -f "$WORK/evil.enc"
done
evil=$WORK/$(printf 'evil\033[2J\302\233\377\177.enc')
cp "$WORK/kv.enc" "$evil"
check "hostile text: the log's name" all_commands "$evil"
head -c 3000 "$WORK/kv.enc" >"$evil"
check "hostile text: the name of a log that breaks off" all_commands "$evil"
echo nothing >"$evil"
check "hostile text: the name of what is no log" all_commands "$evil"
rm -f "$evil"
check "hostile text: the name of a log that is not there" all_commands "$evil"
finish
