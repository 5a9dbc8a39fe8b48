#!/bin/bash
# Systems that nobody here wrote, as Debian ships them, each recorded and replayed: memtest86+, SeaBIOS, GRUB, iPXE, Xen.
# Without the packages (no network) every test is skipped by its name.
. tests/lib.sh

other=$BUILD/other
names=("memtest86+" "SeaBIOS boots an IDE disk" "SeaBIOS boots a virtio disk" "GRUB boots a Multiboot kernel"
    "GRUB boots memtest86+" "iPXE has an address by DHCP" "Xen")

if ! tools/other_guests.sh "$other" "$GUESTS/mbhello" >"$WORK/made" 2>&1; then
    for name in "${names[@]}"; do
        skip "$name" "$(tail -n 1 "$WORK/made")"
    done
    finish
fi

# Records a run, which must print lines that match all PATTERNs and end with CODE; then replays it.
recorded() { # NAME CODE "PATTERN|PATTERN..." OPTION...
    local name=$1 code=$2 patterns pattern log=$WORK/run.enc status
    IFS='|' read -ra patterns <<<"$3"
    shift 3
    local command=("$ENCORE" record --force -o "$log" --engine soft --timeout 300s --console "file:$WORK/console" "$@")
    "${command[@]}" >"$WORK/out" 2>&1
    status=$?
    for pattern in "${patterns[@]}"; do
        grep -aqE -- "$pattern" "$WORK/console" && continue
        not_ok "$name" "no '$pattern' in what the guest printed (exit code $status):
$(tail -c 1500 "$WORK/console" | tr -d '\000\r\033'; tail -n 3 "$WORK/out")
again: make other-guests; ${command[*]}"
        return
    done
    if [ $status -ne "$code" ]; then
        not_ok "$name" "exit code $status, not $code: $(tail -n 3 "$WORK/out")
again: make other-guests; ${command[*]}"
        return
    fi
    if output=$("$ENCORE" replay --verify "$log" 2>&1) && grep -q identical <<<"$output"; then
        ok "$name"
    else
        not_ok "$name: replayed" "$output
again: ${command[*]}; $ENCORE replay --verify $log"
    fi
}

script() { # FILE: the lines of standard input
    cat >"$WORK/$1"
}

# All its tests but the last, which waits for minutes by design, in a memory that is as small as it takes. Keys 1, 2, 0
# stand for F1, F2, F10.
script memtest <<'END'
wait "<F1> Configuration"
send "1"
wait "Test selection"
send "1"
wait "Remove one test"
send "2"
wait "Enter test #"
send "10\n"
wait "Exit menu"
send "0"
wait "Error reporting"
send "0"
wait "Pass:  1        Errors: 0"
send "\x1b"
END
if [ "${SANITIZED:-0}" = 1 ]; then
    skip "memtest86+" "takes minutes with sanitizers"
else
    recorded "memtest86+" 0 'Memtest86\+ v6|Modulo 20, random pattern|Status: Pass' \
        --mem 5M --no-reboot --input "$WORK/memtest" --cmdline "console=ttyS0,115200 nobench nosm" "$other/memtest32.bin"
fi

firmware=(--firmware "$other/bios.bin")
for interface in ide virtio; do
    name="SeaBIOS boots an IDE disk"
    [ $interface = ide ] || name="SeaBIOS boots a virtio disk"
    recorded "$name" 1 \
        'SeaBIOS|Booting from Hard Disk|biosboot: hello through INT 10h|biosboot: this is the second sector|all is well' \
        "${firmware[@]}" --disk "$GUESTS/biosboot,if=$interface"
done

script grub <<'END'
wait "grub> "
send "ls (hd0,msdos1)/\n"
wait "grub> "
send "multiboot (hd0,msdos1)/guest one two\n"
wait "grub> "
send "boot\n"
END
recorded "GRUB boots a Multiboot kernel" 1 \
    'GNU GRUB +version 2|guest ipxe.lkrn memtest32.bin|loader GRUB 2.*command line "one two"|memory 639 \+ 31[0-9]* KiB' \
    "${firmware[@]}" --mem 32M --disk "$other/grub.img,if=ide" --input "$WORK/grub"

# By the 16-bit boot protocol, through the kernel's own real-mode part.
script grub-memtest <<'END'
wait "grub> "
send "linux16 (hd0,msdos1)/memtest32.bin console=ttyS0,115200 nobench nosm nopause\n"
wait "grub> "
send "boot\n"
wait "Status: Testing"
wait "Moving inversions"
send "\x1b"
END
recorded "GRUB boots memtest86+" 0 'Memtest86\+ v6|Address test, walking ones|Moving inversions' \
    "${firmware[@]}" --mem 32M --no-reboot --disk "$other/grub.img,if=virtio" --input "$WORK/grub-memtest"

script ipxe <<'END'
wait "grub> "
send "linux16 (hd0,msdos1)/ipxe.lkrn\n"
wait "grub> "
send "boot\n"
wait "Ctrl-B"
send "\x02"
wait "iPXE> "
send "dhcp net0\n"
wait "iPXE> "
send "show net0/ip\n"
wait "iPXE> "
send "reboot\n"
END
recorded "iPXE has an address by DHCP" 0 'iPXE initialising devices...ok|Configuring .net0|dhcp/ip:ipv4 = 10.0.2.15' \
    "${firmware[@]}" --net user --mem 32M --no-reboot --disk "$other/grub.img,if=ide" --input "$WORK/ipxe"

# As far as it goes without a kernel for its first domain.
recorded "Xen" 0 'Xen version 4|Bootloader: Encore|dom0 kernel not specified' \
    --mem 64M --cmdline "no-real-mode com1=115200,8n1 console=com1 noreboot" "$other/xen"
finish
