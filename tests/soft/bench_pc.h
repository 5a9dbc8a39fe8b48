/*
 * A small machine for tests of the soft engine: RAM, a long-mode or real-mode processor, and a log of its exits.
 */
#ifndef ENCORE_TESTS_SOFT_BENCH_PC_H
#define ENCORE_TESTS_SOFT_BENCH_PC_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/soft/soft_engine.h"

/* Where things are in the guest's memory. */
#define PC_GDT    0x1000u
#define PC_IDT    0x2000u
#define PC_TSS    0x3000u
#define PC_PML4   0x4000u
#define PC_PDPT   0x5000u
#define PC_PD     0x6000u
#define PC_PT     0x7000u /* the first 2 MiB in 4 KiB pages */
#define PC_STUBS  0x8000u /* one interrupt stub for each vector */
#define PC_CODE   0x10000u
#define PC_DATA   0x20000u
#define PC_STACK  0x40000u /* top */
#define PC_KSTACK 0x48000u
#define PC_RAM    (4u << 20)

/* Selectors. */
#define PC_CS    0x08
#define PC_DS    0x10
#define PC_CS32  0x18
#define PC_UCS32 0x20
#define PC_UDS   0x28
#define PC_UCS   0x30
#define PC_TR    0x38

#define PC_EXITS 4096

struct pc_exit {
    char kind; /* r w a */
    uint64_t address, value;
    unsigned size;
};

struct pc {
    struct engine *engine;
    struct ram ram;
    struct cpu_state cpu;
    struct error error;
    struct pc_exit exits[PC_EXITS];
    unsigned exit_count;
    uint64_t read_value;
    uint8_t vector;
    bool lower_on_acknowledge;
    unsigned stop_after; /* ask for a stop in this exit */
};

static inline struct pc_exit *pc_log(struct pc *pc)
{
    struct pc_exit *e = &pc->exits[pc->exit_count < PC_EXITS ? pc->exit_count : PC_EXITS - 1];
    pc->exit_count++;
    if (pc->stop_after == pc->exit_count)
        engine_request_stop(pc->engine);
    return e;
}

static inline uint64_t pc_read(void *context, enum engine_space space, uint64_t address, unsigned size)
{
    struct pc *pc = context;
    (void)space;
    *pc_log(pc) = (struct pc_exit){'r', address, pc->read_value, size};
    return pc->read_value;
}

static inline void pc_write(void *context, enum engine_space space, uint64_t address, unsigned size, uint64_t value)
{
    (void)space;
    *pc_log(context) = (struct pc_exit){'w', address, value, size};
}

static inline uint8_t pc_acknowledge(void *context)
{
    struct pc *pc = context;
    *pc_log(pc) = (struct pc_exit){'a', 0, pc->vector, 0};
    if (pc->lower_on_acknowledge)
        engine_set_intr(pc->engine, false);
    return pc->vector;
}

static inline int pc_ram_digest(void *context, struct digest *digest, struct error *error)
{
    struct pc *pc = context;
    (void)error;
    *digest = digest_of(pc->ram.bytes, pc->ram.size, 0);
    return 0;
}

static inline void pc_put64(struct pc *pc, uint64_t at, uint64_t value)
{
    memcpy(pc->ram.bytes + at, &value, 8);
}

static inline uint64_t pc_get64(struct pc *pc, uint64_t at)
{
    uint64_t value;
    memcpy(&value, pc->ram.bytes + at, 8);
    return value;
}

static inline struct segment pc_segment(uint16_t selector, uint32_t attributes)
{
    return (struct segment){.selector = selector, .limit = 0xffffffff, .attributes = attributes};
}

/* A 64-bit interrupt gate whose stub is `OUT 0xe9, AL; HLT` at PC_STUBS + 16 * vector. */
static inline void pc_gate(struct pc *pc, unsigned vector, uint64_t handler, unsigned type, unsigned dpl, unsigned ist)
{
    uint64_t low = (handler & 0xffff) | (uint64_t)PC_CS << 16 | (uint64_t)ist << 32 | (uint64_t)type << 40 |
                   (uint64_t)dpl << 45 | UINT64_C(1) << 47 | ((handler >> 16) & 0xffff) << 48;
    pc_put64(pc, PC_IDT + 16 * vector, low);
    pc_put64(pc, PC_IDT + 16 * vector + 8, handler >> 32);
}

