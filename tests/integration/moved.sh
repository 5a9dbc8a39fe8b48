#!/bin/bash
# A log moves with its files: what lies beside it is found when it is not where it was, by size and hash, and the user can
# name it: --image, --initrd N=FILE, --disk N=FILE, for replay and log export alike.
. tests/lib.sh
. tests/tools/recording.sh
ENGINE=soft

home=$WORK/home new=$WORK/new
mkdir -p "$home" "$new"
cp "$GUESTS/mbhello" "$home/kernel"
seq 1000 >"$home/first"
seq 2000 >"$home/second"
record_guest "hello" --initrd "$home/first one" --initrd "$home/second two words" "$home/kernel" </dev/null
hello=$log hello_digest=$digest
seq 200000 | head -c 1048576 >"$home/disk.img"
cp "$GUESTS/disk" "$home/image"
record_guest "disk" --disk "$home/disk.img,if=ide" --checkpoint-every 500us --cmdline "irq region=64 rounds=10" "$home/image" </dev/null
disk=$log disk_digest=$digest
check "recorded" test -n "$hello_digest" -a -n "$disk_digest"


same "where it was recorded" "$hello_digest" "$hello"
mv "$hello" "$disk" "$home"/* "$new"
hello=$new/hello.enc disk=$new/disk.enc
same "all moved: kernel and modules" "$hello_digest" "$hello"
same "all moved: disk" "$disk_digest" "$disk"
same "all moved: from a checkpoint" "$disk_digest" "$disk" --from 1
(cd "$new" && "$OLDPWD/$ENCORE" replay --verify hello.enc 2>/dev/null) | grep -q identical &&
    ok "all moved: the log named without a directory" || not_ok "all moved: the log named without a directory"
check "all moved: log export finds them" encore log export --cast "$WORK/cast" "$disk"
check "all moved: no file was changed" cmp "$new/first" <(seq 1000)

# Another file where it was does not hide the right one beside the log.
echo "another" >"$home/kernel"
head -c 1048576 /dev/zero >"$home/disk.img"
same "another image where it was" "$hello_digest" "$hello"
same "another disk of the same size where it was" "$disk_digest" "$disk"

# Named by the user.
mkdir "$WORK/far"
mv "$new/kernel" "$WORK/far/k"
mv "$new/second" "$WORK/far/m"
mv "$new/disk.img" "$WORK/far/d"
check "gone: the image is named, its hash and the option" tells 2 "the guest's image, of .* bytes and hash [0-9a-f]\{32\}, beside the log; --image FILE" replay --verify "$hello"
check "gone: a module" tells 2 'module 1, of .* and hash [0-9a-f]\{32\}, beside the log; --initrd 1=FILE' replay --image "$WORK/far/k" --verify "$hello"
check "gone: a disk" tells 2 'disk 0, of 1048576 bytes and hash [0-9a-f]\{32\}, beside the log; --disk 0=FILE' replay --verify "$disk"
same "given: image and module" "$hello_digest" "$hello" --image "$WORK/far/k" --initrd "1=$WORK/far/m"
same "given: disk" "$disk_digest" "$disk" --disk "0=$WORK/far/d"
same "given: disk, from a checkpoint" "$disk_digest" "$disk" --from 1 --disk "0=$WORK/far/d" --image "$new/image"
check "given: log export" encore log export --cast "$WORK/cast" --image "$WORK/far/k" --initrd "1=$WORK/far/m" "$hello"
check "given: not the image" tells 2 'first is not the image that was recorded' replay --image "$new/first" "$hello"
check "given: not the module" tells 2 '--initrd 0=: .*far/m is not the image that was recorded' replay --initrd "0=$WORK/far/m" --image "$WORK/far/k" "$hello"
check "given: not the image, from a checkpoint" tells 2 'is not the image that was recorded' replay --from 1 --disk "0=$WORK/far/d" --image "$WORK/far/k" "$disk"
check "given: a module that there is not" tells 2 "the machine's last module is number 1" replay --initrd 2=x "$hello"
check "given: a disk that there is not" tells 2 "the machine has no disks" replay --disk 0=x "$hello"
check "given: no number" tells 2 "is not a number from 0 to 7, '=' and a file" replay --initrd x "$hello"
check "given: twice" tells 2 "number 1 is given twice" replay --initrd 1=x --initrd 1=y "$hello"
check "given: log export --json needs none" tells 2 "needs none of the guest's files" log export --json --image x "$hello"
# The names that log unpack gives.
mv "$WORK/far/k" "$new/image"
mv "$WORK/far/m" "$new/initrd1"
same "beside it, by the names of log unpack" "$hello_digest" "$hello"
finish
