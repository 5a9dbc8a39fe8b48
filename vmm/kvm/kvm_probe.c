/*
 * What can be trusted on this host: tiny known programs, run before the guest on the guest's own vCPU.
 *
 * The program is long-mode code at CPL0 (and once at CPL3) in a page of its own; every instruction of it is known, so
 * every count and every stop has one right answer. A facility that gives another is not used.
 */
#include "vmm/kvm/kvm_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/bytes.h"

#define PROBE_SLOT  1
#define PROBE_BYTES 0x8000u
#define PML4_AT     0x1000u
#define PDPT_AT     0x2000u
#define PD_AT       0x3000u
#define GDT_AT      0x5000u
#define CODE_AT     0x6000u
#define DATA_AT     0x7000u
#define STACK_AT    0x8000u
#define LOOPS       500u

/*  mov ecx, LOOPS; again: dec ecx; jnz again; mov [DATA_AT], cl; out 0x80, al */
static const uint8_t count_code[] = {0xb9, LOOPS & 0xff, LOOPS >> 8, 0,    0,    0xff, 0xc9, 0x75, 0xfc,
                                     0x88, 0x0c,         0x25,       0x00, 0x70, 0x00, 0x00, 0xe6, 0x80};
#define COUNT_INSTRUCTIONS (1 + 2 * LOOPS + 2)
#define COUNT_BRANCHES     LOOPS
#define COUNT_LOOP_AT      (CODE_AT + 5) /* "again" */

/*  nop; sti; nop; nop; nop; out 0x80, al */
#define WINDOW_AT (CODE_AT + 0x100)
static const uint8_t window_code[] = {0x90, 0xfb, 0x90, 0x90, 0x90, 0xe6, 0x80};
#define WINDOW_TAKEN_AT (WINDOW_AT + 3) /* after the one instruction that STI shadows */

static uint64_t probe_read(void *context, enum engine_space space, uint64_t address, unsigned size)
{
    (void)context, (void)space, (void)address, (void)size;
    return UINT64_MAX;
}

static void probe_write(void *context, enum engine_space space, uint64_t address, unsigned size, uint64_t value)
{
    (void)context, (void)space, (void)address, (void)size, (void)value;
}

static void write_program(uint8_t *memory)
{
    bytes_store(memory + PML4_AT, 8, PDPT_AT | 7);
    bytes_store(memory + PDPT_AT, 8, PD_AT | 7);
    bytes_store(memory + PD_AT, 8, 0x87); /* 2 MiB, user, writable */
    bytes_store(memory + GDT_AT + 8, 8, UINT64_C(0x00209b0000000000));
    bytes_store(memory + GDT_AT + 16, 8, UINT64_C(0x0000930000000000));
    memcpy(memory + CODE_AT, count_code, sizeof count_code);
    memcpy(memory + WINDOW_AT, window_code, sizeof window_code);
}

static int start_at(struct kvm_engine *kvm, uint64_t rip, bool user, struct error *error)
{
    struct cpu_state cpu;
    uint32_t level = user ? 3u << SEGMENT_DPL_SHIFT : 0;

    cpu_state_reset(&cpu);
    cpu.rip = rip;
    cpu.rflags = RFLAGS_FIXED | (user ? 0x3000u : 0); /* IOPL 3, so that user code may use the port */
    cpu.gprs[GPR_RSP] = STACK_AT;
    cpu.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    cpu.cr3 = PML4_AT;
    cpu.cr4 = CR4_PAE;
    cpu.efer = EFER_LME | EFER_LMA;
    cpu.gdtr = (struct descriptor_table){.base = GDT_AT, .limit = 23};
    cpu.cs = (struct segment){.selector = user ? 0x0b : 8, .limit = 0xffffffff};
    cpu.cs.attributes = SEGMENT_TYPE_CODE | SEGMENT_S | SEGMENT_P | SEGMENT_L | SEGMENT_G | level;
    cpu.ss = (struct segment){.selector = user ? 0x13 : 16, .limit = 0xffffffff};
    cpu.ss.attributes = SEGMENT_TYPE_DATA | SEGMENT_S | SEGMENT_P | SEGMENT_DB | SEGMENT_G | level;
    cpu.ds = cpu.es = cpu.fs = cpu.gs = cpu.ss;
    if (kvm_set_breakpoint(kvm, NULL, error) < 0 || kvm_set_cpu(&kvm->engine, &cpu, 0, error) < 0)
        return -1;
    enum kvm_event event = kvm_enter(kvm, true, error);
    return event == KVM_EVENT_ERROR ? -1 : 0;
}