static inline void pc_tables(struct pc *pc)
{
    static const uint64_t gdt[] = {0,
                                   0x00af9b000000ffff,
                                   0x00cf93000000ffff,
                                   0x00cf9b000000ffff,
                                   0x00cffb000000ffff,
                                   0x00cff3000000ffff,
                                   0x00affb000000ffff,
                                   0x0000890030000067,
                                   0};
    memcpy(pc->ram.bytes + PC_GDT, gdt, sizeof gdt);
    pc_put64(pc, PC_TSS + 4, PC_KSTACK);
    pc->ram.bytes[PC_TSS + 0x66] = 0x68; /* no I/O permission bitmap */
    pc_put64(pc, PC_TSS + 0x24, PC_KSTACK + 0x4000);
    pc_put64(pc, PC_PML4, PC_PDPT | 7);
    pc_put64(pc, PC_PDPT, PC_PD | 7);
    pc_put64(pc, PC_PD, PC_PT | 7);
    for (unsigned i = 1; i < 512; i++)
        pc_put64(pc, PC_PD + 8 * i, (uint64_t)i << 21 | 0x87);
    for (unsigned i = 0; i < 512; i++)
        pc_put64(pc, PC_PT + 8 * i, (uint64_t)i << 12 | 7);
    for (unsigned v = 0; v < 256; v++) {
        /* mov al, v; out 0xe9, al; hlt */
        uint8_t stub[] = {0xb0, (uint8_t)v, 0xe6, 0xe9, 0xf4};
        memcpy(pc->ram.bytes + PC_STUBS + 16 * v, stub, sizeof stub);
        pc_gate(pc, v, PC_STUBS + 16 * v, 14, 3, 0);
    }
}

/* 64-bit mode at privilege `cpl`, identity mapping, RIP at PC_CODE. */
static inline void pc_long_mode(struct pc *pc, unsigned cpl)
{
    struct cpu_state *c = &pc->cpu;
    cpu_state_reset(c);
    pc_tables(pc);
    c->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP | CR0_MP;
    c->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    c->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    c->cr3 = PC_PML4;
    uint32_t code = SEGMENT_TYPE_CODE | SEGMENT_S | SEGMENT_P | SEGMENT_L | SEGMENT_G;
    uint32_t data = SEGMENT_TYPE_DATA | SEGMENT_S | SEGMENT_P | SEGMENT_DB | SEGMENT_G;
    uint32_t dpl = cpl << SEGMENT_DPL_SHIFT;
    c->cs = pc_segment((uint16_t)((cpl ? PC_UCS : PC_CS) | cpl), code | dpl);
    c->ss = c->ds = c->es = c->fs = c->gs = pc_segment((uint16_t)((cpl ? PC_UDS : PC_DS) | cpl), data | dpl);
    c->tr = (struct segment){.selector = PC_TR, .base = PC_TSS, .limit = 0x67, .attributes = SEGMENT_P | 0xb};
    c->gdtr = (struct descriptor_table){PC_GDT, 0x47};
    c->idtr = (struct descriptor_table){PC_IDT, 0xfff};
    c->rip = PC_CODE;
    c->gprs[GPR_RSP] = PC_STACK;
    c->fcw = 0x37f;
    c->ftw = 0;
}

static inline void pc_start(struct pc *pc)
{
    if (engine_set_cpu(pc->engine, &pc->cpu, 0, &pc->error) != 0)
        abort();
    pc->engine->exits = 0;
    pc->exit_count = 0;
}

static inline struct pc *pc_new(void)
{
    struct pc *pc = calloc(1, sizeof *pc);
    struct engine_host host = {
        .context = pc, .read = pc_read, .write = pc_write, .acknowledge = pc_acknowledge, .ram_digest = pc_ram_digest};
    if (!pc || ram_create(&pc->ram, PC_RAM, &pc->error) != 0)
        abort();
    pc->engine = soft_engine_create(&host, &pc->error);
    if (!pc->engine || engine_map_ram(pc->engine, &pc->ram, &pc->error) != 0)
        abort();
    return pc;
}

static inline void pc_free(struct pc *pc)
{
    engine_destroy(pc->engine);
    ram_destroy(&pc->ram);
    free(pc);
}

static inline void pc_code(struct pc *pc, uint64_t at, const void *bytes, size_t length)
{
    memcpy(pc->ram.bytes + at, bytes, length);
    engine_ram_written(pc->engine, at, length);
}

static inline enum engine_stop pc_run_stops(struct pc *pc, const struct engine_stops *stops)
{
    enum engine_stop stop = engine_run(pc->engine, stops, &pc->error);
    engine_get_cpu(pc->engine, &pc->cpu, &pc->error);
    return stop;
}

static inline enum engine_stop pc_run(struct pc *pc, const struct position *until)
{
    return pc_run_stops(pc, &(const struct engine_stops){.position = until});
}

static inline uint64_t pc_ticks(struct pc *pc)
{
    uint64_t ticks = 0;
    engine_get_ticks(pc->engine, &ticks, &pc->error);
    return ticks;
}

/* A piece of guest code, assembled with the test: PC_ASM(name, "instructions"). */
#define PC_ASM_BITS(name, bits, text)                                                                                  \
    extern const char name##_start[], name##_end[];                                                                    \
    __asm__(".pushsection .rodata\n.globl " #name "_start, " #name "_end\n" #name "_start:\n.code" bits "\n" text      \
            "\n.code64\n" #name "_end:\n.popsection\n");
#define PC_ASM(name, text) PC_ASM_BITS(name, "64", text)
/* Two symbols are two objects to C, so their distance is one of addresses. */
#define PC_LENGTH(name)       ((size_t)((uintptr_t)name##_end - (uintptr_t)name##_start))
#define PC_LOAD(pc, at, name) pc_code(pc, at, name##_start, PC_LENGTH(name))

#endif
