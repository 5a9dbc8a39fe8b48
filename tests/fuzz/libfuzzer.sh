#!/bin/bash
# Builds fuzz targets with clang's libFuzzer and sanitizers, and runs each for some time: `make fuzz TIME=600`.
# Usage: LIBS="-lNAME..." tests/fuzz/libfuzzer.sh SECONDS TARGET...     What is found, and the corpora, stay in build-fuzz.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=$1
shift
if ! command -v clang >/dev/null; then
    echo "fuzz: needs clang (and libclang-rt-14-dev) of Debian 12" >&2
    exit 1
fi
# One library for all targets. A target may define functions that the library has too; then its own are taken.
library=build-fuzz/lib/libencore.a
flags=(-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all)
make --no-print-directory -j"$(nproc)" CC=clang BUILD=build-fuzz/lib CFLAGS="${flags[*]} -fsanitize=fuzzer-no-link" \
    "$library" || exit 1
failed=0
for target in "$@"; do
    mkdir -p "build-fuzz/$target.corpus"
    more=()
    [ "$target" = fuzz_soft_run ] && more=(tests/fuzz/soft_world.c)
    [ "$target" = fuzz_soft_decode ] && more=(tests/soft/lengths.c)
    clang -std=gnu17 -D_GNU_SOURCE -I. "${flags[@]}" -fsanitize=fuzzer -o "build-fuzz/$target" "tests/fuzz/$target.c" \
        "${more[@]}" "$library" $LIBS || exit 1
    if "build-fuzz/$target" -max_len=300 -len_control=0 -timeout=10 -max_total_time="$seconds" -print_final_stats=1 \
        -artifact_prefix="build-fuzz/$target-" "build-fuzz/$target.corpus" >"build-fuzz/$target.log" 2>&1; then
        echo "fuzz: $target: nothing found in $seconds s; $(grep -o 'number_of_executed_units: .*' "build-fuzz/$target.log")"
    else
        tail -n 30 "build-fuzz/$target.log"
        failed=1
    fi
done
exit $failed
