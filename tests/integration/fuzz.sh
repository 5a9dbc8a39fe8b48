#!/bin/bash
# A fixed number of random inputs for each fuzz target: the same ones each time. `make fuzz` is the search for more.
. tests/lib.sh

[ "${SANITIZED:-}" = 1 ] && part=10 || part=1
run() { # NAME INPUTS
    timeout 300 "$BUILD/tests/fuzz/$1" --seed 1 --runs $(($2 / part)) || failures=$((failures + 1))
}

run fuzz_soft_run 3000
run fuzz_soft_decode 50000
run fuzz_devices 2000
run fuzz_virtio 60000
run fuzz_log_reader 5000
run fuzz_checkpoint 5000
run fuzz_bundle 20000
run fuzz_replication 50000
finish
