/* See outcome.h. */
#include "tools/outcome.h"

#include <inttypes.h>
#include <string.h>

#include "tools/disassembly.h"

int outcome_exit_code(enum log_end_reason reason, uint32_t exit_value)
{
    switch (reason) {
    case LOG_END_DEBUG_EXIT:
        return debug_exit_status(exit_value);
    case LOG_END_HALTED:
    case LOG_END_POWER_OFF:
    case LOG_END_RESET:
    case LOG_END_CONTINUED:
        return 0;
    case LOG_END_TRIPLE_FAULT:
        return 4;
    case LOG_END_ENGINE_FAULT:
        return 6;
    case LOG_END_MAX_EXITS:
        return 8;
    case LOG_END_TIMEOUT:
        return 124;
    case LOG_END_SIGNAL:
        return 130;
    }
    return 1;
}

/* What the engine refused, and what can be done about it. */
static void print_engine_fault(struct machine *machine, FILE *stream)
{
    const struct engine *engine = machine->engine;
    char text[DISASSEMBLY_TEXT];
    struct cpu_state cpu;
    struct error ignored;

    fprintf(stream, "encore: the engine %s cannot execute this guest: %s\n", engine->ops->name, engine->fault.text);
    if (engine->fault.code_length && engine_get_cpu(machine->engine, &cpu, &ignored) == 0 &&
        disassemble(&cpu, engine->fault.code, engine->fault.code_length, text))
        fprintf(stream, "  the instruction is: %s\n", text);
    machine_print_registers(machine, stream);
    if (strcmp(engine->ops->name, "soft") != 0)
        fprintf(stream, "encore: with --engine soft it will run: that engine executes every instruction by itself\n");
}

void outcome_print(struct machine *machine, enum log_end_reason reason, uint32_t exit_value, FILE *stream)
{
    switch (reason) {
    case LOG_END_DEBUG_EXIT:
        fprintf(stream, "encore: the guest exited: it wrote %" PRIu32 " to port 0xf4 (exit code %u)\n", exit_value,
                debug_exit_status(exit_value));
        break;
    case LOG_END_TRIPLE_FAULT:
        fprintf(stream, "encore: the guest triple-faulted: an exception could not be delivered, nor the double fault "
                        "that followed\n");
        machine_print_registers(machine, stream);
        break;
    case LOG_END_ENGINE_FAULT:
        print_engine_fault(machine, stream);
        break;
    case LOG_END_HALTED:
        fprintf(stream, "encore: the guest halted with interrupts off\n");
        break;
    case LOG_END_MAX_EXITS:
        fprintf(stream, "encore: stopped by --max-exits\n");
        break;
    case LOG_END_TIMEOUT:
        fprintf(stream, "encore: stopped by --timeout\n");
        break;
    case LOG_END_SIGNAL:
        fprintf(stream, "encore: stopped by the user\n");
        break;
    case LOG_END_POWER_OFF:
        fprintf(stream, "encore: the guest turned the machine off\n");
        break;
    case LOG_END_RESET:
        fprintf(stream, "encore: the guest reset the machine\n");
        break;
    case LOG_END_CONTINUED:
        fprintf(stream, "encore: the run goes on in the next segment of the log\n");
        break;
    }
}

/* Ports of a PC where an operating system looks whether there is a device, and goes on if there is none. */
static const struct {
    uint16_t first, last;
} probed[] = {
    {0x2e8, 0x2ef}, {0x2f8, 0x2ff}, {0x3e8, 0x3ef}, /* COM4, COM2 and COM3 */
    {0x278, 0x27f}, {0x378, 0x37f}, {0x3bc, 0x3bf}, /* parallel ports; ISA Plug and Play has 279h, too, and: */
    {0x203, 0x203}, {0xa79, 0xa79},                 /* ... these */
    {0x3f0, 0x3f5}, {0x3f7, 0x3f7},                 /* the floppy disk controller */
};

static bool is_probe(const struct machine *machine, const struct bus *bus, const struct bus_unmapped *access)
{
    for (size_t i = 0; bus == &machine->ports && i < sizeof probed / sizeof probed[0]; i++) {
        if (access->address >= probed[i].first && access->address <= probed[i].last)
            return true;
    }
    return false;
}

static void print_bus(const struct machine *machine, const struct bus *bus, bool probes, FILE *stream)
{
    uint64_t total = bus->unmapped_total;

    for (unsigned i = 0; !probes && i < bus->unmapped_count; i++) {
        if (is_probe(machine, bus, &bus->unmapped[i]))
            total -= bus->unmapped[i].count;
    }
    if (total == 0)
        return;
    fprintf(stream, "encore: %" PRIu64 " access%s to %s addresses without a device (reads give all ones):", total,
            total == 1 ? "" : "es", bus->name);
    for (unsigned i = 0; i < bus->unmapped_count; i++) {
        const struct bus_unmapped *access = &bus->unmapped[i];
        if (probes || !is_probe(machine, bus, access))
            fprintf(stream, " %s 0x%" PRIx64 " (%" PRIu64 ")", access->write ? "write" : "read", access->address,
                    access->count);
    }
    fprintf(stream, "%s\n", bus->unmapped_count == BUS_UNMAPPED ? " and perhaps others" : "");
}

void outcome_print_unmapped(const struct machine *machine, bool probes, FILE *stream)
{
    print_bus(machine, &machine->ports, probes, stream);
    print_bus(machine, &machine->memory, probes, stream);
}

void outcome_print_disk_errors(const struct recorder_result *result, FILE *stream)
{
    if (result->disk_errors)
        fprintf(stream,
                "encore: the host failed %" PRIu64 " times in what the guest's disks needed, and the guest saw "
                "disk errors; the first time: %s\n",
                result->disk_errors, result->disk_error.text);
}
