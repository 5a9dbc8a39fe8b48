#!/bin/sh
# An option that would do nothing is a mistake of the user's, who meant something by it: one sentence and exit code 2,
# before anything is run or written.
. tests/lib.sh
. tests/tools/recording.sh
LIMIT=20
ENGINE=soft

# idle PATTERN ARGUMENTS...
idle() {
    pattern=$1
    shift
    encore "$@" </dev/null >"$WORK/out" 2>"$WORK/err"
    code=$?
    echo "exit code $code:"
    cat "$WORK/out" "$WORK/err"
    [ $code -eq 2 ] && [ ! -s "$WORK/out" ] && [ "$(grep -vE 'joining the primary|has no machine to follow now' "$WORK/err" | grep -cE '^([0-9TZ:.-]+ )?encore')" -eq 1 ] &&
        grep -q -- "$pattern" "$WORK/err"
}
bios=/usr/share/seabios/bios.bin
[ -r $bios ] || bios=$GUESTS/biosboot

for command in "run" "record -o $WORK/new.enc"; do
    # shellcheck disable=SC2086
    {
        check "$command: --seed with the host's clock" idle '--seed' $command --seed 3 "$GUESTS/kv"
        check "$command: --cmdline for a boot sector" idle '--cmdline: a boot sector takes no command line' $command --cmdline x "$GUESTS/bootsec"
        check "$command: --initrd for a boot sector" idle 'boot sector has no modules' $command --initrd "$GUESTS/kv" "$GUESTS/bootsec"
        check "$command: --initrd for an ELF64 guest" idle 'has no modules' $command --initrd "$GUESTS/kv" "$GUESTS/kv"
        check "$command: quota= for a disk that is only read" idle 'quota' $command --disk "$GUESTS/kv,ro,quota=1M" "$GUESTS/kv"
        check "$command: quota= for a disk that is written in place" idle 'quota' $command --disk "$GUESTS/kv,direct,quota=1M" "$GUESTS/kv"
    }
done
head -c 65536 /dev/zero >"$WORK/firmware"
check "run: --cmdline for firmware" idle '--cmdline: firmware takes no command line' run --cmdline x --firmware "$WORK/firmware"
check "run: --checkpoint-every" idle '--checkpoint-every: run writes no log' run --checkpoint-every 1s "$GUESTS/kv"
check "nothing is left behind" test ! -e "$WORK/new.enc"

record_guest plain "$GUESTS/bootsec" </dev/null
for option in --verify --partial; do
    check "replay: --pcap without a card" idle '--pcap: the machine has no network card' replay $option --pcap "$WORK/pcap" "$log"
    check "replay: --disk 0= without disks" idle '--disk 0=x: the machine has no disks' replay $option --disk 0=x "$log"
done
check "log export: --pcap without a card" idle 'log export: .*--pcap: the machine has no network card' log export --pcap "$WORK/pcap" "$log"
check "replay: no capture is left behind" test ! -e "$WORK/pcap"
head -c 65536 /dev/zero >"$WORK/image"
record_guest disk --disk "$WORK/image" --max-exits 100 "$GUESTS/kv" </dev/null
check "replay: --disk 1= for a machine with one" idle "--disk 1=.*: the machine's last disk is number 0" replay --disk "1=$WORK/image" "$log"
check "log dump: --partial with --follow" idle '--partial' log dump --follow --partial "$log"

primary="primary --engine soft --arbiter file:$WORK/arbiter --listen ipc://$WORK/a"
backup="backup --connect ipc://$WORK/a --arbiter file:$WORK/arbiter"
# shellcheck disable=SC2086
{
    check "primary: --durable without --log" idle '--durable' $primary --durable "$GUESTS/kv"
    check "primary: --force without --log" idle '--force' $primary --force "$GUESTS/kv"
    check "primary: --checkpoint-every without --log" idle '--checkpoint-every' $primary --checkpoint-every 1s "$GUESTS/kv"
    check "primary: --cmdline for a boot sector" idle '--cmdline' $primary --cmdline x "$GUESTS/bootsec"
    check "primary: --input" idle 'encore console' $primary --input x "$GUESTS/kv"
    check "primary: --control" idle '--control' $primary --control unix:x "$GUESTS/kv"
    check "backup: --durable without --log" idle '--durable' $backup --durable
    check "backup: --force without --log" idle '--force' $backup --force
    check "backup: --lag-max without --listen" idle '--lag-max' $backup --lag-max 1s
}
check "primary: nothing is left behind" test ! -e "$WORK/arbiter" -a ! -e "$WORK/a"

# What a backup needs it hears from its primary.
mkdir "$WORK/shared"
pair="--arbiter file:$WORK/shared"
# shellcheck disable=SC2086
{
    timeout 20 "$ENCORE" primary --engine soft $pair --listen "ipc://$WORK/p" "$GUESTS/kv" </dev/null >"$WORK/p.out" 2>"$WORK/p.err" &
    running=$!
    check "backup: --net for a guest without a card" idle 'the guest has 0 network cards, and 1 are given' \
        backup --connect "ipc://$WORK/p" $pair --net user
    check "backup: --disk 0= for a guest without disks" idle '--disk 0=x: the machine has no disks' \
        backup --connect "ipc://$WORK/p" $pair --disk 0=x
}
kill $running
wait $running 2>/dev/null

"$ENCORE" keygen "$WORK/key"
for command in 'ctl --key' 'status --key'; do
    # shellcheck disable=SC2086
    check "$command: with a control socket" idle '--key' $command "$WORK/key" "unix:$WORK/none" $([ "$command" = 'ctl --key' ] && echo power-button)
done
check "console: --linger with --input" idle '--linger' console --linger 1s --input x "ipc://$WORK/a"
finish
