#!/bin/sh
# What a user may get wrong, and what somebody hostile may send: one sentence on standard error that names the file and
# the fault, exit code 2, nothing left behind. And a host without KVM, or where we may not use it.
. tests/lib.sh
. tests/tools/recording.sh

# says CODE PATTERN ARGUMENTS...: this exit code, nothing on standard output, and on standard error one sentence that
# has the pattern in it (options: argp adds a line about where to find help).
says() {
    wanted=$1
    pattern=$2
    shift 2
    encore "$@" </dev/null >"$WORK/said.out" 2>"$WORK/said.err"
    said=$?
    echo "exit code $said, on standard error:"
    cat "$WORK/said.out" "$WORK/said.err"
    echo "again: $ENCORE $*"
    lines=$(grep -vc 'Try .*--help' "$WORK/said.err")
    case $said in $wanted) ;; *) return 1 ;; esac
    [ "$lines" -eq 1 ] && grep -q '^encore[a-z ]*: ' "$WORK/said.err" &&
        grep -q -- "$pattern" "$WORK/said.err" && [ ! -s "$WORK/said.out" ]
}

# --- what needs a machine, on each engine
bad_images() {
    new=$WORK/new.enc
    record="record --engine $ENGINE -o $new"
    : >"$WORK/empty"
    head -c 5000 /dev/zero >"$WORK/zeros"
    echo 'a text, which is no kernel' >"$WORK/text"
    mkdir -p "$WORK/directory"
    head -c 40 "$GUESTS/kv" >"$WORK/header-cut"
    head -c 100 "$GUESTS/kv" >"$WORK/program-headers-cut"
    head -c 5000 "$GUESTS/kv" >"$WORK/segments-cut"
    head -c 511 "$GUESTS/bootsec" >"$WORK/sector-cut"
    head -c 50 "$GUESTS/mbhello" >"$WORK/multiboot-cut"
    cp "$GUESTS/kv" "$WORK/other-machine" && printf '\050' | dd of="$WORK/other-machine" bs=1 seek=18 conv=notrunc 2>/dev/null
    # Entry point, and the first program header's address and size in memory, all ones (ELF64: at 24, 64+24, 64+40).
    for field in entry:24 address:88 memory:104 offset:72; do
        cp "$GUESTS/kv" "$WORK/bad-${field%:*}"
        printf '\377\377\377\377\377\377\377\377' | dd of="$WORK/bad-${field%:*}" bs=1 seek="${field#*:}" conv=notrunc 2>/dev/null
    done
    for image in missing empty zeros text directory header-cut program-headers-cut segments-cut sector-cut multiboot-cut \
        other-machine bad-entry bad-address bad-memory bad-offset; do
        # shellcheck disable=SC2086
        check "image: $image" says 2 "$image" $record "$WORK/$image"
        check "image: $image: run says the same" says 2 "$image" run --engine "$ENGINE" "$WORK/$image"
    done
    # shellcheck disable=SC2086
    {
        check "image: too big for the memory" says 2 user $record --mem 1M "$GUESTS/user"
        check "image: not of the protocol that was asked for" says 2 bootsec $record --boot elf64 "$GUESTS/bootsec"
        check "firmware: not of a firmware's size" says 2 bootsec $record --firmware "$GUESTS/bootsec"
        check "firmware: an image beside it" says 2 'with --firmware there is no IMAGE' $record --firmware "$WORK/zeros" "$GUESTS/kv"
        check "firmware: another protocol" says 2 'does not go with it' $record --firmware "$WORK/zeros" --boot elf64
        check "log: in a directory that is missing" says 2 'none/new.enc' record --engine "$ENGINE" \
            -o "$WORK/none/new.enc" "$GUESTS/kv"
        check "engine: what is wrong with the image is the only sentence" says 2 text run "$WORK/text"
        check "input: missing script" says 2 no-script $record --input "$WORK/no-script" "$GUESTS/kv"
        printf 'wait "ready"\nsend unquoted\n' >"$WORK/script"
        check "input: a fault in line 2 is named" says 2 'script:2: ' $record --input "$WORK/script" "$GUESTS/kv"
        printf 'repeat 3\nline x\n' >"$WORK/script"
        check "input: a repeat without end" says 2 'script:' $record --input "$WORK/script" "$GUESTS/kv"
        printf 'file "nowhere"\n' >"$WORK/script"
        check "input: a file that is missing" says 2 'nowhere' $record --input "$WORK/script" "$GUESTS/kv"
        check "console: no such kind" says 2 'carrier-pigeon' $record --console carrier-pigeon "$GUESTS/kv"
        check "console: unix: without a path" says 2 'unix:' $record --console unix: "$GUESTS/kv"
        check "log: in a missing directory" says '[12]' 'nowhere/x.enc' record --engine "$ENGINE" -o "$WORK/nowhere/x.enc" "$GUESTS/kv"
    }
    gzip -c "$GUESTS/mbhello" >"$WORK/mbhello.gz"
    size=$(stat -c %s "$GUESTS/mbhello")
    head -c $((size - 100)) "$GUESTS/mbhello" >"$WORK/mbhello-cut"
    # shellcheck disable=SC2086
    {
        check "image: compressed" says 2 'mbhello.gz: is compressed by gzip; unpack it first: gzip -dc' $record "$WORK/mbhello.gz"
        check "image: cut in its table of sections" says 2 'mbhello-cut: the file is cut short' $record "$WORK/mbhello-cut"
    }
    check "bad input: nothing is left behind" test -z "$(find "$WORK" -name '*.enc*')"
}

