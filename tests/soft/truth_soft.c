/*
 * The soft engine's side of the truth harness: a guest with four-level page tables that puts the case's pages at the
 * same linear addresses as the native side has them, a GDT with Linux's selectors, and an IDT of which each vector has
 * a HLT of its own in the upper half. The processor runs the case at CPL 3 until one of these halts it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tests/soft/truth.h"
#include "vmm/soft/soft_engine.h"

/* Guest-physical addresses. The kernel's half is mapped at KERNEL, for the supervisor only. */
#define PML4        0x1000u
#define USER_PDPT   0x2000u
#define USER_PD     0x3000u
#define USER_PT     0x4000u
#define KERNEL_PDPT 0x5000u
#define KERNEL_PD   0x6000u
#define KERNEL_PT   0x7000u
#define IDT         0x8000u
#define GDT         0x9000u
#define TSS         0x9100u
#define STUBS       0xa000u
#define RSP0        0xc000u
#define CODE        0x10000u
#define DATA        0x12000u
#define STACK       0x16000u
#define RAM_SIZE    0x20000u
#define KERNEL      UINT64_C(0xffffffff80000000)

#define VECTORS     32u
#define STUB_STRIDE 16u

#define PTE_P  UINT64_C(1)
#define PTE_W  UINT64_C(2)
#define PTE_U  UINT64_C(4)
#define PTE_NX (UINT64_C(1) << 63)

/* Linux's selectors, so that what reads them agrees. */
#define KERNEL_CS 0x10u
#define KERNEL_SS 0x18u
#define USER_CS   0x33u
#define USER_SS   0x2bu
#define TSS_SEL   0x40u

struct truth_soft {
    struct ram ram;
    struct engine *engine;
    struct cpu_state cpu; /* as every case begins but for what the case says */
    unsigned dirty_offset, dirty_length;
};

static void put(struct truth_soft *s, uint64_t address, uint64_t value, unsigned size)
{
    CHECK(ram_write(&s->ram, address, &value, size));
}

static void map_pages(struct truth_soft *s, uint64_t linear, unsigned physical, unsigned size, uint64_t bits)
{
    for (unsigned at = 0; at < size; at += PAGE)
        put(s, USER_PT + ((linear + at) >> 12 & 511) * 8, (physical + at) | PTE_P | PTE_U | bits, 8);
}

static void build_pages(struct truth_soft *s)
{
    const uint64_t table = PTE_P | PTE_W | PTE_U;
    put(s, PML4, USER_PDPT | table, 8);
    put(s, USER_PDPT, USER_PD | table, 8);
    put(s, USER_PD + (CODE_BASE >> 21 & 511) * 8, USER_PT | table, 8);
    map_pages(s, CODE_BASE, CODE, CODE_SIZE, 0);
    map_pages(s, DATA_BASE, DATA, DATA_RW, PTE_W | PTE_NX);
    map_pages(s, DATA_BASE + DATA_RW, DATA + DATA_RW, DATA_SIZE - DATA_RW, PTE_NX);
    map_pages(s, STACK_BASE, STACK, STACK_SIZE, PTE_W | PTE_NX);
    put(s, PML4 + 511 * 8, KERNEL_PDPT | PTE_P | PTE_W, 8);
    put(s, KERNEL_PDPT + 510 * 8, KERNEL_PD | PTE_P | PTE_W, 8);
    put(s, KERNEL_PD, KERNEL_PT | PTE_P | PTE_W, 8);
    for (unsigned at = 0; at < CODE; at += PAGE)
        put(s, KERNEL_PT + at / PAGE * 8, at | PTE_P | PTE_W, 8);
}

static void build_tables(struct truth_soft *s)
{
    static const uint64_t gdt[] = {0,
                                   0x00cf9b000000ffff,
                                   0x00af9b000000ffff,
                                   0x00cf93000000ffff,
                                   0x00cffb000000ffff,
                                   0x00cff3000000ffff,
                                   0x00affb000000ffff};
    CHECK(ram_write(&s->ram, GDT, gdt, sizeof gdt));
    /* SDM vol. 3, 7.7: RSP0 is at offset 4 of a 64-bit TSS; the I/O map base at 102 lies beyond the limit. */
    put(s, TSS + 4, KERNEL + RSP0, 8);
    put(s, TSS + 102, 104, 2);
    for (unsigned v = 0; v < VECTORS; v++) {
        uint64_t stub = KERNEL + STUBS + v * STUB_STRIDE;
        unsigned dpl = v == 3 || v == 4 ? 3 : 0;
        /* SDM vol. 3, 6.14.1: a 64-bit interrupt gate. */
        put(s, IDT + v * 16, (stub & 0xffff) | KERNEL_CS << 16, 4);
        put(s, IDT + v * 16 + 4, (stub & 0xffff0000) | 0x8e00 | dpl << 13, 4);
        put(s, IDT + v * 16 + 8, stub >> 32, 8);
        put(s, STUBS + v * STUB_STRIDE, 0xf4, 1);
    }
}

static struct segment flat(unsigned selector, unsigned type, unsigned dpl, bool code)
{
    return (struct segment){.selector = (uint16_t)selector,
                            .limit = UINT32_MAX,
                            .attributes = type | SEGMENT_S | dpl << SEGMENT_DPL_SHIFT | SEGMENT_P | SEGMENT_G |
                                          (code ? SEGMENT_L : SEGMENT_DB)};
}

