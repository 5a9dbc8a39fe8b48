# The scripts that kv is given.

# A day at a key-value store: of ten commands four SET, three GET, two INCR, one DEL, over 500 keys; all of them are sent
# as fast as the guest takes them. Prints the bytes that the guest is sent.
kv_commands_text() { # COUNT
    awk -v count="$1" 'BEGIN {
        for (i = 0; i < count; i++) {
            key = i * 7919 % 500
            kind = i % 10
            if (kind < 4) printf "SET user%d value-%d\n", key, i
            else if (kind < 7) printf "GET user%d\n", key
            else if (kind < 9) printf "INCR visits%d\n", key % 50
            else printf "DEL user%d\n", key
        }
        print "QUIT"
    }'
}

# Leaves the script in $work/kv.script, and the bytes it sends in $work/kv.bytes.
make_kv_script() {
    kv_commands_text "$kv_commands" >"$work/kv.bytes"
    printf 'wait "kv ready"\nfile "kv.bytes"\n' >"$work/kv.script"
    printf '# Nobody types.\nwait "this is never printed"\nline QUIT\n' >"$work/idle.script"
}
