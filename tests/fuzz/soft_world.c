/* Worlds for one processor; see soft_world.h. */
#include "tests/fuzz/soft_world.h"

#include <string.h>

#include "vmm/soft/soft.h"

/* Where things are, physically; linear addresses are the same. */
enum {
    AT_IVT = 0,
    AT_GDT = 0x1000,
    AT_IDT = 0x2000,
    AT_TSS = 0x3000,
    AT_TABLES = 0x4000, /* one page for each level of page tables */
    AT_HANDLERS = 0x8000,
    AT_REAL_HANDLER = 0x9000,
    AT_KERNEL_STACK = 0xc000,
    AT_DATA = 0x20000,
};

enum {
    SELECT_CODE = 0x08, /* of the mode's own width */
    SELECT_DATA = 0x10,
    SELECT_KERNEL = 0x18, /* handlers */
    SELECT_USER_CODE = 0x23,
    SELECT_USER_DATA = 0x2b,
    SELECT_TSS = 0x40,
};

uint64_t world_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool is_long(enum world_mode mode)
{
    return mode == WORLD_LONG_64 || mode == WORLD_LONG_32 || mode == WORLD_LONG_16;
}

static bool is_protected(enum world_mode mode)
{
    return mode != WORLD_REAL && mode != WORLD_V86;
}

static void put(struct ram *ram, uint64_t at, uint64_t value, unsigned size)
{
    memcpy(ram->bytes + at, &value, size);
}

/* SDM volume 3, 3.4.5: the descriptor of a flat segment of privilege level `dpl`. */
static uint64_t descriptor(unsigned type, unsigned dpl, unsigned width)
{
    uint64_t size = width == 64 ? 2 : width == 32 ? 4 : 0;
    return UINT64_C(0xf0000000ffff) | UINT64_C(0x8) << 52 | size << 52 | (uint64_t)(0x90 | dpl << 5 | type) << 40;
}

static unsigned code_width(enum world_mode mode)
{
    switch (mode) {
    case WORLD_LONG_64:
        return 64;
    case WORLD_PROTECTED_32:
    case WORLD_PAGED_32:
    case WORLD_PAE_32:
    case WORLD_LONG_32:
        return 32;
    default:
        return 16;
    }
}

static void make_gdt(struct ram *ram, enum world_mode mode)
{
    unsigned width = code_width(mode);
    const uint64_t gdt[] = {
        0,
        descriptor(0xb, 0, width),                   /* 08 */
        descriptor(0x3, 0, 32),                      /* 10 */
        descriptor(0xb, 0, is_long(mode) ? 64 : 32), /* 18 */
        descriptor(0xb, 3, width),                   /* 20 */
        descriptor(0x3, 3, 32),                      /* 28 */
        descriptor(0xb, 3, is_long(mode) ? 64 : 16), /* 30 */
        0,
        UINT64_C(0x0000890030000fff), /* 40: the TSS, and in long mode its upper half */
        0,
        UINT64_C(0x0040f60200000fff), /* 50: data that expands down */
        UINT64_C(0x00cf9f000000ffff), /* 58: conforming code */
        UINT64_C(0x0000ec0000188000), /* 60: a call gate to the first handler; its upper half */
        0,
        UINT64_C(0x0000820010000fff), /* 70: an LDT that is the GDT; its upper half */
        0,
        UINT64_C(0x00009b010000ffff), /* 80: 16-bit code where the code is */
        UINT64_C(0x000012345678ffff), /* 88: not present */
    };
    memcpy(ram->bytes + AT_GDT, gdt, sizeof gdt);
}

