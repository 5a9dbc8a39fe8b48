#!/bin/sh
# Disks: the guest `disk` writes and checks an IDE disk, recorded and replayed, from every checkpoint too. The image
# stays as it was; quotas, read-only disks, failing hosts and images that are not the recorded ones do what they should.
. tests/lib.sh
. tests/tools/recording.sh
each_engine

# Settings for kvm and for soft, which is the faster one by far.
slow() { [ "$ENGINE" = kvm ] && echo "$1" || echo "$2"; }
image=$WORK/image
seq 200000 | head -c 1048576 >"$image"
cp "$image" "$WORK/original"
region=$(slow 16 256)
rounds=$(slow 2 60)
every=$(slow 8ms 500us)

says() { # CODE PATTERN ARGUMENTS...
    wanted=$1
    pattern=$2
    shift 2
    encore "$@" </dev/null >"$WORK/said.out" 2>"$WORK/said.err"
    said=$?
    cat "$WORK/said.out" "$WORK/said.err"
    [ $said -eq "$wanted" ] && grep -q -- "$pattern" "$WORK/said.err"
}
# disk NAME PATTERN CHECKPOINTS OPTION...: records the guest, which finds no mismatch and prints PATTERN; replays it, and
# from each of its checkpoints, of which there are so many at least.
disk() {
    label=$1
    pattern=$2
    least=$3
    shift 3
    need_engine "$label: recorded" "$label: replayed" "$label: replayed from every checkpoint" || return
    record_guest "$label" "$@" "$GUESTS/disk" </dev/null
    what="$label: recorded"
    if [ $code -ne 1 ] || [ -z "$digest" ] || ! grep -q "$pattern" "$WORK/$label.out" ||
        ! grep -q ' 0 mismatches$' "$WORK/$label.out"; then
        blame "exit code $code, not 1; printed:
$(tail -n 20 "$WORK/$label.all" "$WORK/$label.err")" "$recorded_as"
        return 1
    fi
    ok "$what"
    [ "$least" = none ] && return
    check_replays "$label: replayed" 1
    [ "$least" = 0 ] || check_from_checkpoints "$label: replayed from every checkpoint" "$least"
}
unchanged() { check "$1: the image is as it was" cmp "$image" "$WORK/original"; }

works='disk: 0 of [0-9]* writes, 0 of [0-9]* reads, 0 of [0-9]* flushes failed'
disk plain "$works" 3 --checkpoint-every "$every" --disk "$image,if=ide" --cmdline "irq region=$region rounds=$rounds" &&
    { unchanged plain && check "plain: the overlay is beside the log, and its owner's alone" \
        sh -c "[ -s '$WORK/plain.enc.disk0' ] && [ \$(stat -c %a '$WORK/plain.enc.disk0') = 600 ]"; }
disk multiple "$works" 0 --disk "$image,if=ide" --cmdline "irq wide multiple=16 region=$region rounds=$rounds"
disk polled "$works" 0 --disk "$image,if=ide" --cmdline "nocache multiple=4 region=$region rounds=$rounds"

# --- the slave; the master is not touched
other=$WORK/other
head -c 200100 "$image" >"$other" # no whole number of sectors, nor of clusters
disk slave "$works" 1 --checkpoint-every "$every" --disk "$image,if=ide" --disk "$other,if=ide" \
    --cmdline "drive=1 irq region=$region rounds=$rounds" && {
    check "slave: written, and the master not" sh -c "[ -s '$WORK/slave.enc.disk1' ] && ! [ -s '$WORK/slave.enc.disk0' ]"
    check "slave: the image is as it was" sh -c "head -c 200100 '$WORK/original' | cmp - '$other'"
}

# --- read-only: every write is aborted
disk readonly "status 0x51, error 0x04" 1 --checkpoint-every "$every" --disk "$image,if=ide,ro" \
    --cmdline "irq region=$region rounds=$rounds" &&
    check "readonly: no write went through" grep -Eq 'disk: ([0-9]+) of \1 writes, 0 of' "$WORK/readonly.out"

# --- a quota: what is within goes on, and what the guest wrote is no more
disk quota "status 0x71, error 0x04" 1 --checkpoint-every "$every" --disk "$image,if=ide,quota=$(slow 4K 12K)" \
    --cmdline "fill region=$region rounds=$rounds" &&
    check "quota: three clusters of the overlay are used" test "$(du -k "$WORK/quota.enc.disk0" | cut -f 1)" -le 12

