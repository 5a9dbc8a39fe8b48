#!/bin/bash
# Tries every guest under QEMU's TCG: `run_qemu.sh DIRECTORY`, where the directory holds the guests and the stub.
# Each case is a guest, its command line, its input, the exit status it must have (2 * value + 1), and a pattern that its
# output must hold. Ends with 1 when a case failed.
set -u
guests=$1
failures=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

run() { # guest, command line, input
    local machine=(-m 128 -display none -serial stdio -no-reboot -accel tcg
                   -device isa-debug-exit,iobase=0xf4,iosize=4)
    case $1 in
    mbhello) machine+=(-kernel "$guests/$1" -append "$2") ;;
    bootsec) machine+=(-drive "format=raw,file=$guests/$1") ;;
    *) machine+=(-kernel "$guests/stub" -initrd "$guests/$1 $2") ;;
    esac
    # QEMU ends when its input does not; a pause lets the guest be ready before the bytes come.
    { sleep 1; printf "$3"; sleep 1; } | timeout 60 qemu-system-x86_64 "${machine[@]}" >"$output" 2>&1
    return "${PIPESTATUS[1]}"
}

check() { # guest, command line, input, status, pattern
    run "$1" "$2" "$3"
    local status=$?
    if [ "$status" -eq "$4" ] && grep -aq -- "$5" "$output"; then
        echo "ok    $1 $2"
    else
        echo "FAIL  $1 $2: status $status instead of $4, or no '$5' in:"
        sed 's/^/      /' "$output"
        failures=$((failures + 1))
    fi
}

check bootsec '' '' 1 'bootsec: hello from real mode'
check mbhello 'a=1 b' '' 1 'mbhello: memory 639 + '
check tsc '' '' 1 ' 0 back, 0 early, '
check sieve '' '' 1 '17984 primes up to 200000'
check sieve 'n=1000000' '' 1 '78498 primes up to 1000000'
check sieve 'n=1' '' 5 'a number from 2'
check tasks '' '' 1 'counter = [0-9]* of 8000'
check user 'rounds=20' '' 1 '2 of 2 tasks ended well'
check user 'tasks=4 rounds=300' '' 1 '4 of 4 tasks ended well'
check user 'rounds=20 fault' '' 3 'task 0: page fault at 0x100000, error 0x7'
check faulty '' '' 5 'usage'
check faulty 'wild=0x7ead00000000' '' 201 'page fault (vector 14, error 0x2)'
check faulty 'divide' '' 201 'divide error'
check faulty 'ud2' '' 201 'invalid opcode'
check faulty 'stack' '' 201 'double fault'
check faulty 'triple' '' 0 'triple fault'
check faulty 'port' '' 1 'port 0x2f0 reads 0xff'
check faulty 'mmio' '' 1 'address 0xfeff0000'
check storm 'rate=1000 ticks=500' '' 1 'storm: 500 ticks, 0 bytes, checksum 00000000'
check storm '' 'helloq' 1 'ticks, 5 bytes, checksum 06270214'
check kv '' 'SET a 1\nGET a\nQUIT\n' 1 'VALUE 1'
check kv '' 'INCR n\r\nINCR n\nDEL n\nGET n\nQUIT\n' 1 'NONE'
check kv '' 'TIME\nRANDOM\nHELP\nDUMP\nQUIT\n' 1 'TIME 20[0-9-]* [0-9:]* ticks [0-9]'
check kv '' 'CRASH\n' 201 'panic: page fault'
[ "$failures" -eq 0 ] && echo "all guests behave" || echo "$failures cases failed"
exit $((failures != 0))
