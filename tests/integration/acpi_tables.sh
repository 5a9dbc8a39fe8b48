#!/bin/bash
# The firmware's ACPI tables as ACPICA reads them: its disassembler has no complaint, its compiler takes what it wrote,
# and its interpreter finds in them what was meant.
. tests/lib.sh

names=("tables are decompiled without a warning" "the DSDT compiles again" "the interpreter finds the devices")
if ! command -v iasl >/dev/null || ! command -v acpiexec >/dev/null; then
    for name in "${names[@]}"; do
        skip "$name" "iasl and acpiexec are not installed (acpica-tools)"
    done
    finish
fi

decompile() {
    local table output
    for table in xsdt facp apic facs dsdt; do
        output=$(cd "$WORK" && iasl -d "$table.dat" 2>&1) || return 1
        [ -s "$WORK/$table.dsl" ] || return 1
        if grep -iE 'warning|error|invalid|unknown|incorrect|bad' <<<"$output" "$WORK/$table.dsl"; then return 1; fi
    done
}

compile() {
    (cd "$WORK" && iasl -p again dsdt.dsl) >"$WORK/again.log" 2>&1
    cat "$WORK/again.log"
    grep -q 'Compilation successful. 0 Errors, 0 Warnings' "$WORK/again.log"
}

# The sleep state, and what lies under the bridge, and the generation.
interpret() {
    (cd "$WORK" && acpiexec -b 'evaluate \_S5_; namespace \_SB_.PCI0; evaluate \_SB_.PCI0.COM1._CRS; evaluate \_SB_.VGEN.ADDR; namespace \_GPE' dsdt.dat) \
        >"$WORK/exec.log" 2>&1 || return 1
    cat "$WORK/exec.log"
    if grep -iE 'ACPI (warning|error)|exception' "$WORK/exec.log"; then return 1; fi
    for device in COM1 RTC_ KBD_ _PRT _CRS; do
        grep -q "$device" "$WORK/exec.log" || return 1
    done
    # Where the machine's generation is, and the event of a new one.
    grep -q '00000000000EF000' "$WORK/exec.log" && grep -q '_E05 Method' "$WORK/exec.log" || return 1
    grep -q 'Package \[4\]\|[Cc]ontains 4' "$WORK/exec.log"
}

"$BUILD/tests/tools/dump_tables" "$WORK" || exit 1
check "${names[0]}" decompile
check "${names[1]}" compile
check "${names[2]}" interpret
finish
