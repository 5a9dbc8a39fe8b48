/*
 * The soft engine outside 64-bit mode, and its paging: real mode, 32-bit segments, gates and page tables, compatibility
 * mode, and the rights of pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/soft/bench_pc.h"

/* Real mode: segments, a far call, an interrupt through the vector table, string moves, 8-bit and BCD arithmetic. */
PC_ASM_BITS(
    real_mode, "16",
    "mov $0x2000, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0x1000, %sp\n movw $0x1234, (0x10)\n mov $0x19, %al\n"
    " add $0x28, %al\n daa\n mov %al, %bl\n int $0x21\n push %cs\n call 1f\n mov $0xffff, %si\n lodsb\n hlt\n"
    "1: mov $7, %dx\n lret\n.org 0x40\n")
PC_ASM_BITS(real_handler, "16", "incw (0x10)\n iret")
static void test_real_mode(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    cpu_state_reset(&pc->cpu);
    pc->cpu.cs.base = 0x10000;
    pc->cpu.cs.selector = 0x1000;
    pc->cpu.rip = 0;
    PC_LOAD(pc, 0x10000, real_mode);
    PC_LOAD(pc, 0x18000, real_handler);
    pc_code(pc, 0x84, "\x00\x00\x00\x18", 4);
    pc_code(pc, 0x2ffff, "\x5a", 1);
    pc->cpu.idtr.limit = 0x3ff;
    pc_start(pc);
    /* A place's address is linear: with the base of CS. */
    struct position there = {.kind = AT_TICK, .ticks = 2, .rip = 0x10005}, named;
    assert_int_equal(pc_run(pc, &there), ENGINE_STOP_POSITION);
    assert_true(engine_name_position(pc->engine, &named, &pc->error));
    assert_true(position_equal(&named, &there));
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->cpu.gprs[GPR_RBX] & 0xff, 0x47);
    assert_int_equal(pc->cpu.gprs[GPR_RDX], 7);
    assert_int_equal(pc->cpu.gprs[GPR_RAX] & 0xff, 0x5a);
    assert_int_equal(pc->cpu.gprs[GPR_RSI] & 0xffff, 0);
    assert_int_equal(pc->cpu.gprs[GPR_RSP] & 0xffff, 0x1000);
    assert_int_equal(pc_get64(pc, 0x20010) & 0xffff, 0x1235);
    pc_free(pc);
}

static void legacy(struct pc *pc, unsigned cpl)
{
    static const uint64_t gdt[] = {0,
                                   0x00cf9b000000ffff, /* 08: code, level 0 */
                                   0x00cf93000000ffff, /* 10: data, level 0 */
                                   0x00cffb000000ffff, /* 18: code, level 3 */
                                   0x00cff3000000ffff, /* 20: data, level 3 */
                                   0x0000890030000067, /* 28: TSS */
                                   0x0040f20200000fff, /* 30: data, level 3, base 0x20000, 4 KiB */
                                   0x0000ec0000080000 | 0x8100 /* 38: call gate to 08:8100 */};
    memset(pc->ram.bytes, 0, PC_RAM);
    memcpy(pc->ram.bytes + PC_GDT, gdt, sizeof gdt);
    uint32_t tss[3] = {0, PC_KSTACK, 0x10};
    memcpy(pc->ram.bytes + PC_TSS, tss, sizeof tss);
    for (unsigned v = 0; v < 32; v++) {
        uint8_t stub[] = {0xb0, (uint8_t)v, 0xe6, 0xe9, 0xf4};
        memcpy(pc->ram.bytes + PC_STUBS + 16 * v, stub, sizeof stub);
        pc_put64(pc, PC_IDT + 8 * v, UINT64_C(0x0000ee0000080000) | (PC_STUBS + 16 * v));
    }
    /* 32-bit page tables: one directory, one table for the first 4 MiB; then a 4 MiB page. */
    uint32_t entry = PC_PT | 7;
    memcpy(pc->ram.bytes + PC_PD, &entry, 4);
    entry = 0x87;
    memcpy(pc->ram.bytes + PC_PD + 4, &entry, 4);
    for (uint32_t i = 0; i < 1024; i++) {
        entry = i << 12 | 7;
        memcpy(pc->ram.bytes + PC_PT + 4 * i, &entry, 4);
    }
    struct cpu_state *c = &pc->cpu;
    cpu_state_reset(c);
    uint32_t dpl = cpl << SEGMENT_DPL_SHIFT, present = SEGMENT_S | SEGMENT_P | SEGMENT_DB | SEGMENT_G;
    c->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP;
    c->cr3 = PC_PD;
    c->cr4 = 0x10;
    c->cs = pc_segment(cpl ? 0x1b : 8, SEGMENT_TYPE_CODE | present | dpl);
    c->ss = c->ds = c->es = c->fs = c->gs = pc_segment(cpl ? 0x23 : 0x10, SEGMENT_TYPE_DATA | present | dpl);
    c->tr = (struct segment){.selector = 0x28, .base = PC_TSS, .limit = 0x67, .attributes = SEGMENT_P | 0xb};
    c->gdtr = (struct descriptor_table){PC_GDT, sizeof gdt - 1};
    c->idtr = (struct descriptor_table){PC_IDT, 0xff};
    c->rip = PC_CODE;
    c->gprs[GPR_RSP] = PC_STACK;
}

