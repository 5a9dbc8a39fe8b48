/*
 * A stage for tests of the processor's system part: RAM, descriptor tables, a stub for each vector, and what became of
 * a piece of code. All goes through vmm/engine.h, so that any engine can stand on it: soft, or with STAGE_ENGINE=kvm in
 * the environment KVM (tests/integration/system_table_kvm.sh).
 *
 * Code ends in HLT: at level 0 the processor halts there, at any other that is #GP(0) at the HLT. Either is "done".
 */
#ifndef ENCORE_TESTS_SOFT_STAGE_H
#define ENCORE_TESTS_SOFT_STAGE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "vmm/kvm/kvm_engine.h"
#include "vmm/soft/soft_engine.h"

/* Guest-physical and, unless a test maps otherwise, linear addresses. */
enum {
    STAGE_GDT = 0x1000,
    STAGE_LDT = 0x1800,
    STAGE_IDT = 0x2000,
    STAGE_TSS = 0x3000,
    STAGE_STUBS = 0x8000, /* 16 bytes for each vector, of which the first is HLT */
    STAGE_CODE = 0x10000,
    STAGE_DATA = 0x14000,
    STAGE_STACK = 0x20000,  /* top of the code's stack */
    STAGE_KSTACK = 0x30000, /* of level 0's; levels 1 and 2 have one 0x2000 and 0x4000 below */
    STAGE_IST = 0x38000,    /* of IST 1; the others 0x1000 further each */
    STAGE_TABLES = 0x40000,
    STAGE_RAM = 0x100000
};

/* Selectors; the code and data of level n are SEL_CODE(n) and SEL_DATA(n), whose RPL is n. */
#define SEL_CODE(n)   ((uint16_t)(0x08 + 0x10 * (n) + (n)))
#define SEL_DATA(n)   ((uint16_t)(0x10 + 0x10 * (n) + (n)))
#define SEL_CODE64(n) ((uint16_t)(0x48 + ((n) ? 8 : 0) + (n)))
#define SEL_TSS       0x58 /* 16 bytes */
#define SEL_LDT       0x68 /* 16 bytes */
#define SEL_TEST      0x80 /* descriptors of the test's own begin here */
#define GDT_LIMIT     0x1ff

/* Bits of a descriptor, SDM volume 3, figure 3-8. */
#define D_P        (UINT64_C(1) << 47)
#define D_DPL(n)   ((uint64_t)(n) << 45)
#define D_TYPE(n)  ((uint64_t)(n) << 40) /* five bits, S among them */
#define D_DB       (UINT64_C(1) << 54)
#define D_L        (UINT64_C(1) << 53)
#define D_FLAT     UINT64_C(0x008f00000000ffff) /* base 0, 4 GiB */
#define D_BYTES(n) ((uint64_t)((n)&0xffff) | (uint64_t)((n) >> 16 & 15) << 48)
#define T_CODE     0x1b /* code, readable, accessed */
#define T_DATA     0x13
#define CR4_PSE_   0x10u
#define FLAG_TF    0x100u
#define FLAG_NT    0x4000u
#define FLAG_RF    0x10000u
#define FLAG_VM    0x20000u
#define FLAG_AC    0x40000u
#define FLAG_IOPL3 0x3000u

struct stage {
    struct engine *engine;
    struct ram ram;
    struct cpu_state cpu;
    struct error error;
    uint64_t written[16]; /* values that went to ports */
    unsigned writes;
    uint8_t vector;     /* what an acknowledge cycle answers */
    bool wide;          /* 64-bit interrupt frames */
    bool stop_at_write; /* a write to a port ends the run */
    uint64_t tpr;       /* the local APIC's task priority, as CR8 leaves it */
};

/* What became of the code. */
enum { DONE = -1, SHUTDOWN = -2, LOST = -3 };
struct outcome {
    int vector; /* the handler that was reached, or one of the above */
    uint32_t code;
    uint64_t rip, rflags, sp; /* from the handler's frame; sp: where the frame's end is */
    uint64_t frame;           /* its address */
    uint16_t cs, ss;
};

static inline uint64_t stage_read(void *context, enum engine_space space, uint64_t address, unsigned size)
{
    const struct stage *s = context;
    (void)address, (void)size;
    return space == ENGINE_MSR ? s->tpr : 0;
}

static inline void stage_write(void *context, enum engine_space space, uint64_t address, unsigned size, uint64_t value)
{
    struct stage *s = context;
    (void)address, (void)size;
    if (space == ENGINE_MSR) {
        s->tpr = value;
        return;
    }
    if (s->writes < sizeof s->written / sizeof *s->written)
        s->written[s->writes++] = value;
    if (s->stop_at_write)
        engine_request_stop(s->engine);
}

static inline uint8_t stage_acknowledge(void *context)
{
    struct stage *s = context;
    engine_set_intr(s->engine, false);
    return s->vector;
}

