#!/bin/bash
# Debian's own kernel, unchanged, with busybox (tools/linux_guest.sh makes the guest of Debian's packages): it boots, uses
# its disk and its other devices, reboots and turns itself off; and all of it replays to the same digest. (network.sh has
# the network.)
# On the soft engine: most hosts' KVM would do, but a test wants the same everywhere.
. tests/lib.sh

LINUX=$BUILD/linux
skip_all() {
    skip "linux: a stock Linux as a guest" "$1"
    finish
}
[ "${SANITIZED:-0}" = 1 ] && skip_all "a boot takes minutes under the sanitizers; it is run without"
if ! log=$(tools/linux_guest.sh "$LINUX" 2>&1); then
    skip_all "$(echo "$log" | tail -n 1)"
fi
cp "$LINUX/disk.img" "$WORK/disk.img"
image_before=$(sha256sum <"$WORK/disk.img")

# run_linux NAME COMMAND [OPTION...]: encore COMMAND with the guest; sets $code, and leaves $WORK/NAME.out and .err.
run_linux() {
    local name=$1 command=$2
    shift 2
    # shellcheck disable=SC2086
    timeout 300 "$ENCORE" $command --engine soft --mem 256M --initrd "$LINUX/initrd" "$@" "$LINUX/vmlinuz" \
        >"$WORK/$name.out" 2>"$WORK/$name.err" </dev/null
    code=$?
    again="$ENCORE $command --engine soft --mem 256M --initrd $LINUX/initrd $* $LINUX/vmlinuz"
}
# expect NAME TEXT...: the last run exited with 0 and its guest printed each text.
expect() {
    local what=$1 text
    shift
    for text in "$@"; do
        if [ $code -ne 0 ] || ! tr -d '\r' <"$WORK/$run.out" | grep -q -- "$text"; then
            not_ok "$what" "exit code $code, or it did not print '$text':
$(tail -n 15 "$WORK/$run.out" "$WORK/$run.err")
again: $again"
            return 1
        fi
    done
    ok "$what"
}
# A replay has no network at all, where we may take it away.
unplugged=
unshare -n true 2>/dev/null && unplugged='unshare -n'
verify() { # NAME LOG [OPTION...]
    local what=$1
    shift
    output=$($unplugged "$ENCORE" replay --verify "$@" 2>&1)
    case $output in
    *identical) ok "$what" ;;
    *) not_ok "$what" "$output
again: $ENCORE replay --verify $*" ;;
    esac
}
digest_of() { sed -n 's/^digest \([0-9a-f]*\).*/\1/p' "$1" | tail -n 1; }

quiet='console=ttyS0 panic=-1 quiet'

