#!/bin/bash
# Makes a Linux guest from Debian's own packages, unchanged: linux-image-cloud-amd64 and busybox-static. Usage:
#   tools/linux_guest.sh DIRECTORY
# Leaves in DIRECTORY: vmlinuz, initrd (busybox, the kernel's modules for our devices, guests/linux/init) and disk.img
# (an ext4 file system of 64 MiB with a file in it). What is there already and no older than its sources is kept.
set -euo pipefail

# The packages are what the host's own apt finds; nothing is installed.
fetch() { # PACKAGE: prints the .deb's path
    local package=$1
    (cd "$packages" && apt-get download -q "$package" >/dev/null 2>&1) || {
        echo "linux-guest: the package $package cannot be fetched; is there a network, and has 'apt-get update' been run?" >&2
        exit 1
    }
    find "$packages" -name "${package}_*.deb" | head -n 1
}

[ $# -eq 1 ] || {
    echo "usage: $0 DIRECTORY" >&2
    exit 2
}
guest=$1
packages=$guest/packages
root=$guest/root
init=$(dirname "$0")/../guests/linux/init
mkdir -p "$packages"

if [ ! -e "$guest/.unpacked" ]; then
    kernel=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' | head -n 1)
    [ -n "$kernel" ] || {
        echo "linux-guest: apt does not know linux-image-cloud-amd64: run 'apt-get update'" >&2
        exit 1
    }
    rm -rf "$root"
    for package in "$kernel" busybox-static; do
        echo "linux-guest: $package"
        deb=$(fetch "$package")
        dpkg-deb -x "$deb" "$root"
        rm -f "$deb"
    done
    cp "$root"/boot/vmlinuz-* "$guest/vmlinuz"
    touch "$guest/.unpacked"
fi

# The modules for our devices, with all they depend on, in one directory, and the order to load them in.
modules() {
    local version=$1 wanted
    "$root/bin/busybox" depmod -b "$root" "$version"
    for wanted in virtio_pci virtio_blk virtio_net virtio_console virtio-rng virtio_balloon; do
        awk -v wanted="/$wanted.ko:" 'index($1, wanted) { for (i = NF; i >= 2; i--) print $i; sub(":", "", $1); print $1 }' \
            "$root/lib/modules/$version/modules.dep"
    done | awk '!seen[$0]++'
}

if [ ! -e "$guest/initrd" ] || [ "$init" -nt "$guest/initrd" ] || [ "$0" -nt "$guest/initrd" ]; then
    echo "linux-guest: initrd"
    version=$(basename "$root"/lib/modules/*)
    tree=$guest/tree
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,dev,proc,sys,mnt,modules,etc,tmp}
    cp "$root/bin/busybox" "$tree/bin/"
    cp "$init" "$tree/init"
    chmod 755 "$tree/init"
    modules "$version" | while read -r module; do
        cp "$root/lib/modules/$version/$module" "$tree/modules/"
        basename "$module" >>"$tree/modules/order"
    done
    # The same bytes whenever and by whomever it is made.
    find "$tree" -exec touch -h -d @0 {} +
    (cd "$tree" && find . | LC_ALL=C sort | cpio --quiet --reproducible -R 0:0 -o -H newc) | gzip -n -1 >"$guest/initrd.new"
    mv "$guest/initrd.new" "$guest/initrd"
fi

if [ ! -e "$guest/disk.img" ]; then
    echo "linux-guest: disk.img"
    files=$guest/files
    mkdir -p "$files"
    echo "a file from the host" >"$files/hello"
    rm -f "$guest/disk.new"
    truncate -s 64M "$guest/disk.new"
    PATH=$PATH:/sbin:/usr/sbin mke2fs -q -t ext4 -U 6b1f0e4a-3a52-4b8c-9f1b-2a7d5c9e1f00 -d "$files" "$guest/disk.new"
    mv "$guest/disk.new" "$guest/disk.img"
fi
ls -l "$guest/vmlinuz" "$guest/initrd" "$guest/disk.img"