struct legacy_case {
    const char *name, *start, *end;
    unsigned vector;
    int64_t code;
    unsigned offset;
};

#define LEGACY(X)                                                                                                      \
    X(limit, "mov $0x33, %eax\n mov %eax, %ds\n mov (0xffc), %eax\n mov (0xffd), %eax", 13, 0, 12)                     \
    X(null, "xor %eax, %eax\n mov %eax, %es\n mov %es:(0x20000), %eax", 13, 0, 4)                                      \
    X(stack, "mov $0x33, %eax\n mov %eax, %ss\n mov $0x2000, %esp\n push %eax", 12, 0, 12)                             \
    X(bound, "push $5\n push $1\n mov $6, %eax\n bound %eax, (%esp)", 5, -1, 9)                                        \
    X(into, "mov $0x7fffffff, %eax\n inc %eax\n into", 4, -1, 6)                                                       \
    X(aam, "aam $0", 0, -1, 0)                                                                                         \
    X(code_write, "mov %eax, %cs:(0x20000)", 13, 0, 0)                                                                 \
    X(privilege, "cli", 13, 0, 0)                                                                                      \
    X(gate, "int $0x20", 13, 0x102, 0)                                                                                 \
    X(large_page, "mov (0x400010), %eax\n mov (0x800000), %eax", 14, 4, 5)

#define LEGACY_CODE(name, text, vector, code, offset) PC_ASM_BITS(legacy_##name, "32", text)
#define LEGACY_ENTRY(name, text, vector, code, offset)                                                                 \
    {#name, legacy_##name##_start, legacy_##name##_end, vector, code, offset},
LEGACY(LEGACY_CODE)
static const struct legacy_case legacy_cases[] = {LEGACY(LEGACY_ENTRY)};

static uint32_t get32(struct pc *pc, uint64_t at)
{
    return (uint32_t)pc_get64(pc, at);
}

/* At level 3; the frame is on the TSS's stack. */
static void test_legacy_exceptions(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    for (unsigned i = 0; i < sizeof legacy_cases / sizeof *legacy_cases; i++) {
        const struct legacy_case *t = &legacy_cases[i];
        legacy(pc, 3);
        pc_code(pc, PC_CODE, t->start, (size_t)(t->end - t->start));
        pc_start(pc);
        if (pc_run(pc, NULL) != ENGINE_STOP_HALT)
            fail_msg("%s: %s", t->name, pc->engine->fault.text);
        uint64_t frame = PC_KSTACK - 20 - (t->code >= 0 ? 4 : 0);
        if (pc->exits[pc->exit_count - 1].value != t->vector || pc->cpu.gprs[GPR_RSP] != frame)
            fail_msg("%s: vector %u, stack at %llx", t->name, (unsigned)pc->exits[pc->exit_count - 1].value,
                     (unsigned long long)pc->cpu.gprs[GPR_RSP]);
        if (t->code >= 0) {
            if (get32(pc, frame) != t->code)
                fail_msg("%s: error code %x", t->name, get32(pc, frame));
            frame += 4;
        }
        bool trap = t->vector == 4;
        if (get32(pc, frame) != PC_CODE + t->offset + trap)
            fail_msg("%s: at %x", t->name, get32(pc, frame));
        assert_int_equal(get32(pc, frame + 4), 0x1b);
    }
    pc_free(pc);
}

/* Through a call gate to level 0 and back by a far return. */
PC_ASM_BITS(gate_user, "32", "push $0x77\n lcall $0x3b, $0\n mov %cs, %edx\n ud2")
PC_ASM_BITS(gate_kernel, "32", "mov %cs, %ebx\n mov %esp, %ecx\n lret")
static void test_call_gate(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    legacy(pc, 3);
    PC_LOAD(pc, PC_CODE, gate_user);
    PC_LOAD(pc, 0x8100, gate_kernel);
    pc_put64(pc, PC_GDT + 0x38, UINT64_C(0x0000ec0000088100));
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->cpu.gprs[GPR_RBX], 8);
    assert_int_equal(pc->cpu.gprs[GPR_RCX], PC_KSTACK - 16);
    assert_int_equal(pc->cpu.gprs[GPR_RDX], 0x1b);
    assert_int_equal(get32(pc, PC_KSTACK - 8), PC_STACK - 4);
    pc_free(pc);
}