# --- the image of a recording
recorded_images() {
    cp "$GUESTS/bootsec" "$WORK/image"
    record_guest moved "$WORK/image" </dev/null
    mv "$WORK/image" "$WORK/elsewhere"
    check "image: gone since the recording" says 2 "$WORK/image" replay --verify "$log"
    what="image: moved, and given"
    verifies "$digest" --image "$WORK/elsewhere" && ok "$what" || blame "$(cat "$WORK/replay.err")" "$ENCORE replay --image"
    cp "$GUESTS/mbhello" "$WORK/image"
    check "image: another one since the recording" says 2 'not the image that was recorded' replay --verify "$log"
    sed 's/hello/hallo/' "$GUESTS/bootsec" >"$WORK/image"
    check "image: changed since the recording, of the same size" says 2 'not the image that was recorded' replay --verify "$log"
    check "image: and so when it is given" says 2 'not the image' replay --verify --image "$WORK/image" "$log"
    rm "$WORK/image"
    what="checkpoint: from one, the image is not needed"
    record_guest points --checkpoint-every 1ms "$WORK/elsewhere" </dev/null
    if [ -n "$(checkpoint_ids)" ]; then
        mv "$WORK/elsewhere" "$WORK/away"
        verifies "$digest" --from 0 && ok "$what" || blame "$(cat "$WORK/replay.err")" "$ENCORE replay --from 0"
        mv "$WORK/away" "$WORK/elsewhere"
    fi
    check "checkpoint: no such number" says 2 "$log: .*7000" replay --from 7000 "$log"
    check "checkpoint: of a log without any" says 2 '3' replay --from 3 "$WORK/moved.enc"
    for number in x -1 4294967296 99999999999999999999 ''; do
        check "checkpoint: '$number' is no number" says 2 'from' replay "--from=$number" "$log"
    done

    # Logs of another time and place.
    cp "$log" "$WORK/newer.enc"
    printf '\002' | dd of="$WORK/newer.enc" bs=1 seek=8 conv=notrunc 2>/dev/null
    cp "$log" "$WORK/foreign.enc"
    printf 'X' | dd of="$WORK/foreign.enc" bs=1 seek=2 conv=notrunc 2>/dev/null
    cp "$log" "$WORK/damaged.enc"
    printf 'X' | dd of="$WORK/damaged.enc" bs=1 seek=50 conv=notrunc 2>/dev/null
    printf '\377\377\377\377' >"$WORK/length"
    cp "$log" "$WORK/endless.enc"
    dd if="$WORK/length" of="$WORK/endless.enc" bs=1 seek=12 conv=notrunc 2>/dev/null
    mkdir "$WORK/directory.enc"
    for file in newer foreign damaged endless directory missing; do
        for command in replay 'replay --verify' 'replay --from 0' 'log info' 'log dump' 'log verify' 'checkpoint list'; do
            # shellcheck disable=SC2086
            check "log: $file: $command" says 2 "$file.enc" $command "$WORK/$file.enc"
        done
    done
    check "log: a newer one is called so" sh -c "'$ENCORE' replay '$WORK/newer.enc' 2>&1 | grep -Eq 'newer|version 2'"
    check "bad input: nothing is left behind by replays" test -z "$(find "$WORK" -name '*.enc.*')"
}

for ENGINE in kvm soft; do
    work=$WORK
    WORK=$WORK/$ENGINE
    mkdir -p "$WORK"
    if need_engine "bad input: images" "bad input: logs"; then
        bad_images
        recorded_images
    fi
    WORK=$work
done
ENGINE=