static void make_handler(struct ram *ram, enum world_mode mode, unsigned vector)
{
    /* Vectors 8, 10 to 14 and 17 have an error code (SDM volume 3, table 6-1). */
    bool code = vector < 32 && (0x27d00u >> vector & 1);
    static const uint8_t drop_64[] = {0x48, 0x83, 0xc4, 0x08}, next_64[] = {0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
    static const uint8_t drop_32[] = {0x83, 0xc4, 0x04}, next_32[] = {0xff, 0x04, 0x24, 0xcf};
    uint8_t *at = ram->bytes + AT_HANDLERS + 16 * vector;
    bool wide = is_long(mode);
    if (code) {
        memcpy(at, wide ? drop_64 : drop_32, wide ? sizeof drop_64 : sizeof drop_32);
        at += wide ? sizeof drop_64 : sizeof drop_32;
    }
    memcpy(at, wide ? next_64 : next_32, wide ? sizeof next_64 : sizeof next_32);
}

static void make_idt(struct ram *ram, enum world_mode mode)
{
    /* push bp; mov bp, sp; inc word [bp + 2]; pop bp; iret */
    static const uint8_t real_handler[] = {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf};
    memcpy(ram->bytes + AT_REAL_HANDLER, real_handler, sizeof real_handler);
    for (unsigned vector = 0; vector < 256; vector++) {
        uint64_t handler = AT_HANDLERS + 16 * vector;
        /* Interrupt and trap gates by turns; level 3 may use most. */
        uint64_t type = (vector & 1 ? 0x8f : 0x8e) | (vector % 7 ? 0x60 : 0);
        uint64_t gate = (handler & 0xffff) | SELECT_KERNEL << 16 | type << 40 | (handler >> 16) << 48;
        put(ram, AT_IVT + 4 * vector, AT_REAL_HANDLER, 4);
        make_handler(ram, mode, vector);
        if (is_long(mode)) {
            put(ram, AT_IDT + 16 * vector, gate | (uint64_t)(vector == 8) << 32, 8);
            put(ram, AT_IDT + 16 * vector + 8, 0, 8);
        } else {
            put(ram, AT_IDT + 8 * vector, gate, 8);
        }
    }
}

static void make_tss(struct ram *ram, enum world_mode mode)
{
    memset(ram->bytes + AT_TSS, 0, 0x1000);
    if (is_long(mode)) {
        for (unsigned i = 0; i < 3; i++)
            put(ram, AT_TSS + 4 + 8 * i, AT_KERNEL_STACK, 8);
        put(ram, AT_TSS + 36, AT_KERNEL_STACK - 0x800, 8); /* IST1 */
    } else {
        put(ram, AT_TSS + 4, AT_KERNEL_STACK, 4);
        put(ram, AT_TSS + 8, SELECT_DATA, 4);
    }
    put(ram, AT_TSS + 102, 104, 2); /* the permission bitmap, all zeros: all ports are allowed */
}

/* Identity maps the first 2 MiB (4 with 32-bit tables) in 4 KiB pages, a few of them with odd rights. */
static void make_tables(struct ram *ram, enum world_mode mode, uint64_t *seed)
{
    unsigned size = mode == WORLD_PAGED_32 ? 4 : 8, entries = 4096 / size, levels = is_long(mode) ? 4 : 2;
    uint64_t at = AT_TABLES;
    if (mode == WORLD_PAE_32) {
        put(ram, at, (at + 0x1000) | 1, 8);
        at += 0x1000;
    }
    for (unsigned level = levels; level > 1; level--, at += 0x1000) {
        put(ram, at, (at + 0x1000) | 7, size);
        /* The last entry of each table points back to the table: a way to write tables in use. */
        put(ram, at + 4096 - size, at | 7, size);
    }
    for (unsigned i = 0; i < entries; i++)
        put(ram, at + i * size, (uint64_t)i << 12 | 7, size);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t page = AT_DATA / 4096 + world_random(seed) % 8;
        uint64_t rights = world_random(seed) & (size == 8 && i == 0 ? UINT64_C(0x80000000000001ff) : 0x17f);
        put(ram, at + page * size, page << 12 | rights, size);
    }
}

/* Numbers that instructions find interesting. */
static uint64_t operand(uint64_t *seed)
{
    uint64_t r = world_random(seed), low = r >> 8;
    switch (r % 10) {
    case 0:
        return low % 16;
    case 1:
        return ~UINT64_C(0) - low % 16;
    case 2:
        return WORLD_CODE + low % 128;
    case 3:
        return UINT64_C(0x7fffffffffffff) - low % 0x200; /* not canonical */
    case 4:
        return WORLD_RAM - 8 + low % 16;
    case 5:
        return low % 0x10000; /* tables */
    case 6:
        return world_random(seed);
    default:
        return AT_DATA + (low % 8 << 12) + (low >> 8) % 64 - 16;
    }
}

static struct segment flat_segment(uint16_t selector, unsigned type, unsigned dpl, unsigned width)
{
    uint32_t size = width == 64 ? SEGMENT_L : width == 32 ? SEGMENT_DB : 0;
    return (struct segment){.selector = selector,
                            .limit = UINT32_MAX,
                            .attributes = SEGMENT_P | SEGMENT_S | SEGMENT_G | type | dpl << SEGMENT_DPL_SHIFT | size};
}

