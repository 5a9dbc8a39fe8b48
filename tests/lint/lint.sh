#!/bin/bash
# All checks that need no build. Prints one line a check, in the words of tests/run; exits with 1 if one failed.
cd "$(dirname "$0")/../.." || exit 1
mapfile -t sources < <(tests/lint/sources.sh)
failed=0

check() { # NAME COMMAND...
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        echo "ok - lint: $name"
    else
        echo "not ok - lint: $name"
        sed 's/^/    /' <<<"$output" | head -n 60
        failed=1
    fi
}

# cppcheck on what does not depend on a compiler's headers; what it cannot know of a system it does not guess at. It
# passes over _Noreturn, but knows the attribute. With --force it looks at both sides of each #if all the same.
run_cppcheck() {
    printf '%s\n' "${sources[@]}" | grep '\.c$' | grep -v '^guests/' | cppcheck -j"$(nproc)" --quiet --error-exitcode=1 \
        --enable=warning,performance,portability --inline-suppr --std=c11 --platform=unix64 -I. \
        --suppress=missingIncludeSystem '-D_Noreturn=__attribute__((noreturn))' --force --file-list=-
}

run_shells() {
    local script
    for script in tests/run tests/lint/*.sh tests/lib.sh tests/integration/*.sh tools/*.sh guests/*/*.sh .ci/run; do
        [ -e "$script" ] || continue
        case $(head -n 1 "$script") in
        *bash*) bash -n "$script" || return 1 ;;
        *) sh -n "$script" || return 1 ;;
        esac
    done
}

check "format (make format repairs it)" clang-format --dry-run -Werror "${sources[@]}"
check "one door" tests/lint/one_door.sh .
check "one door notices what it should" tests/lint/one_door.sh --self-test
check "sizes of files and functions" tests/lint/sizes.sh "${sources[@]}"
check "sizes notices what it should" tests/lint/sizes.sh --self-test
check "cppcheck" run_cppcheck
check "man page" mandoc -Tlint -Wwarning docs/encore.1
check "shell scripts parse" run_shells
exit $failed
