#!/bin/bash
# The system table, whose rules are the SDM's (docs/soft-engine.md, section 6), on this host's KVM: what soft agrees with in
# the unit tests, KVM is asked too. Some of it every KVM can do, and has to. Of the rest many a KVM cannot do all, above
# all one that emulates kernel code: those tests are skipped, with the first case in which KVM is not as the SDM.
. tests/lib.sh

everywhere=' test_loads test_odd_selectors test_limits test_lmsw test_sysenter test_instruction_breakpoints test_accessed_bit_in_code '
if [ "${SANITIZED:-0}" = 1 ]; then
    skip "system table on KVM" "it is run without the sanitizers"
    finish
fi
need_kvm "system table on KVM" || finish

for part in paging segments gates tasks control debug; do
    program=$BUILD/tests/unit/test_soft_system_$part
    if ! log=$(${MAKE:-make} --no-print-directory BUILD="$BUILD" "$program" 2>&1); then
        not_ok "system table on KVM: $part" "$log"
        continue
    fi
    STAGE_ENGINE=kvm CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$program" >"$WORK/log" 2>&1
    again="again: STAGE_ENGINE=kvm $program"
    grep -q '^\(not \)\?ok ' "$WORK/log" || not_ok "system table on KVM: $part" "$(tail -n 5 "$WORK/log")
$again"
    departs='' first=''
    while read -r verdict name why; do
        if [ "$verdict" = ok ]; then
            ok "system table on KVM: $part: $name"
        elif [[ $everywhere == *" $name "* ]]; then
            not_ok "system table on KVM: $part: $name" "$why
$again"
        else
            departs="$departs${departs:+, }$name"
            first=${first:-$why}
        fi
    done < <(awk '
        function flush() { if (name) print verdict, name, why; name = "" }
        /^ERROR: / { error = substr($0, 8) }
        /^ok / { flush(); verdict = "ok"; name = $NF; why = ""; error = "" }
        /^not ok / { flush(); verdict = "not"; name = $NF; why = error; error = "" }
        /^# / && !why && verdict == "not" { why = substr($0, 3) }
        END { flush() }' "$WORK/log")
    [ -z "$departs" ] || skip "system table on KVM: $part: $departs" "this KVM is not as the SDM; the first case: $first"
done
finish
