# For integration tests in shell: `. tests/lib.sh`, from the repository's root, where tests/run starts them.
#
# A test says what it found in lines that tests/run counts:  ok - NAME   not ok - NAME   skip - NAME: REASON
# What tests/run gives it (the defaults are for running one by hand):
#   BUILD    the build directory      ENCORE   the command
#   GUESTS   our built guests         WORK     an empty directory, removed afterwards
#   SANITIZED is 1 when the command was built with sanitizers, and so is slower.
BUILD=${BUILD:-build}
ENCORE=${ENCORE:-$BUILD/encore}
GUESTS=${GUESTS:-$BUILD/guests}
if [ -z "${WORK:-}" ]; then
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
fi
# Hashes of disks are remembered here, and not in the user's own cache.
export XDG_CACHE_HOME=$WORK/cache
failures=0

ok() { echo "ok - $1"; }
not_ok() { # NAME [WHAT IS WRONG]
    echo "not ok - $1"
    [ $# -lt 2 ] || printf '%s\n' "$2" | sed 's/^/    /'
    failures=$((failures + 1))
}
skip() { echo "skip - $1: $2"; }

# check NAME COMMAND...: ok if the command exits with 0; otherwise its output is shown.
check() {
    name=$1
    shift
    if output=$("$@" 2>&1); then ok "$name"; else not_ok "$name" "$output"; fi
}

# check_exit CODE NAME COMMAND...: ok if the command exits with CODE.
check_exit() {
    expected=$1
    name=$2
    shift 2
    output=$("$@" 2>&1)
    code=$?
    if [ $code -eq "$expected" ]; then ok "$name"; else not_ok "$name" "exit code $code, not $expected: $output"; fi
}

# need_kvm NAME...: where there is no usable /dev/kvm, skips the tests of these names and returns 1.
need_kvm() {
    [ -r /dev/kvm ] && [ -w /dev/kvm ] && return 0
    for name in "$@"; do
        skip "$name" "/dev/kvm is missing or may not be opened"
    done
    return 1
}

# At the end of a test.
finish() { exit $((failures > 0)); }
