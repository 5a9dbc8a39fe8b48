#!/bin/sh
# encore log and encore checkpoint on a real recording: whole, cut off, damaged, growing.
. tests/lib.sh

log=$WORK/kv.enc
cat >"$WORK/script" <<'END'
wait "kv ready\n"
repeat 200
  line SET key%d value%d
  wait "OK\n"
end
line RANDOM
wait "RANDOM "
line QUIT
END
"$ENCORE" record --checkpoint-every 5ms --input "$WORK/script" -o "$log" "$GUESTS/kv" >"$WORK/recorded" 2>&1
[ -s "$log" ] || { not_ok "log tools: the recording" "$(cat "$WORK/recorded")"; finish; }
digest=$(sed -n 's/^digest //p' "$WORK/recorded")
size=$(wc -c <"$log")

# --- a whole log
check "verify: whole" "$ENCORE" log verify "$log"
"$ENCORE" log info "$log" >"$WORK/info"
check "info: the digest that was recorded" grep -q "^digest *$digest\$" "$WORK/info"
check "info: how it ended" grep -q '^end *debug exit, exit value 0, at exit ' "$WORK/info"
check "info: the image" grep -q "^image .*/kv\$" "$WORK/info"
"$ENCORE" log dump "$log" >"$WORK/dump"
records=$(sed -n 's/^records *//p' "$WORK/info")
check "dump: a line for each record, and one above" test "$(wc -l <"$WORK/dump")" -eq $((records + 1))
check "dump: the last is END" sh -c "tail -n 1 '$WORK/dump' | grep -q END"
"$ENCORE" log dump --type CONSOLE_IN "$log" >"$WORK/typed"
check "dump: --type" sh -c "[ \$(grep -c CONSOLE_IN '$WORK/typed') = \$(grep -c CONSOLE_IN '$WORK/dump') ] &&
    ! grep -q TIME '$WORK/typed' && grep -q 'SET key3 value3' '$WORK/typed'"
"$ENCORE" log dump --from-record 3 --limit 2 "$log" >"$WORK/two"
sed -n '1p;5,6p' "$WORK/dump" >"$WORK/two.expected"
check "dump: --from-record and --limit" cmp "$WORK/two" "$WORK/two.expected"
"$ENCORE" log export --json "$log" >"$WORK/json"
check "export: the header first, END last, an object a line" sh -c "head -n 1 '$WORK/json' | grep -q '\"type\":\"HEADER\"' &&
    tail -n 1 '$WORK/json' | grep -q '\"type\":\"END\"' &&
    [ \$(grep -c '^{.*}\$' '$WORK/json') = $((records + 1)) ]"
"$ENCORE" log stat "$log" >"$WORK/stat"
check "stat: its parts make up the file" awk -v size="$size" '
    /^in the file/ { sum = 0; parts = 1; next }
    parts && /^all/ { total = $2; parts = 0 }
    parts && NF { sum += $0 ~ /^(header|records)/ ? $2 : $3 }
    END { exit !(sum == size && total == size) }' "$WORK/stat"
check "stat: its types make up all records" awk -v records="$records" '
    /^all/ && !done { total = $2; done = 1 }
    /^[A-Z_]+ / { sum += $2 }
    END { exit !(sum == records && total == records) }' "$WORK/stat"

# --- checkpoints
"$ENCORE" checkpoint list "$log" >"$WORK/list"
count=$(sed -n 's/^checkpoints *//p' "$WORK/info")
check "checkpoint list: all of them" test "$(wc -l <"$WORK/list")" -eq $((count + 1))
last=$((count - 1))
check "checkpoint extract" "$ENCORE" checkpoint extract "$log" $last -o "$WORK/extracted"
check "checkpoint extract: all of memory" test "$(wc -c <"$WORK/extracted/ram.bin")" -eq 67108864
check "checkpoint extract: what was typed is in memory" grep -q value5 "$WORK/extracted/ram.bin"
check "checkpoint extract: the state" sh -c "for part in cpu machine outputs engine; do
    grep -q \"^\[\$part\]\" '$WORK/extracted/state.txt' || exit 1; done"