static void build_cpu(struct truth_soft *s)
{
    struct cpu_state *cpu = &s->cpu;
    cpu_state_reset(cpu);
    cpu->cs = flat(USER_CS, SEGMENT_TYPE_CODE, 3, true);
    cpu->ss = flat(USER_SS, SEGMENT_TYPE_DATA, 3, false);
    cpu->ds = cpu->es = cpu->fs = cpu->gs = (struct segment){.attributes = SEGMENT_UNUSABLE};
    cpu->tr = (struct segment){TSS_SEL, KERNEL + TSS, 103, SEGMENT_P | SEGMENT_TYPE_TSS};
    cpu->ldt = (struct segment){.attributes = SEGMENT_UNUSABLE};
    cpu->gdtr = (struct descriptor_table){KERNEL + GDT, 0x4f};
    cpu->idtr = (struct descriptor_table){KERNEL + IDT, VECTORS * 16 - 1};
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    cpu->cr3 = PML4;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
}

struct truth_soft *truth_soft_new(void)
{
    struct error error = {0};
    struct truth_soft *s = calloc(1, sizeof *s);
    CHECK(s);
    CHECK(ram_create(&s->ram, RAM_SIZE, &error) == 0);
    build_pages(s);
    build_tables(s);
    build_cpu(s);
    CHECK(ram_fill(&s->ram, CODE, 0xcc, CODE_SIZE));
    s->engine = soft_engine_create(&(struct engine_host){0}, &error);
    CHECK(s->engine);
    CHECK(engine_map_ram(s->engine, &s->ram, &error) == 0);
    return s;
}

static void write_code(struct truth_soft *s, unsigned offset, const uint8_t *code, unsigned length)
{
    if (code)
        CHECK(ram_write(&s->ram, CODE + offset, code, length));
    else
        CHECK(ram_fill(&s->ram, CODE + offset, 0xcc, length));
    engine_ram_written(s->engine, CODE + offset, length);
}

static void load(struct truth_soft *s, const struct truth_case *c, struct cpu_state *cpu)
{
    const struct truth_state *b = &c->before;
    *cpu = s->cpu;
    memcpy(cpu->gprs, b->gprs, sizeof cpu->gprs);
    cpu->rip = b->rip;
    cpu->rflags = b->rflags;
    cpu->fcw = b->fcw;
    cpu->fsw = b->fsw;
    cpu->ftw = b->ftw;
    cpu->mxcsr = b->mxcsr;
    memcpy(cpu->st, b->st, sizeof cpu->st);
    memcpy(cpu->xmm, b->xmm, sizeof cpu->xmm);
    unsigned offset = (unsigned)(c->start - CODE_BASE);
    if (s->dirty_length)
        write_code(s, s->dirty_offset, NULL, s->dirty_length);
    write_code(s, offset, c->code, c->length);
    s->dirty_offset = offset;
    s->dirty_length = c->length;
    CHECK(ram_write(&s->ram, DATA, c->memory->data, DATA_SIZE));
    CHECK(ram_write(&s->ram, STACK, c->memory->stack, STACK_SIZE));
}

static bool has_error_code(unsigned vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* Undoes the exception's delivery: the frame holds what it put aside (SDM vol. 3, 6.14.2). */
static void save(struct truth_soft *s, const struct cpu_state *cpu, struct truth_state *after)
{
    uint64_t frame[6] = {0};
    after->vector = (unsigned)((cpu->rip - KERNEL - STUBS) / STUB_STRIDE);
    unsigned words = has_error_code(after->vector) ? 6 : 5;
    CHECK(ram_read(&s->ram, cpu->gprs[GPR_RSP] - KERNEL, frame + 6 - words, words * 8));
    memcpy(after->gprs, cpu->gprs, sizeof after->gprs);
    after->error_code = frame[0];
    after->rip = frame[1];
    after->rflags = frame[3];
    after->gprs[GPR_RSP] = frame[4];
    after->cr2 = cpu->cr2;
    after->fcw = cpu->fcw;
    after->fsw = cpu->fsw;
    after->ftw = cpu->ftw;
    after->mxcsr = cpu->mxcsr;
    memcpy(after->st, cpu->st, sizeof after->st);
    memcpy(after->xmm, cpu->xmm, sizeof after->xmm);
}

bool truth_soft_run(struct truth_soft *s, const struct truth_case *c, struct truth_state *after,
                    struct truth_memory *memory, char *words, size_t size)
{
    struct error error = {0};
    struct cpu_state cpu;
    load(s, c, &cpu);
    if (engine_set_cpu(s->engine, &cpu, 0, &error) != 0) {
        snprintf(words, size, "the engine refuses the state: %s", error.text);
        return false;
    }
    s->engine->exits = 0;
    enum engine_stop stop = engine_run(s->engine, NULL, &error);
    CHECK(engine_get_cpu(s->engine, &cpu, &error) == 0);
    if (stop != ENGINE_STOP_HALT || cpu.rip < KERNEL + STUBS || cpu.rip >= KERNEL + STUBS + VECTORS * STUB_STRIDE) {
        snprintf(words, size, "the engine stopped in way %d at %llx: %s", (int)stop, (unsigned long long)cpu.rip,
                 s->engine->fault.text);
        return false;
    }
    save(s, &cpu, after);
    CHECK(ram_read(&s->ram, DATA, memory->data, DATA_SIZE));
    CHECK(ram_read(&s->ram, STACK, memory->stack, STACK_SIZE));
    return true;
}