static uint64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int single_step(struct kvm_engine *kvm, struct error *error)
{
    const struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};

    return kvm_debug(kvm, &debug, error);
}

/* Runs to the next exit. Returns whether it was one. */
static bool run_to_exit(struct kvm_engine *kvm, struct error *error)
{
    enum kvm_event event;
    uint64_t exits = kvm->engine.exits;

    do
        event = kvm_enter(kvm, false, error);
    while (event == KVM_EVENT_KICK);
    return event == KVM_EVENT_EXIT && kvm->engine.exits > exits;
}

/* Whether the counter gives `expected` for the counting program, twice, at CPL0 or CPL3. */
static bool counts(struct kvm_engine *kvm, bool user, uint64_t expected, struct error *error)
{
    for (unsigned round = 0; round < 2; round++) {
        uint64_t ticks;
        if (start_at(kvm, CODE_AT, user, error) < 0 || kvm_counter_set(&kvm->counter, 0, error) < 0)
            return false;
        uint64_t start = nanoseconds();
        if (!run_to_exit(kvm, error) || kvm_counter_read(&kvm->counter, &ticks, error) < 0 || ticks != expected)
            return false;
        uint64_t elapsed = nanoseconds() - start;
        uint64_t rate = COUNT_INSTRUCTIONS * UINT64_C(1000000) / elapsed;
        if (!user && rate > kvm->rate)
            kvm->rate = rate;
        if (!user)
            kvm->probe.insn_ps = elapsed * 1000 / COUNT_INSTRUCTIONS;
    }
    return true;
}

static void probe_counter(struct kvm_engine *kvm, struct error *error)
{
    struct kvm_probe_result *probe = &kvm->probe;

    if (kvm_counter_open(kvm, true, error) == 0) {
        probe->counter_branches = counts(kvm, false, COUNT_BRANCHES, error) && counts(kvm, true, COUNT_BRANCHES, error);
        if (probe->counter_branches)
            return;
        kvm_counter_close(&kvm->counter);
    }
    if (kvm_counter_open(kvm, false, error) == 0) {
        probe->counter_emulation = counts(kvm, false, COUNT_INSTRUCTIONS, error);
        /* At CPL3 either all is emulated or, of native code, the port access alone. */
        probe->user_native = !counts(kvm, true, COUNT_INSTRUCTIONS, error);
        if (probe->counter_emulation)
            return;
        kvm_counter_close(&kvm->counter);
    }
}

static bool rip_is(struct kvm_engine *kvm, uint64_t expected)
{
    struct kvm_regs regs;

    return ioctl(kvm->vcpu_fd, KVM_GET_REGS, &regs) == 0 && regs.rip == expected;
}

static bool steps(struct kvm_engine *kvm, struct error *error)
{
    static const uint64_t path[] = {COUNT_LOOP_AT, COUNT_LOOP_AT + 2, COUNT_LOOP_AT, COUNT_LOOP_AT + 2, COUNT_LOOP_AT};
    const unsigned length = sizeof path / sizeof path[0];

    if (start_at(kvm, CODE_AT, false, error) < 0 || single_step(kvm, error) < 0)
        return false;
    uint64_t start = nanoseconds();
    for (unsigned i = 0; i < length; i++) {
        if (kvm_enter(kvm, false, error) != KVM_EVENT_DEBUG || !rip_is(kvm, path[i]))
            return false;
    }
    kvm->probe.step_ns = (nanoseconds() - start) / length;
    return true;
}