static struct segment real_segment(uint16_t selector, unsigned type, unsigned dpl)
{
    return (struct segment){.selector = selector,
                            .base = (uint64_t)selector << 4,
                            .limit = 0xffff,
                            .attributes = SEGMENT_P | SEGMENT_S | type | dpl << SEGMENT_DPL_SHIFT};
}

static void set_segments(struct cpu_state *cpu, const struct world_plan *plan, uint64_t *seed)
{
    if (is_protected(plan->mode)) {
        unsigned dpl = plan->user ? 3 : 0;
        cpu->cs =
            flat_segment(plan->user ? SELECT_USER_CODE : SELECT_CODE, SEGMENT_TYPE_CODE, dpl, code_width(plan->mode));
        cpu->ss = flat_segment(plan->user ? SELECT_USER_DATA : SELECT_DATA, SEGMENT_TYPE_DATA, dpl, 32);
        cpu->ds = cpu->es = cpu->fs = cpu->gs = cpu->ss;
        /* One that is not flat sends every access the long way. */
        if (world_random(seed) % 4 == 0)
            cpu->es.limit = AT_DATA + 0x2010;
        cpu->rip = WORLD_CODE;
    } else {
        unsigned dpl = plan->mode == WORLD_V86 ? 3 : 0;
        cpu->cs = real_segment(WORLD_CODE >> 4, SEGMENT_TYPE_CODE, dpl);
        cpu->ss = real_segment(0x2800, SEGMENT_TYPE_DATA, dpl);
        cpu->ds = cpu->es = cpu->fs = cpu->gs = real_segment(AT_DATA >> 4, SEGMENT_TYPE_DATA, dpl);
        if (plan->mode == WORLD_REAL && world_random(seed) % 4 == 0)
            cpu->ds.limit = UINT32_MAX;
        cpu->rip = 0;
    }
    cpu->tr = (struct segment){.selector = SELECT_TSS, .base = AT_TSS, .limit = 0xfff, .attributes = SEGMENT_P | 0xb};
    cpu->ldt = (struct segment){.attributes = SEGMENT_UNUSABLE};
    cpu->gdtr = (struct descriptor_table){.base = AT_GDT, .limit = 0x8f};
    cpu->idtr = (struct descriptor_table){.base = plan->mode == WORLD_REAL ? AT_IVT : AT_IDT, .limit = 0xfff};
}

static void set_system(struct cpu_state *cpu, enum world_mode mode, uint64_t *seed)
{
    bool paged = is_long(mode) || mode == WORLD_PAGED_32 || mode == WORLD_PAE_32;
    uint64_t r = world_random(seed);
    cpu->cr0 = CR0_ET | CR0_NE | (mode == WORLD_REAL ? 0 : CR0_PE) | (paged ? CR0_PG : 0) | (r & 1 ? CR0_WP : 0);
    cpu->cr3 = AT_TABLES;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | (is_long(mode) || mode == WORLD_PAE_32 ? CR4_PAE : 0);
    cpu->cr4 |= (r & 2 ? CR4_FSGSBASE : 0) | (r & 4 ? CR4_PSE | CR4_PGE : 0) | (r & 8 ? CR4_DE : 0);
    cpu->efer = EFER_SCE | EFER_NXE | (is_long(mode) ? EFER_LME | EFER_LMA : 0);
    cpu->star = UINT64_C(0x0018000800000000) | AT_REAL_HANDLER;
    cpu->lstar = cpu->cstar = AT_HANDLERS + 4;
    cpu->fmask = r & 16 ? RFLAGS_IF | RFLAGS_TF : 0;
    cpu->sysenter_cs = SELECT_CODE;
    cpu->sysenter_eip = AT_HANDLERS + 4;
    cpu->sysenter_esp = AT_KERNEL_STACK;
    cpu->pat = UINT64_C(0x0007040600070406);
}