check_exit 2 "checkpoint extract: never over something else" "$ENCORE" checkpoint extract "$log" 0 -o "$WORK/extracted"
check_exit 2 "checkpoint extract: no such checkpoint" "$ENCORE" checkpoint extract "$log" 9999 -o "$WORK/none"
check_exit 1 "checkpoint extract: a full disk" sh -c "trap '' XFSZ; ulimit -f 8; exec '$ENCORE' checkpoint extract '$log' $last -o '$WORK/none'"
check "checkpoint extract: nothing half-written" sh -c "! ls -d '$WORK'/none* 2>/dev/null"

# A log that ends without its index has its END all the same; one that breaks off before has not; and which it is, is told.
extract_from() { # FILE ID EXPECTED-CODE TEXT
    rm -rf "$WORK/extracted"
    "$ENCORE" checkpoint extract "$1" "$2" -o "$WORK/extracted" >"$WORK/out" 2>"$WORK/err"
    code=$?
    cat "$WORK/err"
    [ $code -eq "$3" ] && [ "$(wc -l <"$WORK/err")" -eq 1 ] && grep -q "$4" "$WORK/err" || return 1
    [ "$3" -ne 0 ] || [ -s "$WORK/extracted/state.txt" ]
}
end_at=$("$ENCORE" log dump --type END "$log" | awk 'NR == 2 { print $3 }')
head -c $((size - 20)) "$log" >"$WORK/no-index.enc"
head -c "$end_at" "$log" >"$WORK/no-end.enc"
check "checkpoint extract: a log with END, without index" extract_from "$WORK/no-index.enc" $last 0 'END included, are readable'
check "checkpoint extract: a log without END" extract_from "$WORK/no-end.enc" $last 0 'breaks off'
check "checkpoint extract: no such checkpoint before the END" extract_from "$WORK/no-index.enc" 9999 4 \
    'holds no checkpoint 9999; .*END included, are readable'
check "checkpoint extract: no such checkpoint where it breaks off" extract_from "$WORK/no-end.enc" 9999 4 \
    'holds no checkpoint 9999; .*breaks off'
mkdir "$WORK/taken"
check_exit 2 "checkpoint extract: what has nothing to do with that stays bad input" \
    "$ENCORE" checkpoint extract "$WORK/no-end.enc" $last -o "$WORK/taken"