static inline void stage_put(struct stage *s, uint64_t at, uint64_t value, unsigned size)
{
    CHECK(at + size <= STAGE_RAM);
    memcpy(s->ram.bytes + at, &value, size);
}

static inline uint64_t stage_get(const struct stage *s, uint64_t at, unsigned size)
{
    uint64_t value = 0;
    CHECK(at + size <= STAGE_RAM);
    memcpy(&value, s->ram.bytes + at, size);
    return value;
}

static inline struct engine *stage_engine(struct error *error)
{
    const char *name = getenv("STAGE_ENGINE");
    if (name && strcmp(name, "kvm") == 0)
        return kvm_engine_create(&(struct kvm_engine_options){0}, error);
    return soft_engine_create(&(struct engine_host){0}, error);
}

static inline struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof *s);
    CHECK(s && ram_create(&s->ram, STAGE_RAM, &s->error) == 0);
    struct engine_host host = {
        .context = s, .read = stage_read, .write = stage_write, .acknowledge = stage_acknowledge};
    s->engine = stage_engine(&s->error);
    CHECK(s->engine);
    s->engine->host = host;
    CHECK(engine_map_ram(s->engine, &s->ram, &s->error) == 0);
    return s;
}

static inline void stage_free(struct stage *s)
{
    engine_destroy(s->engine);
    ram_destroy(&s->ram);
    free(s);
}

static inline void stage_descriptor(struct stage *s, unsigned selector, uint64_t descriptor)
{
    stage_put(s, (selector & 4 ? STAGE_LDT : STAGE_GDT) + (selector & 0xfff8u), descriptor, 8);
}

static inline void stage_gate(struct stage *s, unsigned vector, unsigned type, unsigned dpl, unsigned selector,
                              uint64_t offset)
{
    uint64_t low =
        (offset & 0xffff) | (uint64_t)selector << 16 | D_TYPE(type) | D_DPL(dpl) | D_P | (offset >> 16 & 0xffff) << 48;
    stage_put(s, STAGE_IDT + (s->wide ? 16 : 8) * vector, low, 8);
    if (s->wide)
        stage_put(s, STAGE_IDT + 16 * vector + 8, offset >> 32, 8);
}

static inline uint64_t stage_stub(unsigned vector)
{
    return STAGE_STUBS + 16 * vector;
}

static inline uint64_t stage_system(uint64_t base, unsigned type)
{
    return 0x67 | (base & 0xffffff) << 16 | D_TYPE(type) | D_P | (base >> 24 & 0xff) << 56;
}

static inline void stage_tables(struct stage *s)
{
    memset(s->ram.bytes, 0, STAGE_TABLES);
    for (unsigned n = 0; n < 4; n++) {
        stage_descriptor(s, SEL_CODE(n), D_FLAT | D_P | D_DPL(n) | D_TYPE(T_CODE) | D_DB);
        stage_descriptor(s, SEL_DATA(n), D_FLAT | D_P | D_DPL(n) | D_TYPE(T_DATA) | D_DB);
        stage_descriptor(s, SEL_CODE64(n), D_FLAT | D_P | D_DPL(n) | D_TYPE(T_CODE) | D_L);
    }
    stage_descriptor(s, SEL_TSS, stage_system(STAGE_TSS, 0xb));
    stage_descriptor(s, SEL_LDT, stage_system(STAGE_LDT, 2));
    for (unsigned v = 0; v < 256; v++) {
        stage_gate(s, v, 14, 3, s->wide ? SEL_CODE64(0) : SEL_CODE(0), stage_stub(v));
        stage_put(s, stage_stub(v), 0xf4, 1);
    }
    for (unsigned n = 0; n < 3; n++) {
        if (s->wide) {
            stage_put(s, STAGE_TSS + 4 + 8 * n, STAGE_KSTACK - 0x2000 * n, 8);
        } else {
            stage_put(s, STAGE_TSS + 4 + 8 * n, STAGE_KSTACK - 0x2000 * n, 4);
            stage_put(s, STAGE_TSS + 8 + 8 * n, SEL_DATA(n), 2);
        }
    }
    for (unsigned n = 0; s->wide && n < 7; n++)
        stage_put(s, STAGE_TSS + 0x24 + 8 * n, STAGE_IST + 0x1000 * n, 8);
    stage_put(s, STAGE_TSS + 0x66, 0x68, 2); /* no I/O permission bitmap */
}

static inline struct segment stage_flat(uint16_t selector, unsigned type, unsigned dpl, uint32_t width)
{
    return (struct segment){.selector = selector,
                            .limit = 0xffffffff,
                            .attributes = (type & 0x1f) | dpl << SEGMENT_DPL_SHIFT | SEGMENT_P | SEGMENT_G | width};
}

