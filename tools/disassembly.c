#include "tools/disassembly.h"

#include <Zydis/Zydis.h>
#include <stdio.h>

/* Which of its modes the processor decodes in: SDM volume 3, 3.4.5 (L and D) and 20.1. */
static ZydisMachineMode machine_mode(const struct cpu_state *cpu)
{
    if (!(cpu->cr0 & CR0_PE))
        return ZYDIS_MACHINE_MODE_REAL_16;
    bool wide = cpu->cs.attributes & SEGMENT_DB;
    if (!(cpu->efer & EFER_LMA))
        return wide ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16;
    if (cpu->cs.attributes & SEGMENT_L)
        return ZYDIS_MACHINE_MODE_LONG_64;
    return wide ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 : ZYDIS_MACHINE_MODE_LONG_COMPAT_16;
}

bool disassemble(const struct cpu_state *cpu, const uint8_t *code, size_t length, char text[DISASSEMBLY_TEXT])
{
    ZydisDisassembledInstruction instruction;

    if (!ZYAN_SUCCESS(ZydisDisassembleIntel(machine_mode(cpu), cpu->rip, code, length, &instruction)))
        return false;
    snprintf(text, DISASSEMBLY_TEXT, "%s", instruction.text);
    return true;
}
