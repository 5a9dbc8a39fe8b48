#!/bin/sh
# Files have at most 500 lines and functions at most 70, braces included: what one can read at one sitting. Files of
# tests, which are read a case at a time, may have 650.
# Our functions begin and end with a brace in the first column (.clang-format sees to it).
# Usage: sizes.sh FILE...   or   sizes.sh --self-test

check() {
    awk -v function_max=70 '
        FNR == 1 { start = 0; file_max = FILENAME ~ /^tests\// ? 650 : 500 }
        /^\{$/ { start = FNR; header = before }
        /^\}/ && start {
            if (FNR - start + 1 > function_max) {
                printf "%s:%d: a function of %d lines: %s\n", FILENAME, start, FNR - start + 1, header
                bad = 1
            }
            start = 0
        }
        FNR == file_max + 1 { printf "%s: more than %d lines\n", FILENAME, file_max; bad = 1 }
        { before = $0 }
        END { exit bad }
    ' "$@"
}

self_test() {
    directory=$(mktemp -d) || exit 1
    trap 'rm -rf "$directory"' EXIT
    { echo 'int good(void)'; echo '{'; yes '    ;' | head -n 68; echo '}'; } >"$directory/good.c"
    { echo 'int bad(void)'; echo '{'; yes '    ;' | head -n 69; echo '}'; } >"$directory/long_function.c"
    yes 'int x;' | head -n 500 >"$directory/full.c"
    yes 'int x;' | head -n 501 >"$directory/long_file.c"
    check "$directory/good.c" "$directory/full.c" || { echo "good files are refused"; exit 1; }
    for bad in long_function long_file; do
        if check "$directory/good.c" "$directory/$bad.c" >/dev/null; then
            echo "$bad is not noticed"
            exit 1
        fi
    done
}

if [ "$1" = --self-test ]; then
    self_test
else
    check "$@"
fi
