/* The machine as a whole: its field list, its digest, and its registers for a human. */
#include <inttypes.h>

#include "base/check.h"
#include "vmm/machine_internal.h"

void machine_visit(struct machine *machine, struct cpu_state *cpu, struct state *state)
{
    cpu_state_visit(cpu, state);
    state_section(state, "machine", 1);
    state_u64(state, "now", &machine->now);
    state_u64(state, "exits", &machine->engine->exits);
    lapic_state(&machine->lapic, state);
    ioapic82093_state(&machine->ioapic, state);
    i8259_state(&machine->pic, state);
    pit8254_state(&machine->pit, state);
    port61_state(&machine->port61, state);
    port92_state(&machine->port92, state);
    mc146818_state(&machine->rtc, state);
    uart16550_state(&machine->com1, state);
    i8042_state(&machine->i8042, state);
    acpi_pm_state(&machine->pm, state);
    vmgenid_state(&machine->vmgenid, state);
    reset_port_state(&machine->reset_port, state);
    machine_pci_state(machine, state);
    entropy_port_state(&machine->entropy, state);
    debug_exit_state(&machine->debug_exit, state);
    post_port_state(&machine->post, state);
    fw_cfg_state(&machine->fw_cfg, state);
    if (ide_channel_is_used(&machine->ide))
        ide_channel_state(&machine->ide, state);
    for (unsigned i = 0; i < machine->disk_count; i++)
        disk_state(&machine->disks[i], state);
}

int machine_ram_digest(struct machine *machine, struct digest *digest, struct error *error)
{
    if (engine_collect_dirty(machine->engine, error) < 0)
        return -1;
    page_digests_update(&machine->digests, &machine->ram);
    *digest = machine->digests.sum;
    return 0;
}

int machine_digest(struct machine *machine, struct digest *digest, struct error *error)
{
    struct bytes_writer saved = bytes_writer(64 * 1024);
    struct state state = state_save(&saved);
    struct cpu_state cpu;
    struct digest ram;
    int result = -1;

    if (machine_ram_digest(machine, &ram, error) == 0 && engine_get_cpu(machine->engine, &cpu, error) == 0) {
        machine_visit(machine, &cpu, &state);
        if (state_end(&state, error) == 0) {
            bytes_put_uint(&saved, 8, ram.low);
            bytes_put_uint(&saved, 8, ram.high);
            *digest = digest_of(saved.data, saved.length, 0);
            result = saved.failed ? error_set(error, ERROR_HOST, "out of memory") : 0;
        }
    }
    bytes_writer_free(&saved);
    return result;
}

void machine_forget_changes(struct machine *machine)
{
    page_digests_forget_changes(&machine->digests, &machine->ram);
    for (unsigned i = 0; i < machine->disk_count; i++)
        disk_forget_changes(&machine->disks[i]);
}

static void print_code(struct machine *machine, const struct cpu_state *cpu, FILE *stream)
{
    const struct engine_fault *fault = &machine->engine->fault;

    if (fault->code_length) {
        fprintf(stream, "  code at rip:");
        for (unsigned i = 0; i < fault->code_length; i++)
            fprintf(stream, " %02x", fault->code[i]);
        fputc('\n', stream);
        return;
    }
    /* Without a walk through the page tables this is right for identity mapped code, and says so. */
    const uint8_t *code = ram_pointer(&machine->ram, cpu->cs.base + cpu->rip, 16);
    if (code) {
        fprintf(stream, "  memory at physical rip:");
        for (unsigned i = 0; i < 16; i++)
            fprintf(stream, " %02x", code[i]);
        fputc('\n', stream);
    }
}

void machine_print_registers(struct machine *machine, FILE *stream)
{
    struct cpu_state cpu;
    struct error error;

    if (engine_get_cpu(machine->engine, &cpu, &error) < 0) {
        fprintf(stream, "  the registers cannot be read: %s\n", error.text);
        return;
    }
    fprintf(stream, "  rip 0x%016" PRIx64 "  rflags 0x%08" PRIx64 "  cs 0x%04x  ss 0x%04x\n", cpu.rip, cpu.rflags,
            cpu.cs.selector, cpu.ss.selector);
    for (unsigned i = 0; i < CPU_GPRS; i++)
        fprintf(stream, "%s%-3s 0x%016" PRIx64 "%s", i % 4 == 0 ? "  " : "  ", cpu_gpr_names[i], cpu.gprs[i],
                i % 4 == 3 ? "\n" : "");
    fprintf(stream,
            "  cr0 0x%08" PRIx64 "  cr2 0x%016" PRIx64 "  cr3 0x%016" PRIx64 "  cr4 0x%08" PRIx64 "  efer 0x%" PRIx64
            "\n",
            cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4, cpu.efer);
    print_code(machine, &cpu, stream);
}