# --- options, which need neither
for option in --mem=0 --mem=1K --mem=4G --mem=-5M --mem=64X --mem=99999999999999999999 --mem= --mem=64MBB --mem=0.1M \
    --max-exits=0 --max-exits=many --max-exits=-3 --timeout=5x --timeout=-1s --timeout=1e99s --timeout=99999999999h --timeout= \
    --checkpoint-every=soon --checkpoint-every=0s --clock=sundial --engine=abacus --boot=multiboot9 --frobnicate; do
    name=${option%%=*}
    check "option: $option" says 2 "${name#--}" record -o "$WORK/new.enc" "$option" "$GUESTS/kv"
done
check "option: a command line that is too long" says 2 'cmdline' record -o "$WORK/new.enc" \
    --cmdline "$(head -c 10000 /dev/zero | tr '\0' x)" "$GUESTS/kv"
check "option: no image" says 2 'IMAGE' record -o "$WORK/new.enc"
check "option: two images" says 2 'unexpected argument' record -o "$WORK/new.enc" "$GUESTS/kv" "$GUESTS/kv"
check "option: no log to replay" says 2 'log' replay
check "option: two logs to replay" says 2 "unexpected argument 'b.enc'" replay a.enc b.enc
check "option: nothing is left behind" test ! -e "$WORK/new.enc"

# --- no KVM, no permission
if [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
    # hidden SETUP CODE PATTERN ARGUMENTS...: the command where SETUP was done in a mount namespace of its own.
    hidden() {
        setup=$1
        expected=$2
        pattern=$3
        shift 3
        timeout "$LIMIT" unshare -m sh -c "$setup"' && exec "$@"' sh "$@" >"$WORK/said.out" 2>"$WORK/said.err" </dev/null
        said=$?
        echo "exit code $said:"
        cat "$WORK/said.out" "$WORK/said.err"
        [ $said -eq "$expected" ] && [ "$(wc -l <"$WORK/said.err")" -eq 1 ] && grep -q "$pattern" "$WORK/said.err"
    }
    kvm_record="$ENCORE record --engine kvm -o $WORK/new.enc $GUESTS/bootsec"
    none='mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3'
    # shellcheck disable=SC2086
    {
        check "no /dev/kvm: a sentence that says what to do" hidden "$none" 1 'there is no /dev/kvm: ' $kvm_record
        check "/dev/kvm is another device: a sentence" hidden "$none && touch /dev/kvm && mount --bind /dev/null /dev/kvm" 1 '/dev/kvm' $kvm_record
    }
    check "no /dev/kvm: auto records with soft, and says so" hidden "$none" 1 'engine soft' \
        "$ENCORE" record -o "$WORK/auto.enc" "$GUESTS/bootsec"
    mkdir -p "$WORK/public" && chmod 755 "$WORK" "$WORK/public" && chmod 777 "$WORK/public"
    cp "$ENCORE" "$GUESTS/bootsec" "$WORK/public"
    chmod 755 "$WORK/public/encore" && chmod 644 "$WORK/public/bootsec"
    if [ -e /dev/kvm ] && runuser -u nobody -- test -x "$WORK/public/encore" && ! runuser -u nobody -- test -w /dev/kvm; then
        nobody() { # CODE PATTERN ARGUMENTS...
            expected=$1
            pattern=$2
            shift 2
            timeout "$LIMIT" runuser -u nobody -- "$WORK/public/encore" "$@" >"$WORK/said.out" 2>"$WORK/said.err" </dev/null
            said=$?
            echo "exit code $said:"
            cat "$WORK/said.out" "$WORK/said.err"
            [ $said -eq "$expected" ] && [ "$(wc -l <"$WORK/said.err")" -eq 1 ] && grep -q "$pattern" "$WORK/said.err"
        }
        check "/dev/kvm without permission: a sentence that says what to do" nobody 1 'permission.*/dev/kvm.*group' \
            record --engine kvm -o "$WORK/public/new.enc" "$WORK/public/bootsec"
        check "a directory that may not be written" nobody 2 "denied" \
            record --engine soft -o /nobody-may.enc "$WORK/public/bootsec"
        install -m 600 "$WORK/public/bootsec" "$WORK/public/secret"
        check "an image that may not be read" nobody 2 'secret' record --engine soft -o "$WORK/public/new.enc" "$WORK/public/secret"
        check "no permission: nothing is left behind" test "$(find "$WORK/public" | sort | tr '\n' ' ')" = \
            "$WORK/public $WORK/public/bootsec $WORK/public/encore $WORK/public/secret "
    else
        skip "/dev/kvm without permission" "there is no /dev/kvm, or nobody may use it"
    fi
    check "no KVM: nothing is left behind" test ! -e "$WORK/new.enc"
else
    skip "no /dev/kvm: a sentence that says what to do" "a mount namespace needs root"
    skip "/dev/kvm without permission" "needs root"
fi
finish
