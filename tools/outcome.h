/*
 * How a run ended, in words and as an exit code.
 *
 * The rule: a guest that writes v to port 0xf4 exits with (v << 1) | 1, as under QEMU's isa-debug-exit. A guest that
 * halts with interrupts off exits with 0, a triple fault with 4, a guest that the engine could not execute with 6, a
 * run cut short by --max-exits with 8, by --timeout with 124 (as timeout(1) does), by SIGINT, SIGTERM or SIGHUP with
 * 130.
 */
#ifndef ENCORE_TOOLS_OUTCOME_H
#define ENCORE_TOOLS_OUTCOME_H

#include <stdio.h>

#include "logs/record.h"
#include "replay/recorder.h"
#include "vmm/machine.h"

int outcome_exit_code(enum log_end_reason reason, uint32_t exit_value);

/* One line about the end on stderr; for faults, the report with registers and bytes at RIP. */
void outcome_print(struct machine *machine, enum log_end_reason reason, uint32_t exit_value, FILE *stream);

/* The accesses that no device answered, if any; with `probes` also those by which operating systems find out which
 * devices a PC has. */
void outcome_print_unmapped(const struct machine *machine, bool probes, FILE *stream);

/* That the host failed the guest's disks, if it did. */
void outcome_print_disk_errors(const struct recorder_result *result, FILE *stream);

#endif
