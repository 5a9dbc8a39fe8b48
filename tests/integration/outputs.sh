#!/bin/bash
# No output destroys what it should not: every option that writes a file, times every kind of thing that it must not write
# over. In each case: exit code 2, one sentence that names the file, and nothing of what there was has changed, in name,
# inode or content.
. tests/lib.sh
. tests/tools/recording.sh
ENGINE=
cd "$WORK" || exit 1
root=$OLDPWD
case $ENCORE in /*) ;; *) ENCORE=$root/$ENCORE ;; esac
case $GUESTS in /*) ;; *) GUESTS=$root/$GUESTS ;; esac
umask 022

# What the commands read.
mkdir in out
cp "$GUESTS/mbhello" in/image
cp "$root/README.md" in/initrd
head -c 65536 /dev/zero | tr '\0' 'd' >in/disk
echo 'send "x"' >in/script
"$ENCORE" keygen in/key
encore record --engine soft -o in/log --checkpoint-every 1ms --net user --initrd in/initrd --disk in/disk in/image </dev/null >recorded 2>&1
grep -q '^digest ' recorded || { not_ok "outputs: a log to replay" "$(cat recorded)"; finish; }

check "outputs: a bundle to unpack" "$ENCORE" log pack in/log -o in/bundle

# What must not be written over: in out/, for all commands alike.
echo precious >precious
ln -s ../precious out/link
ln -s nowhere out/dangling
ln -s loop out/loop
mkdir out/directory
mkfifo out/fifo
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("out/socket")' 2>/dev/null
if mknod out/device c 1 3 2>/dev/null; then devices=yes; mknod out/block b 7 250; else devices=; fi
ln -s fifo out/link-to-fifo
ln -s directory out/link-to-directory
for input in image initrd disk script log key; do
    ln in/$input out/hard-$input
    ln -s ../in/$input out/soft-$input
done
ln -s in through # another way to the same directory
ln -s /proc/self/fd/7 out/link-to-descriptor

# A line for each thing there is, with its inode. Whoever changes a file, changes its ctime.
fingerprint() {
    find . ! -name 'said.*' \( -type f -printf '%p %i %n %m %s %C@\n' -o -printf '%p %y %i %n %m %l\n' \) | sort
}
sha256sum in/* precious >said.sums
fingerprint >"/tmp/outputs.$$.before"
trap 'rm -rf "$WORK" "/tmp/outputs.$$.before" "/tmp/outputs.$$.after"' EXIT

# refused NAME TARGET COMMAND...: as said above.
refused() {
    what="outputs: $1"
    encore "${@:3}" >said.out 2>said.err </dev/null 7>>precious
    code=$?
    fingerprint >"/tmp/outputs.$$.after"
    if [ $code -ne 2 ]; then
        not_ok "$what" "exit code $code, not 2: $(cat said.out said.err)"
    elif [ "$(wc -l <said.err)" -ne 1 ] || [ -s said.out ]; then
        not_ok "$what" "not one sentence: $(cat said.out said.err)"
    elif ! grep -qF -- "$2" said.err; then
        not_ok "$what" "the sentence does not name $2: $(cat said.err)"
    elif ! cmp -s "/tmp/outputs.$$.before" "/tmp/outputs.$$.after"; then
        not_ok "$what" "$(cat said.err; diff "/tmp/outputs.$$.before" "/tmp/outputs.$$.after")"
    else
        ok "$what"
        return
    fi
    restore
}
# After a failure the other cases shall be judged by themselves.
restore() { fingerprint >"/tmp/outputs.$$.before"; }

# Each way to write a file: WHOLE ones only go to regular files, STREAMS to devices and FIFOs too.
write_record() { set -- "$1" record --engine soft --force -o "$1" --initrd in/initrd --disk in/disk --input in/script in/image; refused_by "$@"; }
write_primary() { refused_by "$1" primary --engine soft --force --log "$1" --key in/key --listen ipc://"$WORK"/a --arbiter file:"$WORK"/arbiter --initrd in/initrd --disk in/disk in/image; }
write_backup() { refused_by "$1" backup --force --log "$1" --key in/key --connect ipc://"$WORK"/a --arbiter file:"$WORK"/arbiter --disk 0=in/disk; }
write_keygen() { refused_by "$1" keygen "$1"; }
write_extract() { refused_by "$1" checkpoint extract in/log 0 -o "$1"; }
write_console() { refused_by "$1" run --engine soft --console "file:$1" --initrd in/initrd --disk in/disk --input in/script in/image; }
write_recorded_console() { refused_by "$1" record --engine soft -o out/new --console "file:$1" --initrd in/initrd --disk in/disk --input in/script in/image; }
write_pack() { refused_by "$1" log pack --force -o "$1" in/log; }
write_bundle() { refused_by "$1" record --engine soft --force --bundle -o "$1" --initrd in/initrd --disk in/disk --input in/script in/image; }
write_unpack() { refused_by "$1" log unpack in/bundle -o "$1"; }
write_cast() { refused_by "$1" replay --cast "$1" in/log; }
write_pcap() { refused_by "$1" replay --verify --pcap "$1" in/log; }
write_export_cast() { refused_by "$1" log export --cast "$1" in/log; }
write_export_pcap() { refused_by "$1" log export --pcap "$1" in/log; }
refused_by() { refused "$writer: $target" "$@"; }

whole='record primary backup keygen extract pack bundle unpack'
streams='console recorded_console cast pcap export_cast export_pcap'
never='out/link out/dangling out/loop out/directory out/directory/ out/socket out/link-to-directory out/soft-log out/soft-image
    nowhere/file in/log/file out/link-to-descriptor'
only_streams='out/fifo out/link-to-fifo - /dev/stdout /dev/fd/7'
[ -z "$devices" ] || only_streams+=' out/device' never+=' out/block'
[ -n "$devices" ] || skip "outputs: devices" "mknod needs root"

for writer in $whole $streams; do
    for target in $never; do
        "write_$writer" "$target"
    done
    target='the empty name'
    "write_$writer" ''
done
for writer in $whole; do
    for target in $only_streams; do
        "write_$writer" "$target"
    done
done

# What this run reads, by its own name, a hard link, and through another directory.
names() { for input in "$@"; do echo "in/$input" "out/hard-$input" "through/$input"; done; }
for writer in record bundle console recorded_console; do
    for target in $(names image initrd disk script); do "write_$writer" "$target"; done
done
for target in $(names image initrd disk key); do writer=primary write_primary "$target"; done
for target in $(names disk key); do writer=backup write_backup "$target"; done
for writer in cast pcap export_cast export_pcap pack; do
    for target in $(names log image initrd disk); do "write_$writer" "$target"; done
done
# ... or reads through a descriptor that leads to it.
given() { # NAME FILE COMMAND...
    exec 8>>"$2"
    refused "$1" fd/8 "${@:3}"
    exec 8>&-
}
given "console: a descriptor of the image" in/image run --engine soft --console file:/dev/fd/8 in/image
given "cast: a descriptor of the log" in/log replay --cast /proc/self/fd/8 in/log
given "pcap: a descriptor of the disk" in/disk replay --pcap /dev/fd/8 in/log
refused "cast: a descriptor for reading only" /dev/fd/0 replay --verify --cast /dev/fd/0 in/log
refused "cast: a descriptor that is not open" /dev/fd/99 replay --verify --cast /dev/fd/99 in/log

# Standard output that is what is read.
what="outputs: standard output that is the log"
cp in/log out/copy
encore replay out/copy </dev/null >>out/copy 2>said.err
code=$?
if [ $code -eq 2 ] && cmp -s in/log out/copy; then ok "$what"; else not_ok "$what" "exit code $code: $(cat said.err)"; fi
rm out/copy

# Other outputs of the same run.
refused "cast and pcap: one new file" out/both replay --verify --cast out/both --pcap out/both in/log
refused "cast and pcap: one new file, through another directory" both replay --verify --cast in/both --pcap through/both in/log
refused "cast and pcap: an existing file and a link to it" precious replay --verify --cast precious --pcap out/../precious in/log
refused "cast and pcap: one FIFO" fifo replay --verify --cast out/fifo --pcap out/link-to-fifo in/log & fifo=$!
exec 9<>out/fifo
wait $fifo
exec 9>&-
refused "record: log and console" out/both record --engine soft -o out/both --console file:out/both in/image
refused "record: overlay and console" out/both.disk0 record --engine soft -o out/both --console file:out/both.disk0 --disk in/disk in/image

# The overlay's name is not given by the user, but formed.
cp in/disk out/x.enc.disk0
restore
refused "record: a disk whose name the overlay would have" x.enc.disk0 record --engine soft --force -o out/x.enc --disk out/x.enc.disk0 in/image
refused "primary: the same" x.enc.disk0 primary --engine soft --force --log out/x.enc --listen ipc://"$WORK"/a --arbiter file:"$WORK"/arbiter --disk out/x.enc.disk0 in/image

# A disk that is written in its place.
for beside in in/disk in/disk,ro in/disk,direct out/hard-disk out/soft-disk,ro through/disk,direct; do
    refused "direct: beside $beside" disk run --engine soft --disk in/disk,direct --disk $beside in/image
    refused "direct: behind $beside" disk run --engine soft --disk $beside --disk in/disk,direct in/image
done
refused "direct: the image" image run --engine soft --disk out/hard-image,direct in/image
refused "direct: an initrd" initrd run --engine soft --disk out/hard-initrd,direct --initrd in/initrd in/image
refused "direct: and the console" disk run --engine soft --disk in/disk,direct --console file:out/hard-disk in/image

# Where the file system or its rights forbid it.
if [ -d /sys/kernel ]; then
    refused "record: a directory where no file can be made" /sys/kernel/encore.enc record --engine soft -o /sys/kernel/encore.enc in/image
    refused "keygen: a directory where no file can be made" /sys/kernel/encore.key keygen /sys/kernel/encore.key
fi

# --- What is allowed.
written() { # NAME CODE COMMAND...: ends with CODE
    what="outputs: $1"
    encore "${@:3}" >said.out 2>said.err </dev/null
    code=$?
    [ $code -eq "$2" ] || { not_ok "$what" "exit code $code, not $2: $(cat said.out said.err)"; return 1; }
}
holds() { # FILE OF, for the name $what
    if cmp -s "$1" "$2"; then ok "$what"; else not_ok "$what" "$1 is not $2"; fi
}
written "cast: a new file" 0 replay --verify --cast out/cast in/log && check "$what" grep -q '^{"version": 2' out/cast
cp precious out/old
ln out/old out/old-too
written "cast: an older file is replaced" 0 replay --verify --cast out/old in/log && holds out/old out/cast
what="outputs: cast: and what a link made of it is not"
holds out/old-too precious
written "cast: standard output has nothing else in it" 0 replay --verify --cast - in/log && holds said.out out/cast
written "cast: /dev/stdout too" 0 replay --cast /dev/stdout in/log && holds said.out out/cast
what="outputs: cast: appended to a file"
{ cat precious; cat out/cast; } >said.wanted
cp precious said.appended
encore replay --verify --cast /dev/fd/8 in/log 8>>said.appended >/dev/null && holds said.appended said.wanted
encore replay --verify --cast out/fifo in/log >/dev/null & fifo=$!
timeout "$LIMIT" cat out/fifo >said.fifo
what="outputs: cast: a FIFO"
wait $fifo && holds said.fifo out/cast
if [ -n "$devices" ]; then
    written "cast: a device" 0 replay --verify --cast out/device --pcap out/device in/log && check "$what" test -c out/device
    written "console: a device" 1 run --engine soft --console file:out/device in/image && check "$what" test -c out/device
fi
image_code=1 # of in/image
written "console: a new file" $image_code run --engine soft --console file:out/console in/image && check "$what" grep -q hello out/console
seq 1000 >out/old-console
written "console: an older file is cut" $image_code run --engine soft --console file:out/old-console in/image && holds out/old-console out/console
cp precious out/old.enc
written "record: --force replaces a file" $image_code record --engine soft --force -o out/old.enc in/image && check "$what" encore log verify out/old.enc
written "record: and a log" $image_code record --engine soft --force -o out/old.enc in/image && check "$what" encore log verify out/old.enc

# --- A capture that cannot be written leaves none that looks like one.
if [ -c /dev/full ]; then
    written "cast: a full device" 1 replay --verify --cast /dev/full in/log && ok "$what"
fi
printf 'wait "kv ready\\n"\nrepeat 500\n  line INCR n\n  wait "VALUE "\nend\nline QUIT\n' >said.script
encore record --engine soft -o out/long.enc --timeout 60s --input said.script "$GUESTS/kv" >/dev/null 2>&1
cp precious out/long.cast
what="outputs: cast: a full disk leaves the older file"
(ulimit -f 4; trap '' XFSZ; encore replay --verify --cast out/long.cast out/long.enc) >said.out 2>said.err
code=$?
if [ $code -eq 1 ]; then holds out/long.cast precious; else not_ok "$what" "exit code $code: $(cat said.out said.err)"; fi

# --- Two recordings to one name.
record_long() { encore record --engine soft --force -o out/two.enc --timeout "$1" --console "file:said.console$2" "$GUESTS/poll"; }
record_long 60s 0 >said.first 2>&1 &
first=$!
for _ in $(seq 1000); do [ -e out/two.enc ] && break; sleep 0.01; done
inode=$(stat -c %i out/two.enc)
what="outputs: record: while another records to the same name"
record_long 1s 1 >said.out 2>said.err
code=$?
pid=$(pgrep -P "$(pgrep -P $first -x timeout)" -x encore)
if [ $code -ne 2 ]; then not_ok "$what" "exit code $code: $(cat said.err)"
elif ! grep -q "in use by process $pid\$" said.err; then not_ok "$what" "it does not name process $pid: $(cat said.err)"
elif [ "$(stat -c %i out/two.enc)" != "$inode" ]; then not_ok "$what" "the log is another file"
else ok "$what"; fi
kill -INT "$pid"
wait $first
what="outputs: record: and the first one's log is whole"
check "$what" encore log verify out/two.enc
record_several() { # NAME: on "go", four begin at once; one of them at least records, and nobody's log is lost unsaid
    local n jobs='' won=0 lost=0
    mkfifo go
    for n in 1 2 3 4; do
        { read -r _ <go; record_long 2s "$n" >"said.$n" 2>&1; } &
        jobs+=" $!"
    done
    exec 9<>go
    printf 'x\nx\nx\nx\n' >&9
    for n in $jobs; do
        wait "$n"
        case $? in 124) won=$((won + 1)) ;; 2) lost=$((lost + 1)) ;; esac
    done
    exec 9>&-
    rm go
    [ $won -eq 1 ] && [ $lost -eq 3 ] && encore log verify out/two.enc >/dev/null && return
    echo "$won recorded, $lost were refused"
    cat said.[1-4]
    return 1
}
check "outputs: record: four at once to a new name" eval 'rm out/two.enc; record_several'
check "outputs: record: four at once that would replace one log" record_several
check "outputs: no temporary file is left" test -z "$(find . -name '*.tmp')"

# --- Sockets: a file that is none, and one that somebody else listens at, stay.
restore
for address in console control net; do
    case $address in
    console) option='--console unix:' ;;
    control) option='--control unix:' ;;
    net) option='--net unix:' ;;
    esac
    for target in precious in/disk out/link out/fifo out/directory; do
        # shellcheck disable=SC2086
        refused "$address: a socket at $target" $target run --engine soft ${option}"$target$([ $address = net ] && echo ,listen)" in/image
    done
done
written "console and control: one socket" 2 run --engine soft --console unix:out/one --control unix:out/one in/image &&
    check "$what" grep -q 'out/one: is in use' said.err
mkdir -m 700 ipc
echo precious >ipc/a
restore
refused "primary: a socket at a file" ipc/a primary --engine soft --listen "ipc://$WORK/ipc/a" --arbiter file:"$WORK"/arbiter in/image
rm -r ipc
restore

# --- Reports of divergences go where they are told to.
case $BUILD in /*) doctor=$BUILD/tests/tools/log_doctor ;; *) doctor=$root/$BUILD/tests/tools/log_doctor ;; esac
check "outputs: tests/tools/log_doctor.c builds" make -s -C "$root" BUILD="$BUILD" ${SANITIZED:+$([ "$SANITIZED" = 1 ] && echo SAN=1)} "${doctor#"$root"/}"
check "outputs: a log that diverges" "$doctor" in/log out/doctored.enc OUTPUT 0 hash
restore
refused "report: a file" precious replay --report precious out/doctored.enc
refused "report: in a directory that is not there" nowhere/reports replay --report nowhere/reports out/doctored.enc
reports_are() { # NAME COUNT: so many files in out/reports, each as it was said
    what="outputs: $1"
    local report
    [ "$(find out/reports -type f | wc -l)" -eq "$2" ] || { not_ok "$what" "$(ls out/reports; cat said.err)"; return; }
    for report in out/reports/*; do
        grep -vE '^encore replay: ' said.err | cmp -s - "$report" || { not_ok "$what" "$(diff said.err "$report")"; return; }
    done
    ok "$what"
}
written "report: ..." 3 replay --report out/reports out/doctored.enc && reports_are "report: one, in a new directory" 1
check "outputs: report: it is named" grep -q "^encore replay: the report is in out/reports/doctored.enc.divergence-[0-9]*.txt$" said.err
written "report: ..." 3 replay --report out/reports out/doctored.enc && reports_are "report: and another, under another name" 2
for n in $(seq 3 32); do : >"out/reports/x.divergence-$n.txt"; done
written "report: ..." 3 replay --report out/reports out/doctored.enc
check "outputs: report: no more than so many" grep -q 'the report is not kept: there are 32 reports in out/reports' said.err
check "outputs: report: ... and no more there are" test "$(find out/reports -type f | wc -l)" -eq 32

# A backup learns only from its primary what it will read: its guest's image, and disks.
. "$root/tests/tools/replication.sh"
ENGINE=soft
new_case learnt
guest=other/image
mkdir other
cp "$GUESTS/kv" other/image
GUESTS=$WORK
start_primary A --disk in/disk
await_state A alone
for target in other/image in/disk out/hard-disk; do
    what="outputs: backup: the log in the place of $target, which the primary names"
    before=$(stat -c '%i %s %Z' "$target")
    launch_side B "$ENCORE" backup --connect "$(address A)" --arbiter "$arbiter" --force --log "$target"
    wait "$job_B"
    code=$?
    if [ "$(stat -c '%i %s %Z' "$target")" != "$before" ]; then
        not_ok "$what" "it was replaced: $(cat "$case/B.err")"
    elif [ $code -ne 2 ] || ! grep -qE 'this run|in use by process' "$case/B.err"; then
        not_ok "$what" "exit code $code: $(cat "$case/B.err")"
    else
        ok "$what"
    fi
    : >"$case/B.err"
done
kill_all

check "outputs: what was read is what it was" sha256sum --quiet -c said.sums
finish
