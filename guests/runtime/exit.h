/*
 * How a guest ends: a 4-byte write to the debug-exit port. The monitor's exit status is (value << 1) | 1, as with
 * QEMU's isa-debug-exit device, so a guest's 0 is the host's 1.
 */
#ifndef GUEST_RUNTIME_EXIT_H
#define GUEST_RUNTIME_EXIT_H

#include <stdint.h>

#include "guests/runtime/cpu.h"
#include "vmm/boot/boot_info.h"

#define EXIT_SUCCESS 0u
#define EXIT_FAILURE 1u
#define EXIT_USAGE   2u
#define EXIT_PANIC   100u /* an exception that nobody handles */
#define EXIT_NO_INFO 101u /* the boot-info page is not one that we know */

_Noreturn static inline void guest_exit(uint32_t value)
{
    port_out32(BOOT_PORT_DEBUG_EXIT, value);
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

#endif
