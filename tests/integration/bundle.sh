#!/bin/bash
# Bundles: a log packed with all that its replay needs, moved to an empty directory, the originals gone, replays to the same
# digest; a disk of 8 GiB that is mostly holes takes little and needs no large file; whatever takes a log takes a bundle.
. tests/lib.sh
. tests/tools/recording.sh
export ENGINE=soft

smaller() { # FILE BYTES: what it takes is less
    size=$(stat -c %s "$1") && echo "$1 has $size bytes" && [ "$size" -lt "$2" ]
}

# --- a Multiboot guest with modules
home=$WORK/home
mkdir -p "$home"
cp "$GUESTS/mbhello" "$home/kernel"
head -c 3000000 /dev/urandom >"$home/first"
cp "$home/first" "$home/second"
record_guest hello --initrd "$home/first one" --initrd "$home/second two words" "$home/kernel" </dev/null
hello_digest=$digest
mkdir "$WORK/empty"
check "modules: packed" encore log pack "$log" -o "$WORK/empty/hello.bundle"
check "modules: what is equal is there once" smaller "$WORK/empty/hello.bundle" 3300000
check "modules: its owner's alone" test "$(stat -c %a "$WORK/empty/hello.bundle")" = 600
check "modules: not over another file" tells 2 'exists already' log pack "$log" -o "$WORK/empty/hello.bundle"
check "modules: not over what is read" tells 2 'kernel' log pack "$log" --force -o "$home/kernel"
mkdir "$WORK/far"
mv "$home/second" "$WORK/far"
check "missing: what is wanted is named" tells 2 'module 1, of 3000000 bytes and hash [0-9a-f]*, beside the log; --initrd 1=FILE' \
    log pack "$log" -o "$WORK/other.bundle"
check "missing: nothing is written" test ! -e "$WORK/other.bundle"
check "missing: named by the user" encore log pack "$log" --initrd "1=$WORK/far/second" -o "$WORK/other.bundle"
check "the same files make the same bundle" cmp "$WORK/other.bundle" "$WORK/empty/hello.bundle"
rm -r "$home" "$WORK/far" "$WORK/other.bundle"
mv "$log" "$WORK/hello.plain"
hello=$WORK/empty/hello.bundle
same "modules: replayed, the originals gone" "$hello_digest" "$hello"

# --- a disk of 8 GiB, mostly holes
mkdir -p "$home"
cp "$GUESTS/disk" "$home/image"
seq 200000 | head -c 1048576 >"$home/disk.img"
truncate -s 8G "$home/disk.img"
seq 1000 | dd of="$home/disk.img" bs=1M seek=5000 conv=notrunc 2>/dev/null
record_guest disk --bundle --disk "$home/disk.img,if=ide" --checkpoint-every 500us \
    --cmdline "irq region=64 rounds=10" "$home/image" </dev/null
disk_digest=$digest
rm -r "$home"
mv "$log" "$WORK/empty/disk.bundle"
disk=$WORK/empty/disk.bundle
check "disk: record --bundle leaves one file, and the overlay" test "$(cd "$WORK" && echo disk.*)" = "disk.all disk.enc.disk0 disk.err disk.out"
rm "$WORK/disk.enc.disk0"
check "disk: 8 GiB take little" smaller "$disk" 2000000
same "disk: replayed, the original gone" "$disk_digest" "$disk"
same "disk: from a checkpoint" "$disk_digest" "$disk" --from 1
check "disk: replayed without a large file" eval '(ulimit -f 65536 && verifies "$disk_digest")'

# --- whatever takes a log
for command in "log info" "log dump" "log stat" "log verify" "log export --json" "checkpoint list"; do
    # shellcheck disable=SC2086
    check "$command takes it" encore $command "$disk"
done
check "checkpoint extract takes it" encore checkpoint extract "$disk" 1 -o "$WORK/extracted"
check "log export --cast takes it" encore log export --cast "$WORK/cast" "$hello"
check "a log and its bundle have the same records" \
    cmp <("$ENCORE" log export --json "$WORK/hello.plain") <("$ENCORE" log export --json "$hello")