check "checkpoint extract: a whole log has nothing said about it" sh -c "rm -rf '$WORK/extracted' &&
    [ -z \"\$('$ENCORE' checkpoint extract '$log' $last -o '$WORK/extracted' 2>&1 >/dev/null)\" ]"

# --- logs that break off: each command says all that is readable, then where it stops, and exits with 4
stops() { # CODE COMMAND...: this exit code, and one sentence that names the command
    expected=$1
    shift
    "$ENCORE" "$@" >"$WORK/out" 2>"$WORK/err"
    code=$?
    cat "$WORK/err"
    [ $code -eq "$expected" ] || return 1
    case $* in *--verify*) sentence=$WORK/out ;; *) sentence=$WORK/err ;; esac
    case $* in
    *--verify*) tail -n 1 "$sentence" | grep -q '^identical so far: [0-9]* records, to [0-9.]* s; then the log breaks off (.*)$' &&
        [ ! -s "$WORK/err" ] ;;
    replay*) grep -q '^encore replay: identical so far: ' "$sentence" ;;
    *) grep -q "^encore $1 $2: " "$sentence" ;;
    esac || return 1
    [ "$sentence" = "$WORK/out" ] || [ "$(wc -l <"$sentence")" -eq 1 ]
}
# all_stop CODE LOG [OPTION]: the commands that read a whole log agree about it.
all_stop() {
    for command in 'log verify' 'log info' 'log dump' 'log stat' 'log export --json' "log export --cast $WORK/cast" \
        'checkpoint list' replay 'replay --verify'; do
        # shellcheck disable=SC2086
        stops "$1" $command $3 "$2" || { echo "$command $3: exit code $code, not $1"; return 1; }
    done
}
last_frame=$(tail -n 1 "$WORK/dump" | awk '{ print $3 }')
cut_logs() {
    for at in $((size / 100)) $((size / 10)) $((size / 3)) $((size * 6 / 10)) $((size * 85 / 100)) "$last_frame" \
        $((last_frame + 40)) $((size - 50)) $((size - 1)); do
        head -c "$at" "$log" >"$WORK/cut.enc"
        all_stop 4 "$WORK/cut.enc" && all_stop 0 "$WORK/cut.enc" --partial || { echo "cut at byte $at of $size"; return 1; }
    done
}
check "cut off: every command stops with one sentence and 4, or 0 with --partial" cut_logs
check "cut off: dump --limit before that needs no end" "$ENCORE" log dump --limit 1 "$WORK/cut.enc"
check "cut off: a checkpoint before that can be extracted" "$ENCORE" checkpoint extract "$WORK/cut.enc" 0 -o "$WORK/early"
head -c $((size / 10)) "$log" >"$WORK/cut.enc"
check_exit 4 "cut off: a checkpoint behind that cannot" "$ENCORE" checkpoint extract "$WORK/cut.enc" $last -o "$WORK/late"
check_exit 4 "cut off: nor can a replay begin there" "$ENCORE" replay --from $last "$WORK/cut.enc"
head -c $((size * 90 / 100)) "$log" >"$WORK/cut.enc"
"$ENCORE" log dump "$WORK/cut.enc" >"$WORK/cut.dump" 2>/dev/null
lines=$(wc -l <"$WORK/cut.dump")
head -n "$lines" "$WORK/dump" >"$WORK/cut.expected"
check "cut off: what is readable is what was there" cmp "$WORK/cut.dump" "$WORK/cut.expected"
check "cut off: something is readable" test "$lines" -gt 2

flip() { # OFFSET: one bit of a copy of the log
    cp "$log" "$WORK/flipped.enc"
    byte=$(od -An -tu1 -j "$1" -N 1 "$log")
    # shellcheck disable=SC2059
    printf "\\$(printf %03o $((byte ^ 16)))" | dd of="$WORK/flipped.enc" bs=1 seek="$1" conv=notrunc 2>/dev/null
}
header=$(od -An -tu4 -j 12 -N 4 "$log" | tr -d ' ')
flips() {
    for part in 0 1 5 20 40 60 80 95 99; do
        flip $((size * part / 100))
        if [ $((size * part / 100)) -lt "$header" ]; then
            stops 2 log verify "$WORK/flipped.enc"
        else
            all_stop 4 "$WORK/flipped.enc" && all_stop 4 "$WORK/flipped.enc" --partial
        fi || { echo "a flip at $part %: exit code $code"; return 1; }
    done
}
check "flipped bits: every command notices each, and --partial is not for that" flips
cp "$log" "$WORK/longer.enc" && echo more >>"$WORK/longer.enc"
check "something behind the end: every command notices it" all_stop 4 "$WORK/longer.enc"

# --- a growing log
head -c $((size / 2)) "$log" >"$WORK/growing.enc"
"$ENCORE" log dump --follow "$WORK/growing.enc" >"$WORK/followed" &
follower=$!
sleep 0.3
tail -c +$((size / 2 + 1)) "$log" >>"$WORK/growing.enc"
wait $follower
check "follow: ends with END" test $? -eq 0
check "follow: gives what the whole log gives" cmp "$WORK/followed" "$WORK/dump"
head -c $((size / 2)) "$log" >"$WORK/growing.enc"
# A shell starts its background processes with SIGINT ignored; SIGTERM is treated the same.
"$ENCORE" log dump --follow "$WORK/growing.enc" >"$WORK/followed" &
follower=$!
sleep 0.3
kill -TERM $follower
wait $follower
check "follow: a signal ends it in good order" test $? -eq 0
finish