/* A gate that copies two words to the inner stack, which the far return takes off both. */
PC_ASM_BITS(copy_user, "32", "push $0x77\n push $0x88\n lcall $0x3b, $0\n mov %esp, %edx\n ud2")
PC_ASM_BITS(copy_kernel, "32", "mov 8(%esp), %ebx\n mov 12(%esp), %ecx\n mov %esp, %esi\n lret $8")
static void test_call_gate_with_copies(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    legacy(pc, 3);
    PC_LOAD(pc, PC_CODE, copy_user);
    PC_LOAD(pc, 0x8100, copy_kernel);
    pc_put64(pc, PC_GDT + 0x38, UINT64_C(0x0000ec0200088100));
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->cpu.gprs[GPR_RBX], 0x88);
    assert_int_equal(pc->cpu.gprs[GPR_RCX], 0x77);
    assert_int_equal(pc->cpu.gprs[GPR_RSI], PC_KSTACK - 24);
    assert_int_equal(pc->cpu.gprs[GPR_RDX], PC_STACK);
    pc_free(pc);
}

/* In long mode a gate takes two entries, leads to 64-bit code, and leaves SS null. */
PC_ASM(gate_user_64, "lcall *(%rdi)\n mov %cs, %edx\n ud2")
PC_ASM(gate_kernel_64, "mov %cs, %ebx\n mov %rsp, %rcx\n mov %ss, %esi\n lretq")
static void test_call_gate_in_long_mode(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 3);
    PC_LOAD(pc, PC_CODE, gate_user_64);
    PC_LOAD(pc, 0x18100, gate_kernel_64);
    pc_put64(pc, PC_GDT + 0x40, UINT64_C(0x0001ec0000088100));
    pc_put64(pc, PC_GDT + 0x48, 0);
    pc_put64(pc, PC_DATA, UINT64_C(0x43) << 32);
    pc->cpu.gdtr.limit = 0x4f;
    pc->cpu.gprs[GPR_RDI] = PC_DATA;
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->exits[0].value, 6);
    assert_int_equal(pc->cpu.gprs[GPR_RBX], PC_CS);
    assert_int_equal(pc->cpu.gprs[GPR_RCX], PC_KSTACK - 32);
    assert_int_equal(pc->cpu.gprs[GPR_RSI], 0);
    assert_int_equal(pc_get64(pc, PC_KSTACK - 16), PC_STACK);
    assert_int_equal(pc->cpu.gprs[GPR_RDX], PC_UCS | 3);
    pc_free(pc);
}

/* Compatibility mode by SYSRET, and back by an interrupt into 64-bit mode. */
PC_ASM_BITS(compatible, "32", "mov $0x12345678, %eax\n inc %eax\n push %eax\n pop %ecx\n ud2")
static void test_compatibility_mode(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    pc_code(pc, PC_CODE, "\x0f\x07", 2); /* sysretl */
    PC_LOAD(pc, 0x11000, compatible);
    pc->cpu.star = UINT64_C(0x0020000800000000) | UINT64_C(0x20) << 48;
    pc->cpu.gprs[GPR_RCX] = 0x11000;
    pc->cpu.gprs[GPR_R11] = 2;
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->exits[0].value, 6);
    assert_int_equal(pc->cpu.gprs[GPR_RCX], 0x12345679);
    assert_int_equal(pc_get64(pc, PC_KSTACK - 32), 0x23);
    assert_int_equal(pc_get64(pc, PC_KSTACK - 40), 0x11000 + 8);
    pc_free(pc);
}

/* Rights of pages: entry bits, CR0 and CR4, level, access; then the error code that must come, or none. */
struct rights_case {
    uint64_t bits, cr0, cr4;
    unsigned cpl;
    char access; /* r w x */
    int code;
};

#define NX  (UINT64_C(1) << 63)
#define BAD (UINT64_C(1) << 45)

static const struct rights_case rights[] = {
    {7, CR0_WP, 0, 3, 'w', -1},
    {5, CR0_WP, 0, 3, 'r', -1},
    {5, CR0_WP, 0, 3, 'w', 7},
    {3, CR0_WP, 0, 3, 'r', 5},
    {0, CR0_WP, 0, 3, 'r', 4},
    {1, CR0_WP, 0, 0, 'w', 3},
    {1, 0, 0, 0, 'w', -1},
    {7 | NX, CR0_WP, 0, 3, 'x', 0x15},
    {7 | NX, CR0_WP, 0, 3, 'r', -1},
    {7 | BAD, CR0_WP, 0, 3, 'r', 13},
    {7, CR0_WP, 1 << 20, 0, 'x', 0x11},
    {7, CR0_WP, 1 << 21, 0, 'r', 1},
    {7, CR0_WP, 1 << 21, 3, 'r', -1},
    {3, CR0_WP, 1 << 21, 0, 'w', -1},
};

