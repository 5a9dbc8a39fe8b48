/*
 * See doctor_timing.h. The guests are a few bytes of long-mode code in identity-mapped memory; each starts at its
 * first instruction and is done after a known number of exits.
 */
#include "tools/doctor_timing.h"

#include "base/bytes.h"
#include "base/check.h"
#include "vmm/host/clock.h"

#define RAM_BYTES (UINT64_C(1) << 20)
#define PML4_AT   0x1000u
#define PDPT_AT   0x2000u
#define PD_AT     0x3000u
#define GDT_AT    0x5000u
#define CODE_AT   0x6000u
#define STACK_AT  0x8000u

/* Present, writable, user; in PD_AT also "this is a page of 2 MiB" (SDM vol. 3, 4.5.4). */
#define ENTRY 0x07u
#define LARGE 0x80u

#define EXITS       300u
#define LOOPS_SHORT 10000u    /* at a million instructions a second: 20 ms */
#define LOOPS_LONG  10000000u /* for code that runs natively */
#define NATIVE_NS   1000000u  /* who needs less than this for LOOPS_SHORT runs natively */

/*  again: out 0x80, al; jmp again */
static const uint8_t exit_code[] = {0xe6, 0x80, 0xeb, 0xfc};

/*  mov ecx, LOOPS; again: dec ecx; jnz again; out 0x80, al */
static const uint8_t loop_code[] = {0xb9, 0, 0, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xe6, 0x80};

static uint64_t no_read(void *context, enum engine_space space, uint64_t address, unsigned size)
{
    (void)context, (void)space, (void)address, (void)size;
    return UINT64_MAX;
}

static void no_write(void *context, enum engine_space space, uint64_t address, unsigned size, uint64_t value)
{
    (void)context, (void)space, (void)address, (void)size, (void)value;
}

static void put_entry(struct ram *ram, uint64_t address, uint64_t value)
{
    uint8_t bytes[8];

    bytes_store(bytes, sizeof bytes, value);
    CHECK(ram_write(ram, address, bytes, sizeof bytes));
}

static void write_tables(struct ram *ram)
{
    put_entry(ram, PML4_AT, PDPT_AT | ENTRY);
    put_entry(ram, PDPT_AT, PD_AT | ENTRY);
    put_entry(ram, PD_AT, LARGE | ENTRY);
}

static struct segment flat_segment(uint16_t selector, uint32_t type, unsigned level)
{
    return (struct segment){
        .selector = selector | (uint16_t)level,
        .limit = 0xffffffff,
        .attributes = type | SEGMENT_S | SEGMENT_P | SEGMENT_G | level << SEGMENT_DPL_SHIFT,
    };
}

static struct cpu_state start_state(unsigned level)
{
    struct cpu_state cpu;

    cpu_state_reset(&cpu);
    cpu.rip = CODE_AT;
    cpu.rflags = RFLAGS_FIXED | (level ? 0x3000u : 0); /* IOPL 3, so that user code may use the port */
    cpu.gprs[GPR_RSP] = STACK_AT;
    cpu.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    cpu.cr3 = PML4_AT;
    cpu.cr4 = CR4_PAE;
    cpu.efer = EFER_LME | EFER_LMA;
    cpu.gdtr = (struct descriptor_table){.base = GDT_AT, .limit = 7};
    cpu.cs = flat_segment(8, SEGMENT_TYPE_CODE | SEGMENT_L, level);
    cpu.ss = flat_segment(16, SEGMENT_TYPE_DATA | SEGMENT_DB, level);
    cpu.ds = cpu.es = cpu.fs = cpu.gs = cpu.ss;
    return cpu;
}

/* Runs the code that is in place from its start; gives the time of all but the first `warm` exits. */
static int run(struct engine *engine, unsigned level, unsigned warm, unsigned exits, uint64_t *ns, struct error *error)
{
    const struct cpu_state cpu = start_state(level);
    struct position until = position_at_exit(engine->exits + warm);

    if (engine_set_cpu(engine, &cpu, 0, error) < 0)
        return -1;
    enum engine_stop stop = warm ? engine_run_to(engine, &until, error) : ENGINE_STOP_POSITION;
    uint64_t start = host_clock_now();
    until.exits += exits;
    if (stop == ENGINE_STOP_POSITION)
        stop = engine_run_to(engine, &until, error);
    *ns = host_clock_now() - start;
    if (stop == ENGINE_STOP_ERROR)
        return -1;
    return stop == ENGINE_STOP_POSITION ? 0
                                        : error_set(error, ERROR_HOST, "a guest for timing did not run: %s",
                                                    *engine->fault.text ? engine->fault.text : "it shut down");
}

static int time_loop(struct engine *engine, struct ram *ram, unsigned level, uint64_t *ps, struct error *error)
{
    const uint32_t loops[] = {LOOPS_SHORT, LOOPS_LONG};
    uint64_t ns;

    CHECK(ram_write(ram, CODE_AT, loop_code, sizeof loop_code));
    for (unsigned i = 0; i < 2; i++) {
        uint8_t count[4];
        bytes_store(count, sizeof count, loops[i]);
        CHECK(ram_write(ram, CODE_AT + 1, count, sizeof count));
        if (run(engine, level, 0, 1, &ns, error) < 0)
            return -1;
        *ps = ns * 1000 / (2 * (uint64_t)loops[i]);
        if (ns > NATIVE_NS)
            break;
    }
    return 0;
}

int doctor_time(struct engine *engine, struct ram *ram, struct doctor_timing *timing, struct error *error)
{
    uint64_t ns;

    *timing = (struct doctor_timing){0};
    if (ram_create(ram, RAM_BYTES, error) < 0)
        return -1;
    engine->host = (struct engine_host){.read = no_read, .write = no_write};
    write_tables(ram);
    CHECK(ram_write(ram, CODE_AT, exit_code, sizeof exit_code));
    if (engine_map_ram(engine, ram, error) < 0 || run(engine, 0, 20, EXITS, &ns, error) < 0)
        return -1;
    timing->exit_ns = ns / EXITS;
    if (time_loop(engine, ram, 0, &timing->kernel_ps, error) < 0)
        return -1;
    return time_loop(engine, ram, 3, &timing->user_ps, error);
}
