#!/bin/bash
# When a running guest is stopped for what is outside of it, and when it is not worth it: boot sectors of a few
# instructions each, which make it hard.
# (tests/run: alone)
. tests/lib.sh
. tests/tools/recording.sh
each_engine

# sector FILE HEX...: a boot sector of this code.
sector() {
    local file=$1 code=${*:2}
    code=${code// /}
    {
        printf '%b' "$(sed 's/../\\x&/g' <<<"$code")"
        head -c $((510 - ${#code} / 2)) /dev/zero
        printf '\125\252'
    } >"$file"
}

# cli; xor ax, ax; mov ds, ax; mov ss, ax; mov sp, 0x7000; the handler of vector 8 at 0:0x7cNN, NN to follow
begin='fa 31c0 8ed8 8ed0 bc0070 c7062000'
# ... its segment; and the first 8259A: vectors from 8 on, IRQ 0 open
pic='c70622000000 b011e620 b008e621 b004e621 b001e621 b0fee621'

# --- an interrupt waits that the guest does not take: telling it the time again and again would be in vain
# mode 2 of the 8254's first channel, 1193 counts: 1 kHz; jmp .; and the handler: iret
sector "$WORK/deaf" "$begin 387c $pic b034e643 b0a9e640 b004e640 ebfe cf"
deaf() {
    encore record --engine "$ENGINE" --force -o "$WORK/deaf.enc" --timeout 500ms "$WORK/deaf" </dev/null >"$WORK/deaf.all" 2>&1
    "$ENCORE" log dump "$WORK/deaf.enc" >"$WORK/deaf.dump"
    times=$(grep -c ': TIME ' "$WORK/deaf.dump")
    ms=$("$ENCORE" log info "$WORK/deaf.enc" | sed -n 's/^guest time *\([0-9]*\)\.\([0-9]\{3\}\).*/\1\2/p' | sed 's/^0*//')
    echo "$times records of the time in $ms ms"
    [ "$times" -gt 0 ] && [ "$times" -le $((ms + ms / 2 + 20)) ] && "$ENCORE" replay --verify "$WORK/deaf.enc"
}
need_engine "a tick that is not taken costs one record" && check "a tick that is not taken costs one record" deaf

# --- exits that move a device's deadline do not move the time of the next stop
# cli; mode 0 of the 8254's first channel, set again and again
sector "$WORK/restless" 'fa b030e643 b0ff e640 e640 ebf8'
restless() {
    for round in 1 2 3 4 5; do
        timeout --kill-after=1 20 "$ENCORE" run --engine "$ENGINE" --timeout 50ms "$WORK/restless" </dev/null >"$WORK/restless.all" 2>&1
        [ $? -eq 124 ] && grep -q "stopped by --timeout" "$WORK/restless.all" || { echo "round $round"; cat "$WORK/restless.all"; return 1; }
    done
}
need_engine "a guest that sets its timer all the time is stopped" && check "a guest that sets its timer all the time is stopped" restless

# --- what is printed after a sleep leaves, with the virtual clock too
# mode 0, 4096 counts; sti; hlt; prints x and a new line; jmp .; and the handler: its EOI
sector "$WORK/sleeper" "$begin 437c $pic b030e643 b000e640 b010e640 fb f4 baf803 b078ee b00aee ebfe 50 b020e620 58 cf"
sleeper() {
    "$ENCORE" run --engine soft --clock virtual "$WORK/sleeper" </dev/null >"$WORK/sleeper.out" 2>"$WORK/sleeper.err" &
    pid=$!
    said=1
    for _ in $(seq 100); do
        grep -q x "$WORK/sleeper.out" && said=0 && break
        sleep 0.1
    done
    kill $pid # its end would let the output out, too
    wait $pid
    return $said
}
[ "$ENGINE" = soft ] && check "what is printed after a sleep leaves" sleeper
finish
