#!/bin/sh
# The demos check themselves.
# (tests/run: alone)
. tests/lib.sh
check "demo: records, replays and agrees" tools/demo.sh "$BUILD"
check "demo: a guest survives the death of its machine, twice" tools/demo_failover.sh "$BUILD"
finish
