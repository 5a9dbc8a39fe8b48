#!/bin/sh
# The command as a user meets it: help, bad options, the doctor, and what make install puts where.
. tests/lib.sh

# asks PATTERN ARGUMENTS...: exit code 0, nothing on standard error, and standard output begins like this.
asks() {
    pattern=$1
    shift
    "$ENCORE" "$@" >"$WORK/out" 2>"$WORK/err"
    code=$?
    echo "exit code $code:"
    cat "$WORK/out" "$WORK/err"
    [ $code -eq 0 ] && [ ! -s "$WORK/err" ] && head -n 1 "$WORK/out" | grep -q "$pattern"
}
blames() { # PATTERN ARGUMENTS...: exit code 2, and the sentence begins so
    pattern=$1
    shift
    "$ENCORE" "$@" >"$WORK/out" 2>"$WORK/err"
    code=$?
    cat "$WORK/out" "$WORK/err"
    [ $code -eq 2 ] && [ ! -s "$WORK/out" ] && head -n 1 "$WORK/err" | grep -q "$pattern"
}
for command in '' run record replay log 'log info' 'log dump' 'log stat' 'log verify' 'log export' \
    'log pack' 'log unpack' checkpoint 'checkpoint list' 'checkpoint extract' primary backup console status handover \
    arbiter 'arbiter show' 'arbiter reset' 'arbiter forget' ctl keygen doctor; do
    # shellcheck disable=SC2086
    for option in --help -h '-?'; do
        check "help: encore $command $option" asks "^Usage: encore $command" $command $option
    done
    # shellcheck disable=SC2086
    check "errors: encore $command: name the command that was typed" blames "^encore${command:+ }$command: " $command --frobnicate
    # argp puts an option that is too long for the line wherever it likes.
    # shellcheck disable=SC2086
    check "help: encore $command: is well indented and fits" sh -c '"$@" --help >"$0" && ! grep -nE "^ {7,}-|^.{80,}" "$0"' \
        "$WORK/help" "$ENCORE" $command
    # shellcheck disable=SC2086
    for option in --version -V; do
        check "version: encore $command $option" asks '^encore [0-9]' $command $option
    done
done

# Exit code 2, nothing on standard output, and on standard error one sentence (argp adds where to find help).
refuses() {
    "$ENCORE" "$@" >"$WORK/out" 2>"$WORK/err"
    code=$?
    cat "$WORK/err"
    [ $code -eq 2 ] && [ ! -s "$WORK/out" ] && head -n 1 "$WORK/err" | grep -q '^encore.*: ' &&
        [ "$(grep -c . "$WORK/err")" -le 3 ]
}
check "bad option: no such command" refuses frobnicate
check "bad option: unknown option" refuses log dump --frobnicate x.enc
check "bad option: no log" refuses log verify
check "bad option: two logs" refuses log verify a.enc b.enc
check "bad option: no such log subcommand" refuses log frobnicate
check "bad option: --limit" refuses log dump --limit many a.enc
check "bad option: --type" refuses log dump --type FROBNICATE a.enc
check "bad option: --from-record" refuses log dump --from-record -1 a.enc
check "bad option: export without format" refuses log export a.enc
check "bad option: checkpoint number" refuses checkpoint extract a.enc x -o "$WORK/d"
check "bad option: extract without -o" refuses checkpoint extract a.enc 1
check "bad option: --mem" refuses run --mem 17 image
check "bad option: --engine" refuses run --engine abacus image
check "bad option: record without -o" refuses record image

# says SENTENCE ARGUMENTS...: refused with this sentence.
says() {
    sentence=$1
    shift
    refuses "$@" && head -n 1 "$WORK/err" | grep -qF -- "$sentence"
}
check "words: run --engine" says "encore run: --engine: unknown engine 'abacus' (auto, kvm or soft)" run --engine abacus image
check "words: replay --engine" says "encore replay: --engine: unknown engine 'abacus' (kvm or soft)" replay --engine abacus x.enc
check "words: backup --engine" says "encore backup: --engine: unknown engine 'auto' (kvm or soft)" backup --engine auto
check "words: --clock" says "encore record: --clock: unknown clock 'sundial'" record --clock sundial image
check "words: --boot" says "encore run: --boot: unknown protocol 'x' (auto, elf64," run --boot x image
check "words: --disk" says "encore run: --disk: unknown word 'x' (ro, overlay," run --disk image,x image
check "words: --type" says "encore log dump: --type: unknown type of record 'X'" log dump --type X x.enc
check "words: a second image" says "encore run: unexpected argument 'two'" run one two
check "words: a second log" says "encore checkpoint list: unexpected argument 'two'" checkpoint list one two
check "words: a command" says "encore: unknown command 'frobnicate'" frobnicate
check "words: a subcommand" says "encore log: unknown subcommand 'frobnicate'" log frobnicate
check "words: an order" says "encore ctl: unknown command 'jump' (power-button," ctl unix:x jump
check "words: an order without its argument" says "encore ctl: balloon needs an argument: SIZE" ctl unix:x balloon
check "words: an order with one too many" says "encore ctl: unexpected argument 'now'" ctl unix:x power-button now