/* Each of the first rounds of the loop must stop at its head, and the last must find the way out. */
static bool breaks(struct kvm_engine *kvm, bool user, struct error *error)
{
    const uint64_t at = COUNT_LOOP_AT;
    const unsigned rounds = 4;

    if (start_at(kvm, CODE_AT, user, error) < 0)
        return false;
    uint64_t start = nanoseconds();
    for (unsigned i = 0; i < rounds; i++) {
        if (kvm_set_breakpoint(kvm, &at, error) < 0 || kvm_enter(kvm, false, error) != KVM_EVENT_DEBUG ||
            !rip_is(kvm, at))
            return false;
        if (single_step(kvm, error) < 0 || kvm_enter(kvm, false, error) != KVM_EVENT_DEBUG || !rip_is(kvm, at + 2))
            return false;
    }
    kvm->probe.breakpoint_ns = (nanoseconds() - start) / rounds;
    return kvm_set_breakpoint(kvm, NULL, error) == 0 && run_to_exit(kvm, error);
}

static bool logs_dirty(struct kvm_engine *kvm, struct error *error)
{
    uint64_t bitmap = 0;
    struct kvm_dirty_log log = {.slot = PROBE_SLOT, .dirty_bitmap = &bitmap};

    if (start_at(kvm, CODE_AT, false, error) < 0 || ioctl(kvm->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0)
        return false;
    uint64_t start = nanoseconds();
    if (!run_to_exit(kvm, error) || kvm_enter(kvm, true, error) != KVM_EVENT_KICK)
        return false;
    kvm->probe.exit_ns = nanoseconds() - start;
    bitmap = 0;
    if (ioctl(kvm->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0)
        return false;
    /* The page tables may be marked too, for their Accessed bits. */
    const uint64_t tables = 1u << (PML4_AT >> 12) | 1u << (PDPT_AT >> 12) | 1u << (PD_AT >> 12);
    return (bitmap & ~tables) == 1u << (DATA_AT >> 12);
}

/* STI opens interrupts after the instruction that follows it; is that where KVM says so? */
static bool window_exact(struct kvm_engine *kvm, struct error *error)
{
    if (start_at(kvm, WINDOW_AT, false, error) < 0)
        return false;
    kvm->run->request_interrupt_window = 1;
    int result = ioctl(kvm->vcpu_fd, KVM_RUN, 0);
    kvm->run->request_interrupt_window = 0;
    return result == 0 && kvm->run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN && rip_is(kvm, WINDOW_TAKEN_AT);
}

static void run_probes(struct kvm_engine *kvm, struct error *error)
{
    struct kvm_probe_result *probe = &kvm->probe;

    probe->single_step = steps(kvm, error);
    probe->breakpoint = breaks(kvm, false, error);
    probe_counter(kvm, error);
    probe->dirty_log = logs_dirty(kvm, error);
    probe->interrupt_window = window_exact(kvm, error);
    /* Last, because where it fails the guest takes the #DB itself and shuts down. */
    probe->user_breakpoint = breaks(kvm, true, error);
}

int kvm_probe(struct kvm_engine *kvm, struct error *error)
{
    const struct engine_host host = {.read = probe_read, .write = probe_write};
    /* A facility that fails is a finding, not an error of ours; its words go into the notes. */
    struct error finding = {0};

    uint8_t *memory = mmap(NULL, PROBE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return error_errno(error, "memory for the probe");
    write_program(memory);
    kvm->engine.host = host;
    int result = kvm_slot_set(kvm, PROBE_SLOT, 0, memory, PROBE_BYTES, true, error);
    if (result == 0) {
        run_probes(kvm, &finding);
        snprintf(kvm->probe.notes, sizeof kvm->probe.notes, "%.200s", finding.text);
        struct error ignored;
        kvm_set_breakpoint(kvm, NULL, &ignored);
        result = kvm_slot_set(kvm, PROBE_SLOT, 0, memory, 0, false, error);
    }
    munmap(memory, PROBE_BYTES);
    kvm->engine.exits = 0;
    kvm->engine.halted = false;
    kvm->engine.host = (struct engine_host){0};
    return result;
}