# A session on the serial console. Files are written, and read again after the file system was mounted anew.
cat >"$WORK/session" <<'END'
wait "# "
line mount /dev/vda /mnt && cat /mnt/hello && seq 1 100000 >/mnt/numbers && umount /mnt && mount /dev/vda /mnt
wait "# "
line sha256sum /mnt/numbers; seq 1 100000 | sha256sum
wait "# "
line ls /sys/bus/virtio/drivers/*/ | grep -c ^virtio; dd if=/dev/hwrng bs=64 count=1 | wc -c
wait "# "
line i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; echo counted $i
wait "counted 3000"
wait "# "
line umount /mnt; poweroff -f
END
run=session
run_linux session "record --force -o $WORK/session.enc" --input "$WORK/session" --disk "$WORK/disk.img" \
    --checkpoint-every 2s --cmdline "$quiet"
numbers=$(seq 1 100000 | sha256sum | cut -d' ' -f1)
expect "linux: boots to a shell, uses disk and entropy, computes, and turns itself off" "a file from the host" \
    "^$numbers  /mnt/numbers" "^$numbers  -" "^3" "^64" "counted 3000" "Power down"
check "linux: where it looks for devices in vain is no news" sh -c "! grep 'without a device' '$WORK/session.err'"
verify "linux: the session replays to the same digest" "$WORK/session.enc"
last=$("$ENCORE" checkpoint list "$WORK/session.enc" | awk 'END { print $1 }')
verify "linux: it replays from a checkpoint in its midst" --from $((last / 2)) "$WORK/session.enc"
if [ "$(sha256sum <"$WORK/disk.img")" = "$image_before" ]; then
    ok "linux: the disk's image is as it was"
else
    not_ok "linux: the disk's image is as it was"
fi

# The machine starts again when the guest resets it.
cat >"$WORK/again" <<'END'
wait "# "
line reboot -f
wait "# "
line poweroff -f
END
run=again
run_linux again "record --force -o $WORK/again.enc" --input "$WORK/again" --cmdline "$quiet"
if [ "$(grep -c 'init: ready' "$WORK/again.out")" = 2 ]; then
    expect "linux: reboots, and boots again" "Power down"
else
    not_ok "linux: reboots, and boots again" "$(tail -n 15 "$WORK/again.out")
again: $again"
fi
verify "linux: a recording with a reboot replays" "$WORK/again.enc"

# Time that is counted in instructions: the same run again, with no log at all.
for n in 1 2; do
    run=virtual$n
    run_linux virtual$n "run --digest --clock virtual" --disk "$WORK/disk.img" --cmdline "$quiet then=poweroff,-f"
done
if [ -n "$(digest_of "$WORK/virtual1.err")$(digest_of "$WORK/virtual1.out")" ] &&
    cmp -s "$WORK/virtual1.out" "$WORK/virtual2.out" &&
    [ "$(cat "$WORK/virtual1.err")" = "$(cat "$WORK/virtual2.err")" ]; then
    ok "linux: two runs with the virtual clock are one and the same"
else
    not_ok "linux: two runs with the virtual clock are one and the same" "$(tail -n 2 "$WORK"/virtual?.err)
again: $again"
fi
# Nothing of the host leaks: the recording replays on another maker's processor, as QEMU's user-mode emulation has it.
what="linux: a boot replays on another model of processor"
if command -v qemu-x86_64 >/dev/null; then
    run=model
    run_linux model "record --force -o $WORK/model.enc" --cmdline "$quiet then=poweroff,-f"
    output=$(timeout 300 qemu-x86_64 -cpu Nehalem "$ENCORE" replay --engine soft --verify "$WORK/model.enc" 2>/dev/null | tail -n 1)
    case $output in
    *"$(digest_of "$WORK/model.out") identical") ok "$what" ;;
    *) not_ok "$what" "$output
again: $again" ;;
    esac
else
    skip "$what" "qemu-x86_64 (qemu-user) is not installed"
fi

# On KVM the same guest runs where the host's KVM can run it. Where it cannot, encore says what KVM refused, and what can
# be done. (A KVM that emulates kernel code takes a minute or two to get there.)
what="linux: on KVM it boots, or what KVM refused is said"
if need_kvm "$what"; then
    timeout 400 "$ENCORE" run --engine kvm --mem 256M --timeout 300s --initrd "$LINUX/initrd" \
        --cmdline "$quiet then=poweroff,-f" "$LINUX/vmlinuz" >"$WORK/kvm.out" 2>"$WORK/kvm.err" </dev/null
    code=$?
    if [ $code -eq 124 ]; then
        skip "$what" "this host's KVM is too slow to tell: no end within 300 s"
    elif { [ $code -eq 0 ] && grep -q 'init: ready' "$WORK/kvm.out"; } ||
        { [ $code -eq 6 ] && grep -q 'the instruction is: ' "$WORK/kvm.err" && grep -q 'with --engine soft it will run' "$WORK/kvm.err"; }; then
        ok "$what"
    else
        not_ok "$what" "exit code $code
$(tail -n 15 "$WORK/kvm.out" "$WORK/kvm.err")"
    fi
fi
finish
