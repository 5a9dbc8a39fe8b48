/* One instruction in words, for reports. */
#ifndef ENCORE_TOOLS_DISASSEMBLY_H
#define ENCORE_TOOLS_DISASSEMBLY_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/cpu_state.h"

#define DISASSEMBLY_TEXT 96

/* The instruction whose bytes begin at code[0], as the processor in this state would take them, in Intel's syntax.
 * Returns false when they are none, or too few. */
bool disassemble(const struct cpu_state *cpu, const uint8_t *code, size_t length, char text[DISASSEMBLY_TEXT]);

#endif
