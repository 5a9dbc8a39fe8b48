#!/bin/sh
# The demo checks itself.
. tests/lib.sh
check "demo: records, replays and agrees" tools/demo.sh "$BUILD"
finish