static inline void stage_common(struct stage *s, unsigned cpl)
{
    struct cpu_state *c = &s->cpu;
    stage_tables(s);
    cpu_state_reset(c);
    c->cr0 = CR0_PE | CR0_ET | CR0_NE;
    c->ss = c->ds = c->es = c->fs = c->gs = stage_flat(SEL_DATA(cpl), T_DATA, cpl, SEGMENT_DB);
    c->tr = (struct segment){.selector = SEL_TSS, .base = STAGE_TSS, .limit = 0x67, .attributes = SEGMENT_P | 0xb};
    c->ldt = (struct segment){.selector = SEL_LDT, .base = STAGE_LDT, .limit = 0x67, .attributes = SEGMENT_P | 2};
    c->gdtr = (struct descriptor_table){STAGE_GDT, GDT_LIMIT};
    c->idtr = (struct descriptor_table){STAGE_IDT, s->wide ? 0xfff : 0x7ff};
    c->rip = STAGE_CODE;
    c->rflags = 2;
    c->gprs[GPR_RSP] = STAGE_STACK;
    c->fcw = 0x37f;
    c->ftw = 0;
}

/* 32-bit protected mode at level `cpl`, without paging. */
static inline void stage_protected(struct stage *s, unsigned cpl)
{
    s->wide = false;
    stage_common(s, cpl);
    s->cpu.cs = stage_flat(SEL_CODE(cpl), T_CODE, cpl, SEGMENT_DB);
}

/* 64-bit mode: the RAM is mapped as it is, in 4 KiB pages that the user may use. */
static inline void stage_long(struct stage *s, unsigned cpl)
{
    s->wide = true;
    stage_common(s, cpl);
    s->cpu.cs = stage_flat(SEL_CODE64(cpl), T_CODE, cpl, SEGMENT_L);
    s->cpu.cr0 |= CR0_PG | CR0_WP;
    s->cpu.cr4 = CR4_PAE;
    s->cpu.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    s->cpu.cr3 = STAGE_TABLES;
    for (unsigned level = 0; level < 3; level++)
        stage_put(s, STAGE_TABLES + 0x1000 * level, (STAGE_TABLES + 0x1000 * (level + 1)) | 7, 8);
    for (unsigned i = 0; i < STAGE_RAM >> 12; i++)
        stage_put(s, STAGE_TABLES + 0x3000 + 8 * i, i << 12 | 7, 8);
}

static inline void stage_code(struct stage *s, const char *bytes, unsigned length)
{
    memcpy(s->ram.bytes + STAGE_CODE, bytes, length);
}

static inline bool stage_has_code(int vector)
{
    return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* Where the processor stands after a run. The frames of 16-bit gates are for the test to read. */
static inline struct outcome stage_outcome(struct stage *s, enum engine_stop stop)
{
    struct outcome o = {.vector = stop == ENGINE_STOP_SHUTDOWN ? SHUTDOWN : stop == ENGINE_STOP_HALT ? DONE : LOST};
    CHECK(engine_get_cpu(s->engine, &s->cpu, &s->error) == 0);
    uint64_t rip = s->cpu.rip - 1, size = s->wide ? 8 : 4;
    if (o.vector != DONE || rip < STAGE_STUBS || rip >= STAGE_STUBS + 0x1000)
        return o;
    o.vector = (int)(rip - STAGE_STUBS) / 16;
    uint64_t sp = s->cpu.ss.base + s->cpu.gprs[GPR_RSP];
    o.frame = sp;
    if (stage_has_code(o.vector)) {
        o.code = (uint32_t)stage_get(s, sp, 4);
        sp += size;
    }
    o.rip = stage_get(s, sp, (unsigned)size);
    o.cs = (uint16_t)stage_get(s, sp + size, 2);
    o.rflags = stage_get(s, sp + 2 * size, (unsigned)size);
    o.sp = stage_get(s, sp + 3 * size, (unsigned)size);
    o.ss = (uint16_t)stage_get(s, sp + 4 * size, 2);
    return o;
}

/* Runs s->cpu; a #GP(0) of the HLT at `end` (0: at none) is that of code that came to its end. */
static inline struct outcome stage_run(struct stage *s, uint64_t end)
{
    s->writes = 0;
    CHECK(engine_set_cpu(s->engine, &s->cpu, 0, &s->error) == 0);
    s->engine->exits = 0;
    struct outcome o = stage_outcome(s, engine_run(s->engine, NULL, &s->error));
    if (end && o.vector == 13 && o.code == 0 && o.rip == end)
        o.vector = DONE;
    return o;
}

/* Runs `length` bytes of code that end in HLT. */
static inline struct outcome stage_run_code(struct stage *s, const char *bytes, unsigned length)
{
    stage_code(s, bytes, length);
    return stage_run(s, s->cpu.cs.base + s->cpu.rip + length - 1);
}

#endif