check "log info tells of the bundle" sh -c "'$ENCORE' log info '$disk' | grep -q '^bundle .*disk 0'"
check "packed anew" encore log pack "$disk" -o "$WORK/again.bundle"
same "packed anew: replayed" "$disk_digest" "$WORK/again.bundle"
check "packed anew: the same" cmp "$WORK/again.bundle" "$disk"
rm -f "$WORK/again.bundle"

# --- unpacked
check "unpacked" encore log unpack "$disk" -o "$WORK/unpacked"
same "unpacked: replayed" "$disk_digest" "$WORK/unpacked/run.enc"
check "unpacked: holes are holes" test "$(du -k "$WORK/unpacked/disk0" | cut -f 1)" -le 2000
rm -rf "$WORK/unpacked"
check "unpacked: a log is no bundle" tells 2 'is no bundle' log unpack "$WORK/hello.plain" -o "$WORK/unpacked"
check "unpacked: nothing is left" test ! -e "$WORK/unpacked"

# --- a log that breaks off, and bundles that do
head -c $(($(stat -c %s "$WORK/hello.plain") - 130)) "$WORK/hello.plain" >"$WORK/torn.enc"
check "unpacked: modules" encore log unpack "$hello" -o "$WORK/files"
mv "$WORK/torn.enc" "$WORK/files"
check "torn: packed, and said to be torn" tells 4 'breaks off\|is cut\|damaged' log pack "$WORK/files/torn.enc" -o "$WORK/torn.bundle"
check "torn: --partial" tells 0 '' log pack --partial --force "$WORK/files/torn.enc" -o "$WORK/torn.bundle"
rm -rf "$WORK/files"
check "torn: log verify tells so" tells 4 'torn.bundle' log verify "$WORK/torn.bundle"
encore replay --verify "$WORK/torn.bundle" >"$WORK/said.out" 2>&1
check "torn: replay tells so" test $? -eq 4
size=$(stat -c %s "$hello")
head -c $((size - 1)) "$hello" >"$WORK/cut.bundle"
check "cut: refused" tells 2 'cut.bundle: the bundle is cut short: its end is missing' replay "$WORK/cut.bundle"
cp "$hello" "$WORK/flipped.bundle"
printf '\377\377\377' | dd of="$WORK/flipped.bundle" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
check "damaged: replay" tells 2 'the bundle is damaged at byte' replay "$WORK/flipped.bundle"
check "damaged: log verify" tells 4 'the bundle is damaged at byte' log verify "$WORK/flipped.bundle"
check "damaged: log unpack" tells 2 'the bundle is damaged at byte' log unpack "$WORK/flipped.bundle" -o "$WORK/unpacked"
check "damaged: nothing is left" test ! -e "$WORK/unpacked"
head -c 1048576 /dev/zero >"$WORK/direct.img"
check "direct: refused" tells 2 'written in place (direct)' record --bundle --engine soft -o "$WORK/direct.enc" \
    --disk "$WORK/direct.img,direct" "$GUESTS/disk"
check "direct: nothing is left" test ! -e "$WORK/direct.enc"

# --- a stock Linux, with its initial RAM disk and its disk
linux() {
    what="linux: replayed, the originals gone"
    [ "$SANITIZED" = 0 ] || { skip "$what" "a boot takes minutes under the sanitizers"; return; }
    said=$(tools/linux_guest.sh "$BUILD/linux" 2>&1) || { skip "$what" "$(echo "$said" | tail -n 1)"; return; }
    mkdir -p "$home"
    cp --sparse=always "$BUILD/linux/disk.img" "$BUILD/linux/initrd" "$BUILD/linux/vmlinuz" "$home"
    printf '%s\n' 'wait "# "' 'line mount /dev/vda /mnt && cat /mnt/hello; poweroff -f' >"$WORK/session"
    record_guest linux --bundle --input "$WORK/session" --mem 256M --initrd "$home/initrd" --disk "$home/disk.img" \
        --cmdline "console=ttyS0 panic=-1 quiet" "$home/vmlinuz" </dev/null
    rm -r "$home"
    mv "$log" "$WORK/empty/linux.bundle"
    check "linux: the guest used its disk" grep -q 'a file from the host' "$WORK/linux.out"
    check "linux: what is in the bundle is little more than the files" smaller "$WORK/empty/linux.bundle" 30000000
    same "$what" "$digest" "$WORK/empty/linux.bundle"
}
linux
finish