static void set_odd(struct cpu_state *cpu, uint64_t *seed)
{
    uint64_t r = world_random(seed);
    cpu->cr0 |= r & (CR0_MP | CR0_EM | CR0_TS | CR0_AM);
    cpu->cr4 ^= (r >> 32) & (CR4_TSD | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_SMEP | CR4_SMAP);
    cpu->rflags |= (r >> 8) & (RFLAGS_TF | RFLAGS_RF | RFLAGS_NT | RFLAGS_AC | RFLAGS_DF);
    cpu->interrupt_shadow = r >> 60 & 1;
    cpu->shadow_of_ss = r >> 60 & r >> 61 & 1;
    cpu->pending_debug = cpu->shadow_of_ss ? r >> 16 & 0x400f : 0;
    for (unsigned i = 0; i < 4; i++)
        cpu->dr[i] = operand(seed);
    cpu->dr7 |= world_random(seed) & 0xffff03ff;
    cpu->fcw = (uint16_t)world_random(seed);
    cpu->fsw = (uint16_t)world_random(seed);
    cpu->ftw = (uint8_t)world_random(seed);
    cpu->mxcsr = world_random(seed) & 0xffff;
}

static void set_hostile(struct cpu_state *cpu, uint64_t *seed)
{
    struct segment *segments[] = {&cpu->es, &cpu->ss, &cpu->ds, &cpu->fs, &cpu->gs, &cpu->tr, &cpu->ldt, &cpu->cs};
    for (unsigned i = 0; i < 8; i++) {
        uint64_t r = world_random(seed);
        if (r % 3)
            continue;
        segments[i]->attributes = (r >> 8) & SEGMENT_ALL;
        segments[i]->limit = r & 0x80 ? segments[i]->limit : (uint32_t)operand(seed);
        segments[i]->base = r & 0x70 ? segments[i]->base : operand(seed);
    }
    uint64_t r = world_random(seed);
    if (r % 4 == 0)
        cpu->cr0 = (uint32_t)world_random(seed);
    if (r % 4 == 1)
        cpu->cr4 = (uint32_t)world_random(seed);
    if (r % 4 == 2)
        cpu->efer = world_random(seed);
    if (r >> 8 & 1)
        cpu->cr3 = world_random(seed);
    cpu->rflags |= (r >> 16) & 0x3f7fd5;
    cpu->nmi_blocked = r >> 62 & 1;
    cpu->halted = r >> 55 % 8 == 1;
}

void world_make(const struct world_plan *plan, struct ram *ram, struct cpu_state *cpu)
{
    uint64_t seed = plan->seed;
    size_t length = plan->length < 4096 ? plan->length : 4096;
    memset(ram->bytes, 0, WORLD_RAM);
    for (uint64_t at = AT_DATA; at < AT_DATA + 0x8000; at += 8)
        put(ram, at, operand(&seed), 8);
    make_gdt(ram, plan->mode);
    if (is_long(plan->mode))
        put(ram, AT_GDT + SELECT_TSS + 8, 0, 8);
    make_idt(ram, plan->mode);
    make_tss(ram, plan->mode);
    make_tables(ram, plan->mode, &seed);
    memcpy(ram->bytes + WORLD_CODE, plan->code, length);
    *cpu = (struct cpu_state){.fcw = 0x37f, .mxcsr = 0x1f80, .dr6 = 0xffff0ff0, .dr7 = 0x400};
    for (unsigned i = 0; i < CPU_GPRS; i++)
        cpu->gprs[i] = operand(&seed);
    if (plan->mode != WORLD_LONG_64)
        for (unsigned i = 0; i < CPU_GPRS; i++)
            cpu->gprs[i] = i < 8 ? (uint32_t)cpu->gprs[i] : 0;
    cpu->gprs[GPR_RSP] = is_protected(plan->mode) ? AT_DATA + 0x8000 : 0x7ff0;
    for (unsigned i = 0; i < sizeof cpu->st + sizeof cpu->xmm; i++)
        *(i < sizeof cpu->st ? &cpu->st[0][0] + i : &cpu->xmm[0][0] + i - sizeof cpu->st) =
            (uint8_t)world_random(&seed);
    set_segments(cpu, plan, &seed);
    set_system(cpu, plan->mode, &seed);
    uint64_t r = world_random(&seed);
    cpu->rflags = RFLAGS_FIXED | (r & (RFLAGS_STATUS | RFLAGS_IF | RFLAGS_IOPL));
    if (plan->mode == WORLD_V86)
        cpu->rflags |= RFLAGS_VM;
    if (plan->odd)
        set_odd(cpu, &seed);
    if (plan->hostile)
        set_hostile(cpu, &seed);
}