static void test_page_rights(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    for (unsigned i = 0; i < sizeof rights / sizeof *rights; i++) {
        const struct rights_case *r = &rights[i];
        memset(pc->ram.bytes, 0, PC_RAM);
        pc_long_mode(pc, r->cpl);
        /* Code for each access at 0x100000, which stays a user page or becomes a supervisor's with the level. */
        const char *code = r->access == 'r' ? "\x8b\x06\xcc" : r->access == 'w' ? "\x89\x06\xcc" : "\xff\xe6";
        pc_code(pc, PC_CODE, code, 3);
        pc_code(pc, 0x100000, "\xcc", 1);
        pc_put64(pc, PC_PT + 8 * 0x100, 0x100000 | r->bits);
        /* Tables, handlers and their stack are the supervisor's; at level 0 so is the code. */
        for (unsigned page = 0; page < 0x100; page++)
            if (r->cpl == 0 || page < 0x10 || page > 0x40)
                pc_put64(pc, PC_PT + 8 * page, (uint64_t)page << 12 | 3);
        pc->cpu.cr0 = (pc->cpu.cr0 & ~(uint64_t)CR0_WP) | r->cr0;
        pc->cpu.cr4 |= r->cr4;
        pc->cpu.gprs[GPR_RSI] = 0x100000;
        pc_start(pc);
        assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
        unsigned vector = (unsigned)pc->exits[0].value;
        if (vector != (r->code < 0 ? 3u : 14u))
            fail_msg("case %u: vector %u", i, vector);
        uint64_t entry = pc_get64(pc, PC_PT + 8 * 0x100);
        if (r->code >= 0) {
            if ((int)pc_get64(pc, pc->cpu.gprs[GPR_RSP]) != r->code)
                fail_msg("case %u: error code %x", i, (unsigned)pc_get64(pc, pc->cpu.gprs[GPR_RSP]));
            assert_int_equal(entry & 0x60, 0);
        } else {
            assert_int_equal(entry & 0x60, r->access == 'w' ? 0x60 : 0x20);
        }
    }
    pc_free(pc);
}

/* A guest that changes a page table entry and does not invalidate sees the new one at once. */
PC_ASM(remaps, "mov 0x20000, %eax\n movq $0x21007, 0x7100\n mov 0x20000, %ebx\n mov %ebx, 0x20008\n int3")
static void test_translations_are_never_stale(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    PC_LOAD(pc, PC_CODE, remaps);
    pc_put64(pc, 0x20000, 1);
    pc_put64(pc, 0x21000, 2);
    pc_start(pc);
    assert_int_equal(pc_run(pc, NULL), ENGINE_STOP_HALT);
    assert_int_equal(pc->cpu.gprs[GPR_RBX], 2);
    assert_int_equal(pc_get64(pc, 0x21008), 2);
    assert_int_equal(pc_get64(pc, 0x20008), 0);
    pc_free(pc);
}

/* What the guest wrote is reported once each time it is written. */
static void test_dirty_pages(void **state)
{
    (void)state;
    struct pc *pc = pc_new();
    pc_long_mode(pc, 0);
    pc_code(pc, PC_CODE, "\x89\x06\x89\x06\x89\x06\xf4", 7); /* mov %eax, (%rsi), three times */
    pc->cpu.gprs[GPR_RSI] = 0x20000;
    pc_start(pc);
    for (unsigned i = 1; i < 4; i++) {
        struct position there = {.kind = AT_TICK, .ticks = i, .rip = PC_CODE + 2 * i};
        ram_clear_dirty(&pc->ram);
        assert_int_equal(pc_run(pc, &there), ENGINE_STOP_POSITION);
        assert_false(ram_is_dirty(&pc->ram, 0x20000));
        engine_collect_dirty(pc->engine, &pc->error);
        assert_true(ram_is_dirty(&pc->ram, 0x20000));
        assert_false(ram_is_dirty(&pc->ram, 0x21000));
    }
    pc_free(pc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_mode),
        cmocka_unit_test(test_legacy_exceptions),
        cmocka_unit_test(test_call_gate),
        cmocka_unit_test(test_compatibility_mode),
        cmocka_unit_test(test_page_rights),
        cmocka_unit_test(test_translations_are_never_stale),
        cmocka_unit_test(test_call_gate_with_copies),
        cmocka_unit_test(test_call_gate_in_long_mode),
        cmocka_unit_test(test_dirty_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
