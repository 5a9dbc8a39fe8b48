#!/bin/sh
# The demo checks itself.
. tests/lib.sh
need_kvm "demo: records, replays and agrees" || finish
check "demo: records, replays and agrees" tools/demo.sh "$BUILD"
finish