# --- a host that fails: no file may be larger than half of what the guest writes (dash counts blocks of 512 bytes)
failing() {
    (ulimit -f "$(slow 96 512)" && disk "$@")
}
what_fails="fill rounds=$(slow 0 20) region=$(slow 128 1024)"
need_engine "host: DISK_ERROR records" && {
    failing host "status 0x71, error 0x04" none --checkpoint-every "$(slow 1h 20ms)" --disk "$image,if=ide" --cmdline "$what_fails" || failures=1
    log=$WORK/host.enc
    digest=$(digest_in "$WORK/host.all")
    check "host: the user is told" grep -q 'the host failed .* disk errors.*host.enc.disk0: File too large' "$WORK/host.err"
    errors=$("$ENCORE" log dump --type DISK_ERROR "$log" | grep -c DISK_ERROR)
    what="host: DISK_ERROR records"
    if [ "$errors" -ge 1 ]; then ok "$what"; else not_ok "$what" "there are none"; fi
    check "host: they are in the JSON" sh -c "'$ENCORE' log export --json '$log' | grep -q '\"type\":\"DISK_ERROR\".*\"disk\":0,\"transfer\":'"
    check_replays "host: replayed where the host does not fail" 1
    check_from_checkpoints "host: replayed from every checkpoint" 1
    unchanged host
    # A replay's own host may fail as well, and that is not the guest's business.
    what="host: a replay whose host fails ends"
    cp "$WORK/plain.enc" "$WORK/fails.enc"
    (ulimit -f 2 && encore replay --verify "$WORK/fails.enc") >"$WORK/said.out" 2>"$WORK/said.err"
    said=$?
    if [ $said -eq 1 ] && grep -q 'disk 0: cannot write to a temporary file' "$WORK/said.err"; then
        ok "$what"
    else
        not_ok "$what" "exit code $said: $(cat "$WORK/said.out" "$WORK/said.err")"
    fi
}

# --- such a log, changed
doctored() { # CHANGE PATTERN
    what="host: a DISK_ERROR changed ($1) is noticed"
    "$DOCTOR" "$WORK/host.enc" "$WORK/doctored.enc" DISK_ERROR 0 "$1" >/dev/null || { not_ok "$what" "the doctor failed"; return; }
    encore replay --verify "$WORK/doctored.enc" >"$WORK/said.out" 2>"$WORK/said.err"
    said=$?
    if [ $said -eq 3 ] && grep -q "$2" "$WORK/said.err"; then
        ok "$what"
    else
        not_ok "$what" "exit code $said: $(cat "$WORK/said.out" "$WORK/said.err")"
    fi
}
need_engine "host: doctored logs" && build_doctor >/dev/null 2>&1 && {
    doctored transfer 'a disk transfer of this number'
    doctored twice 'a disk transfer of this number'
    doctored drop 'expected'
}

# --- a description of disks that cannot be
bad_header() { # TEXT OTHER PATTERN
    "$DOCTOR" "$WORK/plain.enc" "$WORK/doctored.enc" HEADER "$1" "$2" || return
    says 2 "$3" replay --verify "$WORK/doctored.enc"
}
need_engine "header: doctored logs" && [ -x "$DOCTOR" ] && {
    check "header: a mode that is none" bad_header '"mode":"overlay"' '"mode":"sideways"' 'unknown mode'
    check "header: an interface that is none" bad_header '"interface":"ide"' '"interface":"scsi"' 'unknown interface'
    check "header: a quota below zero" bad_header '"quota":0' '"quota":-1' 'quota is missing or not a number'
    check "header: a quota of a byte" bad_header '"quota":0' '"quota":1' 'quota is less than'
    check "header: a size that is none" bad_header '"size":1048576' '"size":0' 'size is missing or not a number'
    check "header: another size" bad_header '"size":1048576' '"size":1048577' 'is not the image that was recorded'
    check "header: more than there may be" bad_header '"size":1048576' '"size":1099511627777' 'size is missing or not a number'
    check "header: no list" bad_header '"disks":[' '"disks":"","d":[' 'disks is not a list'
}

# --- a large image's hash is remembered once the file has settled; holes need not be read for it
need_engine "hash" && [ -f "$BUILD/linux/disk.img" ] && [ $(($(date +%s) - $(stat -c %Z "$BUILD/linux/disk.img"))) -gt 61 ] && {
    linux=$BUILD/linux/disk.img
    rm -rf "$XDG_CACHE_HOME"
    record_guest hashed --disk "$linux,if=ide" --cmdline "region=16 rounds=1" "$GUESTS/disk" </dev/null
    verified() { what=$1; shift; if verifies "$digest" "$@"; then ok "$what"; else blame "$(cat "$WORK/replay.err")" "$ENCORE replay --verify $*"; fi; }
    verified "hash: with a cache"
    case $(stat -f -c %T "$linux") in
    ext2/ext3 | xfs | btrfs)
        check "hash: it is remembered, for its owner alone" test "$(stat -c %a "$XDG_CACHE_HOME/encore/digests")" = 600
        "$BUILD/tests/tools/poison_cache" "$XDG_CACHE_HOME/encore" "$linux"
        check "hash: what is remembered is believed" says 2 'is not the image that was recorded' replay --verify "$log"
        ;;
    *) skip "hash: what is remembered is believed" "not on this file system" ;;
    esac
    verified "hash: --no-cache" --no-cache
    echo garbage >"$XDG_CACHE_HOME/encore/digests"
    verified "hash: a cache that is damaged"
    XDG_CACHE_HOME=/dev/null verified "hash: a cache that cannot be"
    unread=$WORK/new.img # a tebibyte; a file that is new is not remembered
    head -c 8388608 /dev/zero | tr '\0' x >"$unread"
    truncate -s 1T "$unread"
    rm -rf "$XDG_CACHE_HOME"
    record_guest holes --disk "$unread,if=ide" --cmdline "region=16 rounds=1" "$GUESTS/disk" </dev/null
    verified "hash: a disk of 1 TiB of holes"
    check "hash: of a file that is new it is not remembered" test ! -e "$XDG_CACHE_HOME/encore/digests"
    rm -f "$unread"
}