printf 'not a log at all, but long enough to look at: %0200d' 0 >"$WORK/foreign.enc"
: >"$WORK/empty.enc"
for file in foreign empty missing; do
    for command in 'log info' 'log dump' 'log stat' 'log verify' 'log export --json' 'checkpoint list' replay; do
        # shellcheck disable=SC2086
        check "bad input: $command, $file log" refuses $command "$WORK/$file.enc"
    done
    check "bad input: checkpoint extract, $file log" refuses checkpoint extract "$WORK/$file.enc" 0 -o "$WORK/extracted"
done
check "bad input: nothing is left behind" test ! -e "$WORK/extracted"

"$ENCORE" doctor >"$WORK/doctor"
check "doctor: guests can run, with KVM or without" test $? -eq 0
check "doctor: soft is built in" grep -q 'It is built in and needs no KVM' "$WORK/doctor"
check "doctor: says which engine auto takes" grep -qE 'guests run on (kvm|soft) here' "$WORK/doctor"
if need_kvm "doctor: KVM is usable"; then
    check "doctor: KVM is usable" grep -q '^What this means for the engine kvm' "$WORK/doctor"
else
    check "doctor: says why there is no KVM" grep -q '^The engine kvm cannot be used here: ' "$WORK/doctor"
fi

# A script through a pipe, from another system.
printf '\357\273\277wait "kv ready"\r\nline SET a b\r\nwait "OK"\r\nline GET a\r\nline QUIT\r\n' >"$WORK/dos"
piped() {
    "$ENCORE" run --engine soft --mem 24.5mib --timeout 0.5min --input - "$GUESTS/kv" <"$WORK/dos" >"$WORK/out" 2>"$WORK/err"
    code=$?
    cat "$WORK/out" "$WORK/err"
    [ $code -eq 1 ] && grep -q '^VALUE b$' "$WORK/out" && [ ! -s "$WORK/err" ]
}
# A boot sector that looks for COM2, as every Linux does, and ends: in al, 2f9h; out 0f4h, al with 0.
{
    printf '\272\371\002\354\272\364\000\260\000\356\364'
    head -c 499 /dev/zero
    printf '\125\252'
} >"$WORK/prober"
unmapped() { # PATTERN or "" for none, ARGUMENTS...
    pattern=$1
    shift
    timeout 60 "$ENCORE" "$@" </dev/null >"$WORK/out" 2>"$WORK/err"
    cat "$WORK/err"
    if [ -n "$pattern" ]; then grep -q "$pattern" "$WORK/err"; else ! grep -q 'without a device' "$WORK/err"; fi
}
check "unmapped: an unusual port is told" unmapped '2 accesses to port .* 0x2f0 (1).* 0x2f0 (1)' \
    run --engine soft --cmdline port "$GUESTS/faulty"
check "unmapped: a probe is not" unmapped '' run --engine soft "$WORK/prober"
check "unmapped: with --verbose it is" unmapped '1 access to port .* read 0x2f9 (1)' run --engine soft --verbose "$WORK/prober"
check "unmapped: with record -v, too" unmapped '1 access to port .* read 0x2f9 (1)' \
    record --engine soft -v -o "$WORK/probes.enc" "$WORK/prober"
check "input: a script on standard input, with CRLF and a byte order mark" piped

install_tree() {
    ${MAKE:-make} --no-print-directory BUILD="$BUILD" PREFIX=/usr DESTDIR="$WORK/root" "$1"
}
check "install: make install" install_tree install
check "install: the command runs" "$WORK/root/usr/bin/encore" --version
check "install: the man page" test -s "$WORK/root/usr/share/man/man1/encore.1"
check "install: the format of logs" test -s "$WORK/root/usr/share/doc/encore/log-format.md"
check "install: a guest" cmp "$GUESTS/kv" "$WORK/root/usr/share/encore/guests/kv"
check "install: make uninstall" install_tree uninstall
check "install: uninstall leaves no file" test -z "$(find "$WORK/root" -type f)"
finish
