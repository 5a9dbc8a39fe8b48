#!/bin/bash
# Makes guests of what Debian's packages hold that boots on bare metal, each as Debian ships it. Usage:
#   tools/other_guests.sh DIRECTORY MULTIBOOT
# Leaves in DIRECTORY: memtest32.bin and memtest64.bin (memtest86+), bios.bin (SeaBIOS), xen (the hypervisor), ipxe.lkrn,
# and grub.img, a disk with GRUB in its first sectors and an ext2 partition that holds MULTIBOOT (a Multiboot 1 guest),
# memtest86+ and iPXE. What is there already and no older than its sources is kept.
set -euo pipefail

# The packages are what the host's own apt finds; nothing is installed.
fetch() { # PACKAGE: prints the .deb's path
    local package=$1
    (cd "$packages" && apt-get download -q "$package" >/dev/null 2>&1) || {
        echo "other-guests: the package $package cannot be fetched; is there a network, and has 'apt-get update' been run?" >&2
        exit 1
    }
    find "$packages" -name "${package}_*.deb" | head -n 1
}

[ $# -eq 2 ] || {
    echo "usage: $0 DIRECTORY MULTIBOOT" >&2
    exit 2
}
guests=$1
multiboot=$2
packages=$guests/packages
root=$guests/root
mkdir -p "$packages"

# libdevmapper is what grub-mkimage is linked with; not every host has it.
if [ ! -e "$guests/.unpacked" ]; then
    rm -rf "$root"
    for package in memtest86+ seabios grub-pc-bin grub-common libdevmapper1.02.1 ipxe xen-hypervisor-4.17-amd64; do
        echo "other-guests: $package"
        deb=$(fetch "$package")
        dpkg-deb -x "$deb" "$root"
        rm -f "$deb"
    done
    cp "$root/boot/memtest86+ia32.bin" "$guests/memtest32.bin"
    cp "$root/boot/memtest86+x64.bin" "$guests/memtest64.bin"
    cp "$root/usr/share/seabios/bios-256k.bin" "$guests/bios.bin"
    cp "$root/boot/ipxe.lkrn" "$guests/ipxe.lkrn"
    gzip -dc "$root"/boot/xen-*-amd64.gz >"$guests/xen"
    touch "$guests/.unpacked"
fi

# Sector 0 is GRUB's boot sector, which by itself loads what follows: GRUB's core, in the room before the partition.
partition=2048 # its first sector
make_grub_disk() {
    local work=$guests/grub library=$root/lib/x86_64-linux-gnu
    rm -rf "$work"
    mkdir -p "$work/files"
    cp "$multiboot" "$work/files/guest"
    cp "$guests/memtest32.bin" "$guests/ipxe.lkrn" "$work/files/"
    printf '%s\n' 'serial --unit=0 --speed=115200' 'terminal_input serial' 'terminal_output serial' >"$work/config"
    LD_LIBRARY_PATH=$library "$root/usr/bin/grub-mkimage" -O i386-pc -d "$root/usr/lib/grub/i386-pc" \
        -c "$work/config" -p '(hd0,msdos1)/grub' -o "$work/core.img" \
        biosdisk part_msdos ext2 serial terminal normal echo cat ls multiboot linux16 halt reboot
    cat "$root/usr/lib/grub/i386-pc/boot.img" "$work/core.img" >"$work/disk"
    [ "$(stat -c %s "$work/disk")" -le $((partition * 512)) ]
    PATH=$PATH:/sbin:/usr/sbin mke2fs -q -t ext2 -U 7c2f1e5b-4b63-4c9d-8f2c-3b8e6d0faf01 -d "$work/files" \
        "$work/partition" 8192k >/dev/null
    # The partition table: Linux (83h), from $partition on, 16384 sectors; three empty entries, where the boot sector has
    # code for floppy disks.
    { printf '\x80\x20\x21\x00\x83\x25\x24\x01\x00\x08\x00\x00\x00\x40\x00\x00' && head -c 48 /dev/zero; } |
        dd of="$work/disk" bs=1 seek=446 conv=notrunc status=none
    dd if="$work/partition" of="$work/disk" bs=512 seek=$partition conv=notrunc status=none
    truncate -s 16M "$work/disk"
    mv "$work/disk" "$guests/grub.img"
}

if [ ! -e "$guests/grub.img" ] || [ "$multiboot" -nt "$guests/grub.img" ] || [ "$0" -nt "$guests/grub.img" ]; then
    echo "other-guests: grub.img"
    make_grub_disk
fi
ls -l "$guests"/{memtest32.bin,memtest64.bin,bios.bin,xen,ipxe.lkrn,grub.img}