# --- direct: the image itself is written
need_engine "direct" && {
    cp "$image" "$WORK/written"
    disk direct "$works" none --checkpoint-every "$every" --disk "$WORK/written,if=ide,direct" --cmdline "irq region=$region rounds=$rounds"
    log=$WORK/direct.enc
    digest=$(digest_in "$WORK/direct.all")
    check "direct: the image is written" sh -c "! cmp -s '$WORK/written' '$image' && ! [ -e '$log.disk0' ]"
    same_as_plain() { [ "$(tail -n 1 "$WORK/direct.out")" = "$(tail -n 1 "$WORK/plain.out")" ]; }
    check "direct: the guest sees what it sees with an overlay" same_as_plain
    check "direct: a replay wants the image from before" sh -c "'$ENCORE' replay '$log' 2>&1 | grep -q 'the guest wrote to it (direct)'"
    what="direct: replayed with a copy from before"
    verifies "$digest" --disk "0=$image" && ok "$what" || blame "$(cat "$WORK/replay.err")" "$ENCORE replay --disk 0=IMAGE"
    unchanged direct
}

# --- images that are not the recorded ones
need_engine "image: not the recorded one" && {
    log=$WORK/plain.enc
    digest=$(digest_in "$WORK/plain.all")
    mv "$image" "$WORK/moved"
    check "image: gone" says 2 "disk 0: .*image" replay --verify "$log"
    what="image: moved, and given"
    verifies "$digest" --disk "0=$WORK/moved" && ok "$what" || blame "$(cat "$WORK/replay.err")" "$ENCORE replay --disk 0=PATH"
    { head -c 1000000 "$WORK/moved" && printf x && tail -c 48575 "$WORK/moved"; } >"$image"
    check "image: one byte of it differs" says 2 'is not the image that was recorded' replay --verify "$log"
    check "image: from a checkpoint too" says 2 'is not the image that was recorded' replay --verify --from 0 "$log"
    rm -rf "$WORK/unpacked" "$image"
    check "image: not needed to look at a checkpoint" "$ENCORE" checkpoint extract "$log" 1 -o "$WORK/unpacked"
    check "image: the checkpoint's state has the disk" grep -q '^\[disk\]' "$WORK/unpacked/state.txt"
    mv "$WORK/moved" "$image"
}

# --- what a user may get wrong; and that nothing is left behind then
need_engine "start: refusals" && {
    record="record --engine $ENGINE -o $WORK/new.enc"
    # shellcheck disable=SC2086
    {
        check "start: no such image" says 2 'no-image' $record --disk "$WORK/no-image" "$GUESTS/disk"
        : >"$WORK/empty"
        check "start: an empty image" says 2 'empty' $record --disk "$WORK/empty" "$GUESTS/disk"
        check "start: a directory" says 2 'is not a regular file' $record --disk "$WORK" "$GUESTS/disk"
        check "start: unknown word" says 2 "unknown word 'rw'" $record --disk "$image,rw" "$GUESTS/disk"
        check "start: a quota that is none" says 2 'quota' $record --disk "$image,quota=much" "$GUESTS/disk"
        check "start: a quota of less than a cluster" says 2 'quota' $record --disk "$image,quota=100" "$GUESTS/disk"
        check "start: a quota for what is written in place" says 2 'quota' $record --disk "$image,direct,quota=1M" "$GUESTS/disk"
        check "start: three IDE disks" says 2 'at most 2' $record --disk "$image,if=ide" --disk "$other,if=ide" --disk "$image,if=ide" "$GUESTS/disk"
        check "start: five disks" says 2 'at most 4' $record --disk "$image" --disk "$image" --disk "$image" --disk "$image" --disk "$image" "$GUESTS/disk"
        check "start: in place what another disk reads" says 2 'this run reads it already' $record --disk "$image" --disk "$image,direct" "$GUESTS/disk"
        check "start: a console that is none" says 2 'pigeon' $record --console pigeon --disk "$image" "$GUESTS/disk"
        : >"$WORK/new.enc.disk0"
        check "start: the overlay's name is taken" says 2 'new.enc.disk0 exists already' $record --disk "$image" "$GUESTS/disk"
        rm "$WORK/new.enc.disk0"
        cp "$image" "$WORK/a,b"
        check_exit 1 "start: a comma in the name" encore run --engine "$ENGINE" --disk "$WORK/a,,b,ro,if=ide" --cmdline 'rounds=0 region=16' "$GUESTS/disk"
    }
    check "start: nothing is left behind" test -z "$(find "$WORK" -name 'new.enc*')"
    check "replay: a place for a disk that cannot be" says 2 "is not a number from 0 to 3" replay --disk 4=x "$WORK/plain.enc"
}
finish
